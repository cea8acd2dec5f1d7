from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sfg_nas.errors import ConfigError
from sfg_nas.search_space import SearchSpace
from sfg_nas.study import Run, Study, search
from sfg_nas.study.transfer import best_of, shared_values

Make = Callable[..., Study]


@pytest.fixture
def source(make_study: Make, tmp_path: Path) -> Run:
    return search(make_study({"name": "before"}), runs=tmp_path, trials=2)


def test_the_best_come_first_near_their_allocations(
    make_study: Make, tmp_path: Path, source: Run
) -> None:
    own = {"sharing.temperature.start": 2.0, "sharing.lambda3": 0.5}
    changes = {"search.enqueue": [own], "sharing.start.confidence": 0.99, "training.epochs": 1}
    study = make_study(
        {**changes, "backbone.width": 2.0, "training.allocation_learning_rate": 1e-6}
    )
    run = search(study, runs=tmp_path, trials=2, source=source)
    again = search(study, runs=tmp_path, trials=2, source=source)
    assert again.trials().equals(run.trials())
    assert dict(run.all[0].candidate) == own
    best = source.best
    assert run.all[1].candidate == best.candidate
    # Twice as wide: each filter of the old one stands for two of the new one.
    for layer, groups in best.allocation.layers.items():
        wide = run.all[1].allocation.layers[layer]
        assert list(wide) == [group for group in groups for _ in range(2)]
    assert len(list((run.path / "transferred").iterdir())) == len(best_of(source))


def test_known_good_candidates_come_first(make_study: Make, tmp_path: Path, source: Run) -> None:
    entry = {"type": "float", "low": 0.0, "high": 1.0, "first": 0.25}
    own = {"sharing.lambda3": 0.75}
    study = make_study(
        {"search.space": {"sharing.lambda3": entry}, "search.enqueue": [own], "training.epochs": 1}
    )
    for trials in (2, 3):  # asked for once, however often the search goes on
        run = search(study, runs=tmp_path, trials=trials, source=source)
    values = [trial.candidate["sharing.lambda3"] for trial in run.all]
    assert values == [0.75, 0.25, source.best.candidate["sharing.lambda3"]]


def test_values_that_the_new_space_lacks_are_left_to_the_sampler(source: Run) -> None:
    entries = {"sharing.lambda3": {"type": "float", "low": 0.0, "high": 1e-9}, "backbone.depth": {
        "type": "int", "low": 1, "high": 2}}  # fmt: skip
    trial = source.all[0]
    assert shared_values(trial, SearchSpace.from_mapping(entries)) == {}
    entries["sharing.lambda3"]["high"] = 1.0
    found = shared_values(trial, SearchSpace.from_mapping(entries))
    assert found == {"sharing.lambda3": trial.candidate["sharing.lambda3"]}


def test_a_run_is_no_source_of_itself(make_study: Make, tmp_path: Path, source: Run) -> None:
    with pytest.raises(ConfigError, match="another run is needed"):
        search(make_study({"name": "before"}), runs=tmp_path, source=source)
