"""Notes of a comparison on single methods."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sfg_nas.compare import compare
from sfg_nas.study import Study
from tests.compare.test_plan import LEARNS

Make = Callable[..., Study]


def test_what_learned_something_dearer_has_no_row_at_equal_macs_and_a_note(
    make_study: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sfg_nas.compare.results.NEAR", -1.0)
    monkeypatch.setattr("sfg_nas.compare.notes.NEAR", -1.0)
    found = compare(make_study(LEARNS), ["sfg-corrected"], 1, runs=tmp_path)
    equal = found.networks[found.networks["scale"] == "equal-macs"]
    assert not equal["method"].str.startswith("sfg").any()
    note = "sfg-corrected: no row at equal MACs: what it learned anew there costs"
    assert any(text.startswith(note) for text in found.notes)


def test_hard_sharing_at_another_width_is_said_to_be_itself_at_equal_macs(
    make_study: Make, tmp_path: Path
) -> None:
    found = compare(make_study({}), ["hard-sharing-scaled-2"], 1, runs=tmp_path)
    note = "hard-sharing-scaled-2: no row at equal MACs: it is hard sharing at another width"
    assert note in found.notes
    assert f"- {note}" in (found.folder / "compare.md").read_text()


def test_no_word_on_equal_macs_where_none_were_asked_for(make_study: Make, tmp_path: Path) -> None:
    study = make_study({"compare.equal_macs": False})
    found = compare(study, ["hard-sharing-scaled-2"], 1, runs=tmp_path)
    assert not any("equal MACs" in note for note in found.notes)
