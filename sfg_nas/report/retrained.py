"""Which network a run's last retraining or comparison was of, where it is not the best trial's; how to call retrain again."""

from __future__ import annotations

from dataclasses import dataclass

from sfg_nas.study import Run, Trial
from sfg_nas.study.retrain import LAST
from sfg_nas.study.stored import Check, is_count, is_text, read_object


@dataclass(frozen=True)
class Retrained:
    """What was retrained last.

    Attributes:
        digest: Of its architecture.
        method: `found`, or a variant of it.
        seeds: How many trainings of each network were asked for.
        trial: Who found it, perhaps under another choice; the best one if it did, None if none did.
    """

    digest: str
    method: str
    seeds: int
    trial: Trial | None


def last_retrained(run: Run) -> Retrained | None:
    """Return what a run's last retraining was of, or None if there was none, or it is from before that was kept.

    Args:
        run: A run.

    Raises:
        ArchitectureError: If the file that says so is damaged.
    """
    path = run.files.retrained / LAST
    if not path.is_file():
        return None
    keys: dict[str, Check] = {"architecture": is_text, "method": is_text, "seeds": is_count}
    stored = read_object(path, what="what was retrained last", keys=keys)
    digest, seeds = str(stored["architecture"]), int(str(stored["seeds"]))
    return Retrained(digest, str(stored["method"]), seeds, _trial_of(run, digest))


def _trial_of(run: Run, digest: str) -> Trial | None:
    trials = [run.best, *run.choices] if run.complete else []
    return next((trial for trial in trials if trial.architecture.hash == digest), None)


def another_network(run: Run) -> list[str]:
    """Return a sentence if what was retrained last is not the network of the best trial, which a report shows.

    Args:
        run: A run.

    Raises:
        ArchitectureError: If the file that says so is damaged.
    """
    last = last_retrained(run)
    return [] if last is None else _unlike_the_best(run, "retrained", last.digest, last.trial)


def another_compared(run: Run) -> list[str]:
    """Return a sentence if what was compared as `found` is not the network of the best trial, which a report shows.

    Args:
        run: A run with a comparison.

    Raises:
        ArchitectureError: If the file that says so is damaged.
    """
    path = run.path / "compared" / "found" / "own" / "0" / "metrics.json"
    if not path.is_file():
        return []
    keys: dict[str, Check] = {"architecture": is_text}
    stored = read_object(path, what="a compared network", keys=keys, others=True)
    digest = str(stored["architecture"])
    return _unlike_the_best(run, "compared as found", digest, _trial_of(run, digest))


def _unlike_the_best(run: Run, what: str, digest: str, trial: Trial | None) -> list[str]:
    if not run.complete or digest == run.best.architecture.hash:
        return []
    if trial is None:
        whose = f"one that no trial here found, {digest}"
    else:
        chosen = f", chosen by {trial.choice}" if _is_distilled(trial) else ""
        whose = f"that of trial {trial.number}{chosen}"
    best = run.best.number
    return [f"What was {what} is not the network of the best trial, {best}, but {whose}."]


def retrain_call(run: Run, data: str) -> str:
    """Return the call of `retrain` that gives a run's last retraining again, in a folder of runs NEW.

    Args:
        run: A run.
        data: Options that say where the data lies.
    """
    last, section = last_retrained(run), run.config.retrain
    if last is None:
        return f"sfg-nas retrain NEW/{run.name}{data}"
    words = ["sfg-nas", "retrain", f"NEW/{run.name}"]
    if last.trial is not None:
        same = last.trial.number == run.best.number
        words += [] if same else ["--trial", str(last.trial.number)]
        words += ["--distill", _rule(last.trial)] if _is_distilled(last.trial) else []
    else:
        words[2:] = [
            f"{last.digest}.json",
            "--study",
            f"NEW/{run.name}/study.yaml",
            "--runs",
            "NEW",
        ]
    words += ["--seeds", str(last.seeds)] if last.seeds != section.seeds else []
    words += ["--init", "warm"] if "warm" in last.method and section.init != "warm" else []
    words += ["--teacher"] if "teacher" in last.method and not section.teacher else []
    return " ".join(words) + data


def _is_distilled(trial: Trial) -> bool:
    return trial.files.root.name != str(trial.number)


def _rule(trial: Trial) -> str:
    """Return a choice's label, such as `layers-budget-0.6-macs`, as `--distill` takes it."""
    granularity, rule, *rest = trial.choice.split("-", 2)
    value, *unit = "".join(rest).rsplit("-", 1) if rule == "budget" else ("".join(rest),)
    return ",".join([granularity, f"{rule}={value}" if value else rule, *unit])
