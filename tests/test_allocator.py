"""Processes of this package keep freed memory; others are left as they are."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

from sfg_nas.allocator import keep_freed_memory

FAULTS = """
import resource, sys
import torch
if sys.argv[1] == "kept":
    from sfg_nas.allocator import keep_freed_memory
    print(keep_freed_memory(), file=sys.stderr)
def step():
    for megabytes in (9, 40, 90):
        torch.ones(megabytes * 2**18)
for _ in range(3):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "gnu_get_libc_version"),
    reason="other C libraries cannot be told",
)
def test_what_was_freed_is_used_again() -> None:
    faults = {}
    for way in ("plain", "kept"):
        done = subprocess.run(
            [sys.executable, "-c", FAULTS, way], capture_output=True, text=True, check=True
        )
        faults[way] = int(done.stdout)
        assert done.stderr.strip() in ("", "True")
    assert faults["kept"] < faults["plain"] / 3


def test_elsewhere_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    assert not keep_freed_memory()
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr(ctypes, "CDLL", lambda _name: object())  # as with musl
    assert not keep_freed_memory()
