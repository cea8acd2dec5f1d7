from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from sfg_nas.report.verdict import interval, retrained_verdict, verdict_of
from sfg_nas.study import Run
from tests.report.conftest import Small


def test_interval() -> None:
    low, high = interval(0.5, 1.0, 4)
    assert high == pytest.approx(0.5 + 3.182446 / 2)
    assert low == pytest.approx(0.5 - 3.182446 / 2)
    assert all(math.isnan(end) for end in interval(0.5, math.nan, 1))
    assert all(math.isnan(end) for end in interval(0.5, 0.0, 4))
    assert all(math.isnan(end) for end in interval(0.0, 0.0, 4))


def with_paired(run: Run, folder: Path, *rows: tuple[str, float, float, int]) -> Run:
    """Return a run whose found network differs from others by (mean, sd, seeds) of Δ."""
    copy = replace(run, path=folder)
    copy.files.retrained.mkdir()
    source = run.files.retrained / "table.csv"
    (copy.files.retrained / "table.csv").write_bytes(source.read_bytes())
    names = ["against", "mean", "sd", "seeds"]
    frame = pd.DataFrame(rows, columns=names).assign(method="found", metric="delta", better=True)
    frame.to_csv(copy.files.retrained / "paired.csv", index=False)
    return copy


@pytest.mark.parametrize(
    ("mean", "sd", "seeds", "words"),
    [
        (0.05, 0.01, 3, "is better than hard sharing narrowed"),
        (-0.05, 0.01, 3, "hurts"),
        (0.01, 0.01, 3, "Not settled"),
        (0.05, math.nan, 1, "single seed"),
        (0.05, 0.0001, 2, "No verdict: 2 seeds cannot tell"),
        (0.05, 0.0, 3, "all 3 differences between the found network and hard sharing narrowed"),
        (0.05, 1e-17, 3, "nothing can be said about chance"),
        (math.nan, math.nan, 0, "no seed in common"),
    ],
)
def test_the_headline_follows_from_the_interval(
    mean: float, sd: float, seeds: int, words: str, small_runs: Mapping[str, Small], tmp_path: Path
) -> None:
    others = [("single-task", -9.0, 0.1, 3), ("hard-sharing at equal MACs", mean, sd, seeds)]
    found = verdict_of(with_paired(small_runs["two"].run, tmp_path, *others))
    assert words in found.headline
    assert len(found.sentences) == 2
    assert "nan" not in " ".join((found.headline, *found.sentences))
    assert words.startswith(("is", "hurts", "Not")) or "No verdict" in found.headline
    assert len(found.tables) == 1


def test_hard_sharing_under_the_name_of_found_has_no_verdict(
    small_runs: Mapping[str, Small], tmp_path: Path
) -> None:
    run = with_paired(small_runs["two"].run, tmp_path, ("hard-sharing", 0.05, 0.01, 3))
    path = run.files.retrained / "paired.csv"
    assert "better" in verdict_of(run).headline
    pd.read_csv(path).assign(same_network=True).to_csv(path, index=False)
    found = verdict_of(run)
    assert found.headline.startswith("No verdict: the found network shares everything")
    assert "they are one network, so that this is chance" in found.sentences[0]


def test_a_real_run(small_runs: Mapping[str, Small]) -> None:
    found = verdict_of(small_runs["two"].run)
    assert found.tables[0][1].columns[0] == "method"
    assert all("2 paired seeds" in sentence for sentence in found.sentences)


def test_without_retraining_there_is_none(small_runs: Mapping[str, Small], tmp_path: Path) -> None:
    found = verdict_of(small_runs["three"].run)
    assert found.headline == "No verdict: nothing was retrained."
    assert "flatters" in found.sentences[0]
    empty = replace(small_runs["three"].run, path=tmp_path)
    assert "no trial is complete" in verdict_of(empty).headline


def test_without_delta_it_is_said(small_runs: Mapping[str, Small], tmp_path: Path) -> None:
    run = with_paired(small_runs["two"].run, tmp_path, ("hard-sharing", 0.1, 0.1, 3))
    path = run.files.retrained / "paired.csv"
    path.write_text(path.read_text().replace("delta", "a/mae"))
    assert verdict_of(run).headline.startswith("No verdict: there is no Δ")
    missing = with_paired(
        small_runs["two"].run, mkdir(tmp_path / "other"), ("hard-sharing", math.nan, math.nan, 0)
    )
    assert "nan" not in " ".join(verdict_of(missing).sentences)


def test_a_variant_is_named(small_runs: Mapping[str, Small], tmp_path: Path) -> None:
    run = with_paired(small_runs["two"].run, tmp_path, ("hard-sharing", 0.1, 0.1, 3))
    path = run.files.retrained / "paired.csv"
    path.write_text(path.read_text().replace(",found,", ',"found, warm",'))
    said = "The found network stands here as its variant found, warm."
    assert verdict_of(run).sentences[0] == said


def mkdir(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_compare_has_the_last_word(small_runs: Mapping[str, Small], tmp_path: Path) -> None:
    run = with_paired(small_runs["two"].run, tmp_path, ("single-task", 1.0, 0.1, 3))
    page = "# two\n\n- a fact,\n  continued\n- another\n\n## Own cost\n\n| method | Δ |\n|---|--:|\n| a\\|b | +1 |\n\nA note.\n\n"
    page += "## Notes\n\n- nddr: `left` out\n- thirds (own), seed 1 failed: no loss\n\n"
    page += "## Verdict\n\nNo difference: the\ninterval holds zero.\n\nMore seeds.\n"
    (tmp_path / "compare.md").write_text(page, encoding="utf-8")
    found = verdict_of(run)
    assert found.headline == "No difference: the interval holds zero."
    assert found.sentences == ("More seeds.",)
    assert "is better than the single-task networks" in retrained_verdict(run).headline
    assert found.facts == ("a fact, continued", "another")
    assert found.notes == ("nddr: left out", "thirds (own), seed 1 failed: no loss")
    [(title, table)] = found.tables
    assert title == "Own cost"
    assert table.rows == (("a|b", "+1"),)
    assert table.note == "A note."
