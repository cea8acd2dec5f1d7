"""References that nothing can be measured against end a search before its trials, and say why."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sfg_nas.data import DataBundle, Splits, bundle_from_arrays
from sfg_nas.errors import TrainingError
from sfg_nas.study import Progress, Study, retrain, search
from sfg_nas.tasks import Task

Make = Callable[..., Study]


def never_right(part: slice) -> DataBundle:
    """Return data whose class is another one in a part than where networks learn it."""
    images = np.random.default_rng(0).integers(0, 256, (112, 1, 6, 6), dtype=np.uint8)
    classes = np.zeros(112, dtype=np.int64)
    classes[part] = 1
    targets = {"bright": classes, "level": images.mean((1, 2, 3))}
    tasks = [Task("bright", "classification", 2), Task("level", "regression")]
    rows = np.arange(112)
    splits = Splits(rows[:64], rows[64:88], rows[88:])
    return bundle_from_arrays(images, targets, tasks, splits=splits, name="tiny")


def test_a_reference_of_0_ends_the_search_before_its_trials(
    make_study: Make, tmp_path: Path
) -> None:
    study = make_study({"training.epochs": 4}, data=never_right(slice(64, 88)))
    reports: list[Progress] = []
    for _ in range(2):  # and again when it is called again
        with pytest.raises(TrainingError, match="reference of bright/accuracy: a reference other"):
            search(study, runs=tmp_path, progress=reports.append)
    assert {report.stage for report in reports} == {"references"}
    assert not (tmp_path / "tiny" / "trials").exists()


def test_networks_of_double_precision_are_searched_and_retrained(
    make_study: Make, tmp_path: Path
) -> None:
    """Once trained they are doubles, also where their cost is counted."""
    study = make_study({"training.precision": "64", "retrain.seeds": 1})
    run = search(study, runs=tmp_path, trials=1)
    table = retrain(study, run.best, runs=tmp_path)
    assert "found" in table.index.get_level_values(0)
    plain = search(make_study(), runs=tmp_path / "single", trials=1)
    costs = [json.loads(r.files.references.read_text())["macs"] for r in (run, plain)]
    assert costs[0] == costs[1]


def test_a_stored_reference_of_0_ends_it_too(make_study: Make, tmp_path: Path) -> None:
    study = make_study()
    path = search(study, runs=tmp_path, trials=1).files.references
    content = json.loads(path.read_text())
    content["values"]["level/mae"] = 0.0
    path.write_text(json.dumps(content))
    with pytest.raises(TrainingError, match=r"level/mae.*nothing is left to gain"):
        search(study, runs=tmp_path, trials=2)


def test_references_that_diverge_are_named(make_study: Make, tmp_path: Path) -> None:
    study = make_study({"training.learning_rate": 1e30})
    with pytest.raises(
        TrainingError,
        match=r"^references: single-task networks: training: epoch 1, step 1: .*level",
    ):
        search(study, runs=tmp_path)


def test_hard_sharing_that_diverges_is_named(
    make_study: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    widths = {"references.widths": [0.5, 1.0], "references.seeds": 1}
    study = make_study({"search.objectives": ["advantage"], **widths})
    from sfg_nas.study import references

    whole, calls = references.defined_scores, []

    def second_fails(*arguments: object) -> dict[str, float]:
        calls.append(arguments)
        if len(calls) == 2:
            raise TrainingError("evaluation of task level: every output must be finite")
        return whole(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(references, "defined_scores", second_fails)
    words = "references: hard sharing at 0.5 of the width, training 0: after the last epoch: eval"
    with pytest.raises(TrainingError, match=f"^{words}"):
        search(study, runs=tmp_path)
