"""One wrong thing in a file, and the error that reports all of them together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from sfg_nas.errors import ConfigError, explain


@dataclass(frozen=True)
class Problem:
    """One wrong thing: where, the rule, what was found, what to do."""

    where: str
    rule: str
    found: str
    do: str

    def __str__(self) -> str:
        """Return the four parts as one line."""
        return explain(where=self.where, rule=self.rule, found=self.found, do=self.do)


def config_error(problems: Sequence[Problem]) -> ConfigError:
    """Return one error whose message has one line for each problem.

    Args:
        problems: At least one problem, in the order of the file.
    """
    return ConfigError("\n".join(str(problem) for problem in problems))


def did_you_mean(word: str, names: Iterable[str], *, what: str = "names") -> str:
    """Return advice for a name that does not exist: the nearest one, or the whole list.

    Args:
        word: What the user wrote.
        names: What exists.
        what: The plural noun for the list, such as `keys` or `backbones`.
    """
    known = sorted(set(names))
    near = get_close_matches(word, known, n=1, cutoff=0.6)
    listed = f"the {what} here are {', '.join(known)}" if known else f"no {what} exist here"
    return f"did you mean `{near[0]}`? ({listed})" if near else listed


def describe(value: object) -> str:
    """Return a value and its kind in a reader's words, cut to a readable length.

    Args:
        value: Anything that came out of a YAML file.
    """
    match value:
        case None:
            return "nothing (null)"
        case bool():
            return f"{str(value).lower()} (true/false)"
        case int() | float():
            return repr(value)
        case str():
            return f"{_cut(repr(value))} (text)"
        case dict():
            return f"a mapping with {_cut(', '.join(map(str, value))) or 'no keys'}"
        case list() | tuple():
            return f"a list of {len(value)}: {_cut(repr(list(value)))}"
    return _cut(repr(value))


def _cut(text: str, limit: int = 80) -> str:
    return text if len(text) <= limit else text[: limit - 3] + "..."
