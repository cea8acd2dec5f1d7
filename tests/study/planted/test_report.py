"""The report on planted data, with scores that are given: words, tables, resuming."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pytest

from sfg_nas.config import Value
from sfg_nas.study import Study, load_study
from sfg_nas.study.planted import PlantedReport, as_markdown, planted_report, position, spearman
from sfg_nas.study.planted import report as module
from sfg_nas.study.planted.dial import DIAL


def planted(changes: Mapping[str, Value] | None = None) -> Study:
    source: dict[str, Value] = {
        "name": "small",
        "data": {
            "kind": "planted", "size": 8, "factors": 2, "train": 64, "validation": 30, "test": 8,
        },
        "backbone": {"kind": "vgg11", "width": 0.125, "depth": 2},
        "sharing": {"start": {"kind": "near-shared", "confidence": 0.6}},
        "training": {"epochs": 1, "batch_size": 16, "allocation_learning_rate": 1e-2},
        "search": {"space": {}},
    }  # fmt: skip
    return load_study(source, dict(changes or {}))


def given(
    monkeypatch: pytest.MonkeyPatch, *, auroc: float, slope: float, place: float
) -> list[str]:
    """Put given scores in place of searches, and return the list of the calls."""
    calls: list[str] = []

    def bank(study: Study, *, seed: int) -> dict[str, float]:
        sharing, tasks = study.config.sharing, len(study.data.tasks)
        epochs = study.config.training.epochs
        calls.append(f"bank {sharing.relaxation} {sharing.groups} {tasks} {seed}")
        calls[-1] += f", {epochs} epochs from {sharing.start.kind}"
        return {"auroc": auroc + 0.01 * seed, "accuracy": 0.5, "confidence": 0.4}

    def dial(study: Study, relatedness: float, *, seed: int) -> dict[str, float]:
        assert study.config.data.kind == "planted"
        calls.append(f"dial {relatedness} {seed}")
        macs = dict.fromkeys(("macs", "macs_random", "macs_oracle"), 0.5)
        shared = 0.3 + slope * relatedness + 0.01 * seed
        return {"shared": shared, **macs, "found": 0.1 * place, "oracle": 0.1 + 0.001 * seed}

    monkeypatch.setattr(module, "score_bank", bank)
    monkeypatch.setattr(module, "score_dial", dial)
    return calls


def test_words_follow_from_the_scores(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    calls = given(monkeypatch, auroc=0.96, slope=0.2, place=0.8)
    good = planted_report(planted(), tmp_path / "good", seeds=(0, 1))
    assert "missed" not in " ".join(good.words)
    assert calls[:3] == [
        "bank connections specialists 2 0, 1 epochs from near-shared",
        "bank streams specialists 2 0, 1 epochs from near-shared",
        "bank connections lattice 3 0, 3 epochs from thirds",
    ]
    assert "0.965 ± 0.007 over 2 searches" in good.words[0]
    assert "rank correlation of 1.00" in " ".join(good.words)
    given(monkeypatch, auroc=0.6, slope=-0.2, place=-0.4)
    bad = planted_report(planted(), tmp_path / "bad", seeds=(0, 1))
    assert " ".join(bad.words).count("missed") == 5
    assert "rank correlation of -1.00" in " ".join(bad.words)
    text = as_markdown(good)
    assert text.startswith("## Does it find the truth?")
    assert "| connections | 0.965 ± 0.007 | 0.500 ± 0.000 |" in text
    assert text.count("\n| 0.25 |") == 1


def test_it_goes_on_where_it_stopped_and_starts_anew_with_other_settings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    calls = given(monkeypatch, auroc=0.9, slope=0.1, place=0.5)
    first = planted_report(planted(), tmp_path, seeds=(0,))
    assert len(calls) == 3 + len(DIAL)
    second = planted_report(planted(), tmp_path, seeds=(0, 1))
    assert len(calls) == 2 * (3 + len(DIAL))
    assert second.dial[second.dial["seed"] == 0].reset_index(drop=True).equals(first.dial)
    planted_report(planted({"sharing.lambda3": 0.1}), tmp_path, seeds=(0,))
    assert len(calls) == 3 * (3 + len(DIAL))


def test_an_oracle_that_is_no_better_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    given(monkeypatch, auroc=0.9, slope=0.1, place=0.5)
    report = planted_report(planted(), tmp_path, seeds=(0,))
    assert "ill-defined" not in " ".join(report.words)
    assert "the oracle's +0.100 (one seed, no error)" in " ".join(report.words)
    worse = module._words(report.bank, report.dial.assign(oracle=-0.1))
    assert "ill-defined" in " ".join(worse)


def test_the_error_is_over_seeds_and_not_over_settings() -> None:
    dial = pd.DataFrame(
        {
            "relatedness": [0.0, 1.0] * 2,
            "seed": [0, 0, 1, 1],
            "shared": [0.1, 0.2, 0.1, 0.2],
            "found": [-0.8, 1.0, -0.6, 1.2],  # 0.1 and 0.3 by seed: 0.1414 / 2 ** 0.5
            "oracle": [0.3, 0.5, 0.2, 0.6],
        }
    )
    bank = pd.DataFrame({"bank": ["streams"], "seed": [0], "auroc": [1.0], "accuracy": [1.0]})
    words = " ".join(module._words(bank, dial))
    assert "gain +0.200 ± 0.100 over random" in words
    assert "the oracle's +0.400 ± 0.000: 0.50 of the way" in words
    assert "ill-defined" not in words
    apart = dial.assign(oracle=[-0.3, 0.5, 0.2, 1.2])
    assert "ill-defined" in " ".join(module._words(bank, apart))


def test_one_seed_has_no_spread() -> None:
    bank = pd.DataFrame(
        {"bank": list(module.BANKS), "seed": 0, "auroc": 0.9, "accuracy": 1.0, "confidence": 0.8}
    )
    dial = pd.DataFrame({"relatedness": [0.0, 1.0], "seed": 0, "shared": [0.0, 1.0], "macs": 0.5})
    dial = dial.assign(found=0.1, oracle=0.2)
    words = module._words(bank, dial)
    assert "AUROC 0.900 over 1 search (" in words[0]
    assert "nan" not in as_markdown(PlantedReport(bank, dial, words))


def test_rank_correlation_and_position_by_hand() -> None:
    rows = pd.DataFrame(
        {
            "relatedness": [0.0, 0.5, 1.0] * 2,
            "shared": [0.1, 0.2, 0.9, 0.3, 0.4, 0.2],  # means 0.2, 0.3, 0.55
            "found": [0.0, 0.1, 0.2, 0.0, 0.1, 0.2],
            "oracle": [0.2] * 6,
        }
    )
    assert spearman(rows) == pytest.approx(1.0)
    assert position(rows) == pytest.approx(0.5)
    swapped = rows.assign(shared=[0.3, 0.1, 0.2, 0.3, 0.1, 0.2])  # ranks 3, 1, 2: 1 - 6 * 6 / 24
    assert spearman(swapped) == pytest.approx(-0.5)
    assert pd.isna(spearman(rows.assign(shared=0.5)))


@pytest.mark.slow
def test_all_of_it_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module, "DIAL", (0.5,))
    report = planted_report(planted(), tmp_path, seeds=(0,))
    assert isinstance(report, PlantedReport)
    assert report.bank["bank"].tolist() == ["connections", "streams", "lattice"]
    assert report.dial["relatedness"].tolist() == [0.5]
    for column in ("macs_random", "macs_oracle"):
        relative = report.dial[column] / report.dial["macs"]
        assert ((relative - 1).abs() < 0.25).all(), relative
    assert report.dial["shared"].between(0, 1).all()
