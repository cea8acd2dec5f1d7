"""The option `--distill`: from a few words to values of the study's section of that name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from sfg_nas.cli.find import device_of, ready_study
from sfg_nas.cli.options import Common
from sfg_nas.errors import ConfigError, explain

if TYPE_CHECKING:
    from sfg_nas.config import Value
    from sfg_nas.study import Run, Trial

EXAMPLE = "layers,threshold=0.7"
_WORDS = {
    **dict.fromkeys(("filters", "layers", "blocks"), "granularity"),
    **dict.fromkeys(("argmax", "threshold", "budget"), "rule"),
    **dict.fromkeys(("macs", "params", "microseconds"), "unit"),
}

Distill = Annotated[
    str | None,
    typer.Option(
        "--distill",
        metavar="RULE",
        help="How filters take their groups, instead of the study's `distill`, by commas, such as layers,budget=0.6: "
        "filters, layers or blocks; argmax, threshold=0.7 or budget=0.6; macs, params or microseconds of the budget.",
    ),
]


def distill_changes(text: str | None) -> dict[str, Value]:
    """Return the values of the section `distill` that a text such as `layers,budget=0.6` means.

    Args:
        text: What the user typed; None changes nothing.

    Raises:
        ConfigError: If a word is unknown or a key given twice.
    """
    from sfg_nas.config import did_you_mean, parse_yaml

    found: dict[str, Value] = {}
    if text is None:
        return found
    keys = ("rule", "granularity", "threshold", "budget", "unit")
    for word in text.split(","):
        key, equals, value = (part.strip() for part in word.partition("="))
        if not equals and key in _WORDS:
            key, value = _WORDS[key], key
        elif not equals or key not in keys:
            rule = f"words such as `{EXAMPLE}` are needed"
            do = did_you_mean(key, [*_WORDS, *keys], what="words")
            if equals and _WORDS.get(key) == "unit":
                do = f"write budget={value},{key}"
            raise ConfigError(explain(where="--distill", rule=rule, found=repr(word), do=do))
        if f"distill.{key}" in found:
            rule, do = "each is given once", "keep one"
            raise ConfigError(explain(where="--distill", rule=rule, found=repr(text), do=do))
        found[f"distill.{key}"] = parse_yaml(value, name="--distill").value
    for rule in ("threshold", "budget"):
        if f"distill.{rule}" in found:
            found.setdefault("distill.rule", rule)
    defaults: dict[str, Value] = {"rule": "argmax", "granularity": "filters", "threshold": None}
    defaults |= {"budget": None, "unit": "macs"}
    return {f"distill.{key}": value for key, value in defaults.items()} | found


def redistilled(run: Run, trials: Sequence[Trial], text: str, common: Common) -> list[Trial]:
    """Return the trials as another rule chooses from their supernets, with a ledger each.

    Args:
        run: The run.
        trials: Complete trials of it.
        text: What the user typed.
        common: The shared options.

    Raises:
        ConfigError: If the text is wrong, or nothing fits the budget.
        DataError: If the study's data, which the choice is scored on, is missing.
    """
    from sfg_nas.config import override
    from sfg_nas.study import redistill

    how = override(run.config, distill_changes(text), where="--distill").distill
    there = [{other.files.root.name: other for other in trial.distilled} for trial in trials]
    if all(how.label in found for found in there):
        return [found[how.label] for found in there]
    ready = ready_study(run.files.study, common, {})
    device = device_of(common)
    return [redistill(ready, run, trial, how, device=device) for trial in trials]


def refuse_choices(trial: str, text: str | None, found: str) -> None:
    """Refuse to choose a trial, or anew from its supernet, where an architecture's file is given in place of a run.

    Args:
        trial: What the user typed, or `best`.
        text: What the user typed as `--distill`.
        found: What was given.

    Raises:
        ConfigError: If one of the options was given.
    """
    if text is not None:
        rule, do = "a run is needed to choose anew", "give the run (and `--trial N`)"
        raise ConfigError(explain(where="--distill", rule=rule, found=found, do=do))
    if trial != "best":
        rule, do = "a run is needed to choose a trial of", "give the run, or leave --trial out"
        raise ConfigError(explain(where="--trial", rule=rule, found=found, do=do))
