"""Which trainings a comparison needs: the tuning of each method, its seeds, its twin at equal MACs."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import cast

from sfg_nas.compare.content import read_content
from sfg_nas.compare.entrant import Entrant, Setting
from sfg_nas.compare.job import EQUAL, OWN, TUNING, Job, stored, trained
from sfg_nas.compare.plain import HARD_SHARING, study_macs
from sfg_nas.errors import ConversionError
from sfg_nas.study import locked
from sfg_nas.study.equal_cost import CLOSE, fit_width
from sfg_nas.tasks import mean_quality
from sfg_nas.training import write_json

HARD_SHARING_AT_A_WIDTH = ("hard-sharing-scaled", "hard-sharing-at-found")
"""Methods that have no twin at equal MACs, since there they are hard sharing itself."""


def rates(setting: Setting) -> list[float]:
    """Return the learning rates that each method tries, in equal steps of the logarithm.

    Args:
        setting: The comparison.
    """
    section, middle = setting.section, setting.learning_rate
    count = section.tuning_trials
    if count == 1:
        return [middle]
    steps = [2 * i / (count - 1) - 1 for i in range(count)]
    reach = section.tuning_factor if count > 2 else section.tuning_factor**0.5
    return [float(f"{middle * reach**step:.4g}") for step in steps]


def tuning_jobs(setting: Setting, entrants: Sequence[Entrant]) -> list[Job]:
    """Return the trainings that choose each method's learning rate; none if there is one rate only.

    Args:
        setting: The comparison.
        entrants: The methods.
    """
    tried = rates(setting)
    if len(tried) == 1:
        return []
    return [
        Job(entrant.name, f"{TUNING}-{number}", 0, entrant.own_factor, rate)
        for entrant in entrants
        for number, rate in enumerate(tried)
    ]


def chosen_rate(setting: Setting, entrant: Entrant) -> float:
    """Return the learning rate with the best score on validation; the middle one if nothing was tried.

    Args:
        setting: The comparison.
        entrant: The method; its tuning is done.
    """
    best: tuple[float, float] | None = None
    for job in tuning_jobs(setting, [entrant]):
        content = stored(job, entrant, setting)
        if content:
            score = mean_quality(_first_scores(content), setting.study.tasks)
            if best is None or score > best[0]:
                best = (score, job.learning_rate)
    return setting.learning_rate if best is None else best[1]


def _first_scores(content: dict[str, object]) -> dict[str, float]:
    readings = content["readings"]
    assert isinstance(readings, list)
    scores: dict[str, float] = readings[0]["scores"]
    return scores


@dataclass(frozen=True)
class Twin:
    """A method at the width at which it costs as much as hard sharing.

    Attributes:
        factor: On its width, or None if no width does.
        same: Whether it costs as much at its own width already.
        reason: Why no width does, if another reason than the costs.
    """

    factor: float | None
    same: bool = False
    reason: str = ""


def twin_of(setting: Setting, entrant: Entrant, seed: int, reference: int) -> Twin:
    """Return a method's twin at equal MACs, looked up once and kept.

    A method that learns its network has one once it is trained at its own width: the width at which the network learned
    there would cost as much. What it learns at that width may cost something else.

    Args:
        setting: The comparison.
        entrant: The method.
        seed: Of the comparison; matters only to methods that draw their networks.
        reference: MACs of hard sharing.
    """
    learned = entrant.macs is None
    if entrant.name.startswith(HARD_SHARING_AT_A_WIDTH) or (
        learned and entrant.learned_macs is None
    ):
        return Twin(None)
    own = Job(entrant.name, OWN, seed, entrant.own_factor, chosen_rate(setting, entrant))
    if learned and not stored(own, entrant, setting):
        return Twin(None)
    if entrant.name == HARD_SHARING:
        return Twin(1.0, same=True)
    place = str(seed) if entrant.varies or learned else "all"
    path = setting.files.root / "compared" / entrant.name / f"width-{place}.json"
    key = {"reference": reference, "options": dict(entrant.options)}
    key |= {"learning_rate": own.learning_rate, "epochs": setting.epochs} if learned else {}
    key = json.loads(json.dumps(key))
    with locked(setting.files.lock(f"compare-width-{entrant.name}-{place}")):
        content = read_content(path, "width")
        if content.get("key") == key:
            factor = cast("float | None", content["factor"])
            return Twin(factor, bool(content["same"]), str(content.get("reason", "")))
        twin = _fitted(entrant, _cost(setting, entrant, own), reference)
        write_json(path, {"key": key, **asdict(twin)})
    return twin


def _cost(setting: Setting, entrant: Entrant, own: Job) -> Callable[[float], int]:
    """Return what a method costs at a factor on its width."""
    if entrant.macs is not None:
        macs, root = entrant.macs, own.root(setting)
        return lambda factor: macs(factor, root)
    assert entrant.learned_macs is not None
    learned, module = entrant.learned_macs, trained(own, entrant, setting).method.module
    return lambda factor: learned(module, factor)


def _fitted(entrant: Entrant, cost: Callable[[float], int], reference: int) -> Twin:
    if abs(cost(entrant.own_factor) / reference - 1) < CLOSE:
        return Twin(entrant.own_factor, same=True)
    try:
        fit = fit_width(cost, reference)
    except ConversionError as err:  # a network of one size that does not run at another
        return Twin(None, reason=str(err))
    return Twin(None if fit is None else fit.factor)


def seed_jobs(setting: Setting, entrants: Sequence[Entrant], seeds: int) -> list[Job]:
    """Return the trainings whose results are reported, seed by seed.

    Asked again once they are done, it has the twins of the methods that learn their networks, too.

    Args:
        setting: The comparison.
        entrants: The methods; their tuning is done.
        seeds: How many seeds.
    """
    reference = study_macs(setting.study)
    jobs: list[Job] = []
    chosen = {entrant.name: chosen_rate(setting, entrant) for entrant in entrants}
    for seed in range(seeds):
        for entrant in entrants:
            rate = chosen[entrant.name]
            jobs.append(Job(entrant.name, OWN, seed, entrant.own_factor, rate))
            if not setting.section.equal_macs:
                continue
            twin = twin_of(setting, entrant, seed, reference)
            if twin.factor is not None and not twin.same:
                jobs.append(Job(entrant.name, EQUAL, seed, twin.factor, rate))
    return jobs
