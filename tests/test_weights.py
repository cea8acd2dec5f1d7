"""Weights come back whole, or not at all."""

from __future__ import annotations

import errno
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import nn

from sfg_nas.errors import ArchitectureError, TrainingError
from sfg_nas.weights import digest, load_weights, read_tensors, save_weights, write_tensors


def network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3))


def test_weights_come_back(tmp_path: Path) -> None:
    one, other = network(), network(1)
    save_weights(tmp_path / "w.safetensors", one)
    load_weights(tmp_path / "w.safetensors", other)
    for name, value in one.state_dict().items():
        assert torch.equal(other.state_dict()[name], value)
    assert [path.name for path in tmp_path.iterdir()] == ["w.safetensors"]


def test_values_and_odd_tensors_come_back(tmp_path: Path) -> None:
    base = torch.arange(6.0).reshape(2, 3)
    tensors = {
        "a": base, "view": base[0], "turned": base.T, "count": torch.tensor(3),
        "none": torch.zeros(0, 4), "flags": base > 2, "half": base.bfloat16(),
    }  # fmt: skip
    write_tensors(tmp_path / "t", tensors, {"rows": [1, None]})
    found, values = read_tensors(tmp_path / "t")
    assert values == {"rows": [1, None]}
    assert all(torch.equal(found[name], value) for name, value in tensors.items())


def test_the_same_tensors_give_the_same_bytes(tmp_path: Path) -> None:
    def written() -> bytes:
        write_tensors(tmp_path / "t", network().state_dict(), {"b": 1, "a": [2]})
        return (tmp_path / "t").read_bytes()

    assert len({written() for _ in range(12)}) == 1


def test_files_with_a_key_for_each_are_read_as_ever(tmp_path: Path) -> None:
    tensors, text = {"a": torch.arange(3.0)}, '{"epochs": 3}'
    said = {"schema": "1", "values": text, "digest": digest(tensors, text)}
    save_file(tensors, tmp_path / "t", said)
    found, values = read_tensors(tmp_path / "t")
    assert values == {"epochs": 3}
    assert torch.equal(found["a"], tensors["a"])
    save_file(tensors, tmp_path / "t", said | {"values": '{"epochs": 4}'})
    with pytest.raises(ArchitectureError, match="digest"):
        read_tensors(tmp_path / "t")


@pytest.mark.parametrize("said", ["[]", "3", "{", '{"values": 3}', '{"digest": {}}'])
def test_what_is_said_of_the_tensors_may_be_anything(tmp_path: Path, said: str) -> None:
    save_file({"a": torch.zeros(1)}, tmp_path / "t", {"sfg_nas": said})
    with pytest.raises(ArchitectureError, match="a whole safetensors file is needed"):
        read_tensors(tmp_path / "t")


def test_no_flipped_bit_changes_a_weight_unnoticed(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    source = network()
    save_weights(path, source)
    whole = path.read_bytes()
    own = network(1)
    chooser = np.random.default_rng(0)
    noticed = 0
    for _ in range(300):
        place = int(chooser.integers(len(whole)))
        flipped = bytes([whole[place] ^ (1 << int(chooser.integers(8)))])
        path.write_bytes(whole[:place] + flipped + whole[place + 1 :])
        try:
            load_weights(path, own)
        except ArchitectureError:
            noticed += 1
        else:  # a bit of the format's own words, such as the name of the schema
            for name, value in source.state_dict().items():
                assert torch.equal(own.state_dict()[name], value)
    assert noticed > 250


def test_a_file_that_was_cut_off_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_weights(path, network())
    whole = path.read_bytes()
    own = network(1)
    before = {name: value.clone() for name, value in own.state_dict().items()}
    for size in (0, 1, 7, 8, 20, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(ArchitectureError, match=r"w\.safetensors"):
            load_weights(path, own)
    assert all(torch.equal(own.state_dict()[name], value) for name, value in before.items())


def test_other_weights_are_refused_before_anything_is_changed(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    own = network()
    state = own.state_dict()
    wrong = {
        "shape": {**state, "0.weight": torch.zeros(3, 2, 3, 4)},
        "kind": {**state, "0.weight": torch.zeros(3, 2, 3, 3, dtype=torch.int64)},
        "missing": {k: v for k, v in state.items() if k != "0.bias"},
        "extra": {**state, "../../evil": torch.zeros(1)},
    }
    before = own[0].weight.clone()
    for tensors in wrong.values():
        save_file({k: v.clone() for k, v in tensors.items()}, path)
        with pytest.raises(ArchitectureError, match="those of this network"):
            load_weights(path, own)
    assert torch.equal(own[0].weight, before)


def test_files_of_others_need_no_digest(tmp_path: Path) -> None:
    one, other = network(), network(1)
    save_file({k: v.clone() for k, v in one.state_dict().items()}, tmp_path / "w.safetensors")
    load_weights(tmp_path / "w.safetensors", other)
    assert torch.equal(one[0].weight, other[0].weight)


def test_missing_files_and_folders_are_one_clear_error(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(TrainingError, match="safetensors file is needed"):
            read_tensors(path, error=TrainingError)


def test_a_disk_that_is_full_is_the_systems_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        text = "Error while serializing: I/O error: No space left on device (os error 28)"
        raise SafetensorError(text)

    with pytest.raises(FileNotFoundError, match="missing"):
        write_tensors(tmp_path / "missing/w.safetensors", {"a": torch.zeros(2)}, None)
    monkeypatch.setattr("sfg_nas.weights.save_file", full)
    with pytest.raises(OSError, match="No space left on device") as caught:
        write_tensors(tmp_path / "w.safetensors", {"a": torch.zeros(2)}, None)
    assert caught.value.errno == errno.ENOSPC


def test_numbers_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    net = network()
    with torch.no_grad():
        next(net.parameters()).view(-1)[0] = float("nan")
    save_weights(tmp_path / "w.safetensors", net)
    with pytest.raises(ArchitectureError, match="not finite"):
        load_weights(tmp_path / "w.safetensors", network())


def test_older_files_have_another_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tensors = {"a": torch.arange(3.0)}
    old = partial(digest, algorithm="blake2b")
    monkeypatch.setattr("sfg_nas.weights.digest", lambda found, text, *_: old(found, text))
    write_tensors(tmp_path / "old", tensors, {"b": 1})
    monkeypatch.undo()
    found, values = read_tensors(tmp_path / "old")
    assert torch.equal(found["a"], tensors["a"])
    assert values == {"b": 1}
    content = bytearray((tmp_path / "old").read_bytes())
    content[-1] ^= 1
    (tmp_path / "old").write_bytes(content)
    with pytest.raises(ArchitectureError, match="digest"):
        read_tensors(tmp_path / "old")
