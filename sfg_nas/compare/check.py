"""What can be known to be wrong with a comparison before anything is trained."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from sfg_nas.compare.entrant import Entrant, Setting
from sfg_nas.compare.methods import chosen, expand, make, needs_search, trouble
from sfg_nas.config import Finding, SearchConfig, Value
from sfg_nas.errors import ConfigError, SfgNasError, explain
from sfg_nas.study import Run, RunFiles

_FAILED = ("failed", "pruned")


def findings(raw: Mapping[str, Value], runs: Path | None = None) -> Iterator[Finding]:
    """Yield what is wrong with the section `compare` by itself: names of methods, and the trial.

    Args:
        raw: A study's mapping, of any types.
        runs: Where the study's run may be, with more trials than the study asks for.
    """
    section, search = _section(raw, "compare"), _section(raw, "search")
    methods, trial = section.get("methods"), section.get("trial", "best")
    named = methods if isinstance(methods, list) else []
    for position, name in enumerate(named):
        wrong = trouble(name) if isinstance(name, str) else None
        if wrong is not None:
            rule, do = wrong
            yield ("compare", "methods", position), rule, f"`{name}`", do
    known = [name for name in named if isinstance(name, str) and trouble(name) is None]
    count = search.get("trials", SearchConfig().trials)
    if not isinstance(trial, str | int) or not isinstance(count, int):
        return  # another check says so
    if needs_search(chosen(None if methods is None else known)):
        name = raw.get("name")
        own = None if runs is None or not isinstance(name, str) else RunFiles(runs / name)
        missing = _trial_trouble(trial, count, {} if own is None else _ended(own))
        if missing is not None:
            yield ("compare", "trial"), *missing


def _section(raw: Mapping[str, Value], name: str) -> Mapping[str, Value]:
    value = raw.get(name)
    return value if isinstance(value, dict) else {}


def check_names(names: Sequence[str] | None) -> None:
    """Refuse methods that do not exist, all at once.

    Args:
        names: Of methods; None for the usual ones.

    Raises:
        ConfigError: If there are some, or one name stands where a list is needed.
    """
    if isinstance(names, str):
        rule, do = "a list of methods is needed", f"write [{names!r}]"
        raise ConfigError(explain(where="compare: methods", rule=rule, found=repr(names), do=do))
    wrong = [(name, found) for name in names or () if (found := trouble(name)) is not None]
    if wrong:
        where = "compare.methods"
        lines = [explain(where=where, rule=r, found=f"`{name}`", do=do) for name, (r, do) in wrong]
        raise ConfigError("\n".join(lines))


def check_trial(which: str | int, count: int, files: RunFiles) -> None:
    """Refuse a trial that a study's own search does not have, before it is searched.

    Args:
        which: `best`, or a number.
        count: Trials of the search.
        files: Of the study's run, which need not be there.

    Raises:
        ConfigError: If there will be no such trial, or it has failed.
    """
    wrong = _trial_trouble(which, count, _ended(files))
    if wrong is not None:
        rule, found, do = wrong
        raise ConfigError(explain(where="compare.trial", rule=rule, found=found, do=do))


def _ended(files: RunFiles) -> dict[int, str]:
    """Return the states of a run's trials, none if there is no run yet."""
    return {t.number: t.state for t in Run.load(files.root).all} if files.study.exists() else {}


def _trial_trouble(
    which: str | int, count: int, states: Mapping[int, str]
) -> tuple[str, str, str] | None:
    """Return what must hold, what was found and what to do; None if the trial is there or may come."""
    rule = "`best` or the number of a complete trial is needed"
    complete = [str(number) for number, state in states.items() if state == "complete"]
    known = f"the complete trials are {', '.join(complete)}" if complete else "give `best`"
    text = str(which)
    if text == "best":
        return None
    if not text.isdecimal():
        return rule, repr(which), known
    if int(text) in states:
        state = states[int(text)]
        return (rule, f"{text}, which is {state}", known) if state in _FAILED else None
    if int(text) < count:
        return None
    do = f"{known}, raise search.trials, or take another run's (`compare --from RUN`)"
    return rule, f"{text}, of a search with trials 0 to {count - 1}", do


def check_methods(
    setting: Setting, names: Sequence[str], entrant: Callable[[str], Entrant] | None = None
) -> None:
    """Refuse methods that this network does not have, as far as they need no search; all at once.

    Args:
        setting: The comparison.
        names: Of methods that exist.
        entrant: Makes a method by name; None for `make`.

    Raises:
        ConfigError: If there are some.
    """
    wrong: list[str] = []
    alone = [name for name in names if not needs_search([name])]
    for name in expand(setting, alone):
        try:
            made = make(setting, name) if entrant is None else entrant(name)
            if made.macs is not None and not made.varies:
                made.macs(made.own_factor, 0)
        except SfgNasError as error:
            wrong.append(f"compare.methods: {name}: {error}")
    if wrong:
        raise ConfigError("\n".join(wrong))
