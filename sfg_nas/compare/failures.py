"""Trainings that failed, in words: one reason is said once, with the seeds that it holds for."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sfg_nas.compare.entrant import Entrant, Setting
from sfg_nas.compare.job import OWN, Job, stored
from sfg_nas.compare.methods import ALWAYS
from sfg_nas.compare.plan import chosen_rate, tuning_jobs
from sfg_nas.compare.pool import Team
from sfg_nas.errors import TrainingError, explain

_NUMBER = re.compile(r"\d+")


def failures(team: Team, jobs: Sequence[Job]) -> list[str]:
    """Return why trainings failed, a line for each method, scale and reason.

    Reasons that differ in numbers alone (the step of a loss that is not finite) count as one; the first seed's is said.

    Args:
        team: Knows the methods.
        jobs: The trainings.

    Raises:
        TrainingError: If a reference failed, which everything else is measured against.
    """
    alike: dict[tuple[str, str, str], list[tuple[int, str]]] = {}
    for job in jobs:
        content = stored(job, team.entrant(job.entrant), team.setting, "failed")
        if content:
            reason = str(content["reason"])
            key = job.entrant, job.scale, _NUMBER.sub("0", reason)
            alike.setdefault(key, []).append((job.seed, reason))
    said = [
        (name in ALWAYS and scale == OWN, _line(f"{name} ({scale})", found))
        for (name, scale, _), found in alike.items()
    ]
    references = [text for needed, text in said if needed]
    if references:
        raise TrainingError(
            explain(
                where="compare",
                rule="the references must be trained",
                found="; ".join(references),
                do="mend this first, as everything else is measured against them",
            )
        )
    return [text for _, text in said]


def lost_rates(setting: Setting, entrants: Sequence[Entrant]) -> list[str]:
    """Return a line for each method that failed with some learning rate when it was tuned: it had fewer to choose from.

    Args:
        setting: The comparison.
        entrants: The methods; their tuning is done.
    """
    said: list[str] = []
    for entrant in entrants:
        jobs = tuning_jobs(setting, [entrant])
        reasons = {
            job.learning_rate: content["reason"]
            for job in jobs
            if (content := stored(job, entrant, setting, "failed"))
        }
        if not reasons:
            continue
        rates = ", ".join(f"{rate:g}" for rate in reasons)
        text = f"{entrant.name}: tuning failed at {rates}: {next(iter(reasons.values()))}"
        if len(reasons) == len(jobs):
            text += f"; it has {chosen_rate(setting, entrant):g}, which was not chosen"
        said.append(text)
    return said


def _line(name: str, found: Sequence[tuple[int, str]]) -> str:
    seeds = ", ".join(str(seed) for seed, _ in found)
    several = "seed" if len(found) == 1 else "seeds"
    first = "" if len({reason for _, reason in found}) == 1 else ", the first of them"
    return f"{name}, {several} {seeds} failed{first}: {found[0][1]}"
