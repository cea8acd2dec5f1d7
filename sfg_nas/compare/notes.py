"""What a reader must know of single methods: which have no row at equal MACs, and why; and of the whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sfg_nas.compare.entrant import Entrant, Setting
from sfg_nas.compare.job import EQUAL, OWN, Job, stored
from sfg_nas.compare.plain import study_macs
from sfg_nas.compare.plan import HARD_SHARING_AT_A_WIDTH, twin_of
from sfg_nas.study.equal_cost import NEAR

GIVEN_WEIGHTS = (
    "the backbone comes with weights of its own: every network starts from them, one that is divided among groups "
    "or narrower from a part of them, a wider one from some of them twice"
)
"""What a reader must know of a comparison of pretrained networks."""


def without_equal_macs(
    setting: Setting, jobs: Sequence[Job], entrant: Callable[[str], Entrant]
) -> list[str]:
    """Return a note on each method that lacks a row at equal MACs for some seed, with the reason.

    Trainings that failed are told of elsewhere.

    Args:
        setting: The comparison.
        jobs: Its trainings.
        entrant: Gives a method by name.
    """
    if not setting.section.equal_macs:
        return []
    reference = study_macs(setting.study)
    reasons: dict[tuple[str, str], list[int]] = {}
    for job in jobs:
        method = entrant(job.entrant)
        reason = _reason(setting, job, method, reference)
        if reason:
            reasons.setdefault((job.entrant, reason), []).append(job.seed)
    every = {job.seed for job in jobs}
    return [
        f"{name}: no row at equal MACs{_of(seeds, every)}: {reason}"
        for (name, reason), seeds in reasons.items()
    ]


def _reason(setting: Setting, job: Job, method: Entrant, reference: int) -> str:
    """Return why a training has no twin, or why it is none; empty if there is nothing to say."""
    content = stored(job, method, setting)
    if not content:
        return ""
    if job.scale == EQUAL:
        readings = content["readings"]
        assert isinstance(readings, list)
        share = readings[0]["macs"] / reference
        far = abs(share - 1) > NEAR
        return f"what it learned anew there costs {share:.2f} of hard sharing" if far else ""
    if job.scale != OWN:
        return ""
    if job.entrant.startswith(HARD_SHARING_AT_A_WIDTH):
        itself = job.factor == 1.0
        return "it is hard sharing itself" if itself else "it is hard sharing at another width"
    twin = twin_of(setting, method, job.seed, reference)
    if twin.factor is not None:
        return ""
    return twin.reason or f"no width comes within {NEAR:.0%} of hard sharing"


def _of(seeds: Sequence[int], every: set[int]) -> str:
    if set(seeds) == every:
        return ""
    word = "seed" if len(seeds) == 1 else "seeds"
    return f" for {word} {', '.join(map(str, sorted(seeds)))}"
