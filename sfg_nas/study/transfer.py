"""What another run found, as a start: its best candidates are tried, with assignments near its allocations."""

from __future__ import annotations

from sfg_nas.errors import ConfigError, explain
from sfg_nas.search_space import SearchSpace
from sfg_nas.study.place import Place
from sfg_nas.study.run import Run
from sfg_nas.study.trial_reader import Trial

MOST = 3
"""Candidates that are taken from another run."""


def best_of(source: Run, most: int = MOST) -> list[Trial]:
    """Return the trials of a run that are worth taking along: the best, then the rest of its front by Δ.

    Args:
        source: The other run.
        most: How many at most.

    Raises:
        TrainingError: If no trial of it is complete.
    """
    front = sorted(source.pareto(), key=lambda trial: -trial.delta)
    best = source.best
    return [best, *(trial for trial in front if trial.number != best.number)][:most]


def shared_values(trial: Trial, space: SearchSpace) -> dict[str, str | int | float | bool]:
    """Return the values of a candidate that another space has, too; the sampler fills in the rest.

    Args:
        trial: Of the other run.
        space: Of the new study.
    """
    known = dict(space.dimensions)
    return {k: v for k, v in trial.candidate.items() if k in known and known[k].contains(v)}


def transfer(place: Place, space: SearchSpace, source: Run) -> None:
    """Enqueue the best candidates of another run; doing so again changes nothing.

    Args:
        place: The new run.
        space: Of the new study.
        source: The other run.

    Raises:
        ConfigError: If it is the same run.
        TrainingError: If no trial of it is complete.
    """
    if source.path.resolve() == place.files.root.resolve():
        raise ConfigError(
            explain(
                where="--from",
                rule="another run is needed",
                found=str(source.path),
                do="leave it out; a run goes on by itself",
            )
        )
    with place.locks.hold("begin"):
        for trial in best_of(source):
            name = f"{source.name}-{trial.number}"
            file = place.files.transferred(name)
            file.parent.mkdir(parents=True, exist_ok=True)
            trial.allocation.save(file)
            place.courier.send(file)
            place.store.enqueue_near(shared_values(trial, space), name)
