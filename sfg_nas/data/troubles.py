"""What is wrong with a data set's options, gathered so that all of it can be said at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import cast

from sfg_nas.data.tables import listed
from sfg_nas.errors import ConfigError, explain


@dataclass(frozen=True)
class Trouble:
    """One wrong thing.

    Attributes:
        path: The keys below `data` that it is about.
        rule: What must hold.
        found: What was found instead.
        do: What to do about it.
        where: A place in another file, such as a line of a table; it is named instead of the keys.
    """

    path: tuple[str | int, ...]
    rule: str
    found: str
    do: str
    where: str = ""

    def __str__(self) -> str:
        """Return the four parts as one line."""
        where = self.where or ".".join(map(str, ("data", *self.path)))
        return explain(where=where, rule=self.rule, found=self.found, do=self.do)


@dataclass(frozen=True)
class Inspection:
    """What is known of a data set before its images are read.

    Attributes:
        tasks: The names of its tasks; None if its options do not tell.
        troubles: What is wrong.
    """

    tasks: tuple[str, ...] | None
    troubles: tuple[Trouble, ...] = ()


@dataclass
class Options:
    """Reads a data set's options and takes down what is wrong with them."""

    given: Mapping[str, object]
    troubles: list[Trouble] = field(default_factory=list)

    def refuse(self, path: Sequence[str | int], rule: str, found: str, do: str) -> None:
        """Take down one wrong thing.

        Args:
            path: The keys below `data`.
            rule: What must hold.
            found: What was found instead.
            do: What to do about it.
        """
        self.troubles.append(Trouble(tuple(path), rule, found, do))

    def text(self, key: str) -> str | None:
        """Return an option that is text, None if it is not there or something else.

        Args:
            key: Of the option.
        """
        value = self.given.get(key)
        if value is not None and not isinstance(value, str):
            self.refuse((key,), "text is needed", repr(value), "quote it")
        return value if isinstance(value, str) else None

    def whole(self, key: str, default: int, low: int) -> int:
        """Return an option that is a whole number of at least `low`.

        Args:
            key: Of the option.
            default: If it is not there, or wrong.
            low: The least.
        """
        value = self.given.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or value < low:
            rule = f"a whole number of at least {low} is needed"
            self.refuse((key,), rule, repr(value), "change the value")
            return default
        return value

    def size(self, key: str, default: int, low: int) -> int | Sequence[int]:
        """Return an option that is a side in pixels, or height and width.

        Args:
            key: Of the option.
            default: If it is not there, or wrong.
            low: The least side.
        """
        value = self.given.get(key, default)
        sides = tuple(value) if isinstance(value, (list, tuple)) else (value,)
        whole = all(isinstance(s, int) and not isinstance(s, bool) and s >= low for s in sides)
        if not whole or len(sides) != (2 if isinstance(value, (list, tuple)) else 1):
            rule = f"a side of at least {low} pixels, or [height, width], is needed"
            self.refuse((key,), rule, repr(value), "change the value")
            return default
        return cast("int | Sequence[int]", value)

    def share(self, key: str, default: float, *, whole: bool = False) -> float:
        """Return an option that is above 0 and below 1, or 1 itself.

        Args:
            key: Of the option.
            default: If it is not there, or wrong.
            whole: Whether 1 is allowed.
        """
        value = self.given.get(key, default)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not (0 < value < 1 or (whole and value == 1)):  # type: ignore[operator]
            rule = "a number above 0 and " + ("at most 1" if whole else "below 1") + " is needed"
            self.refuse((key,), rule, repr(value), "change the value")
            return default
        return float(value)  # type: ignore[arg-type]

    def interval(self, key: str) -> tuple[float, float] | None:
        """Return an option that is two numbers, the lower first; None if it is not there, or wrong.

        Args:
            key: Of the option.
        """
        value = self.given.get(key)
        if value is None:
            return None
        sides = tuple(value) if isinstance(value, (list, tuple)) else ()
        numbers = all(type(side) in (int, float) and abs(side) < 1e30 for side in sides)
        if len(sides) != 2 or not numbers or sides[0] >= sides[1]:
            self.refuse((key,), "[low, high] is needed, low below high", repr(value), "change it")
            return None
        return float(sides[0]), float(sides[1])

    def one_of(self, key: str, default: str, known: Sequence[str]) -> str:
        """Return an option that is one of some words.

        Args:
            key: Of the option.
            default: If it is not there, or wrong.
            known: The words.
        """
        value = self.given.get(key, default)
        if value not in known:
            do = nearest(str(value), known, "values")
            self.refuse((key,), f"one of {', '.join(known)} is needed", repr(value), do)
            return default
        return str(value)

    def column(
        self, path: Sequence[str | int], name: object, columns: Sequence[str] | None
    ) -> str | None:
        """Return the name of a column that exists, None (and a word about it) otherwise.

        Args:
            path: The keys below `data` where the name stands.
            name: As given.
            columns: Of the table; None if it could not be read, so that anything may be right.
        """
        if not isinstance(name, str):
            do = "name a column" if columns is None else f"the columns are {listed(columns)}"
            self.refuse(path, "the name of a column is needed", repr(name), do)
            return None
        if columns is not None and name not in columns:
            do = nearest(name, columns, "columns")
            self.refuse(path, "a column of the table is needed", f"`{name}`", do)
            return None
        return name

    def raise_any(self) -> None:
        """Raise all that was taken down.

        Raises:
            ConfigError: If there is something; its message has one line for each wrong thing.
        """
        if self.troubles:
            raise ConfigError("\n".join(map(str, self.troubles)))


def nearest(word: str, names: Iterable[str], what: str) -> str:
    """Return advice for a name that does not exist: the nearest one, and the others.

    Args:
        word: What was written.
        names: What exists.
        what: The plural noun.
    """
    known = list(names)
    near = get_close_matches(word, known, n=1, cutoff=0.6)
    here = f"the {what} here are {listed(known)}" if known else f"no {what} exist here"
    return f"did you mean `{near[0]}`? ({here})" if near else here
