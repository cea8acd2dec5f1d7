"""The services that `.ci/run` starts are really there, and really used."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

pytestmark = pytest.mark.ci


def test_postgresql_answers() -> None:
    import psycopg

    url = os.environ["SFG_NAS_TEST_POSTGRES"].replace("+psycopg", "")
    with psycopg.connect(url) as connection:
        row = connection.execute("select version()").fetchone()
    assert row is not None
    assert row[0].startswith("PostgreSQL")


def test_chromium_answers() -> None:
    chromium = shutil.which("chromium")
    assert chromium is not None
    done = subprocess.run([chromium, "--version"], capture_output=True, text=True, check=True)
    assert "Chromium" in done.stdout
