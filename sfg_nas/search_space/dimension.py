"""One dimension of a search space: a study key and the values it may take."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from sfg_nas.search_space.candidate import Choice

if TYPE_CHECKING:
    import optuna

_ROUNDED = 1e-8
"""Of a step: how far a number may be from it, as sums of steps are rounded."""
Choices = Annotated[tuple[Choice, ...], Field(strict=False, min_length=1)]


def _rule(key: str, rule: str, found: str, do: str) -> PydanticCustomError:
    context = {"key": key, "rule": rule, "found": found, "do": do}
    return PydanticCustomError("rule", "{rule}", context)


class Dimension(BaseModel):
    """What one study key may become."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    type: Literal["float", "int", "categorical"]
    low: int | float | None = None
    high: int | float | None = None
    log: bool = False
    step: int | float | None = None
    choices: Choices | None = None
    first: Choice | None = None
    unit: str | None = None
    note: str | None = None
    when: Annotated[dict[str, Choices], Field(strict=False, default_factory=dict)]

    @model_validator(mode="after")
    def _is_whole(self) -> Dimension:
        """Check the keys of this type of dimension against each other."""
        if self.type == "categorical":
            self._check_choices()
        else:
            self._check_range()
        if self.first is not None and not self.contains(self.first):
            ends = ", ".join(map(str, self.endpoints())) + self._in_steps()
            rule, do = "`first` must be possible here", "move it into the range, or remove it"
            raise _rule("first", rule, f"{self.first} beside {ends}", do)
        return self

    def _check_choices(self) -> None:
        if self.choices is None:
            raise _rule("choices", "a categorical entry needs `choices`", "none", "list them")
        if len({(type(c), c) for c in self.choices}) < len(self.choices):
            raise _rule(
                "choices", "each choice stands once", repr(list(self.choices)), "remove one"
            )
        extra = [key for key in ("low", "high", "step") if getattr(self, key) is not None]
        if extra or self.log:
            key = extra[0] if extra else "log"
            raise _rule(key, "a categorical entry has no range", f"`{key}`", "remove it")

    def _check_range(self) -> None:
        if self.choices is not None:
            rule, do = "only a categorical entry has `choices`", "remove it, or change the type"
            raise _rule("choices", rule, repr(list(self.choices)), do)
        if self.low is None or self.high is None:
            key = "low" if self.low is None else "high"
            raise _rule(key, f"a range needs `{key}`", "nothing", f"add `{key}: ...`")
        found = f"low={self.low}, high={self.high}"
        if self.low > self.high:
            raise _rule("high", "`low <= high` must hold", found, "swap them")
        if self.log and self.low <= 0:
            raise _rule("low", "a log scale needs `low > 0`", found, "raise low or set log: false")
        if self.log and self.step is not None:
            raise _rule("step", "a log scale has no `step`", f"step={self.step}", "remove one")
        if self.step is not None and self.step <= 0:
            raise _rule("step", "`step > 0` must hold", f"step={self.step}", "raise it")
        whole = (self.low, self.high, self.step or 1)
        if self.type == "int" and not all(isinstance(value, int) for value in whole):
            raise _rule("type", "an int range has whole numbers", found, "round, or use float")
        if not self._is_step(self.high):
            rule, do = "`high` must lie whole steps above `low`", "move it, or change the step"
            raise _rule("high", rule, f"{found}, step={self.step}", do)

    def endpoints(self) -> tuple[Choice, ...]:
        """Return the values that must themselves be legal: all choices, or both ends of the range."""
        if self.choices is not None:
            return self.choices
        low, high = self._range()
        return (low,) if low == high else (low, high)

    def in_words(self) -> str:
        """Return what the values are, for a message."""
        ends = self.endpoints()
        if self.choices is not None:
            return f"one of {', '.join(map(str, ends))}"
        return f"a value from {ends[0]} to {ends[-1]}{self._in_steps()}"

    def _in_steps(self) -> str:
        return "" if self.step is None else f" in steps of {self.step}"

    def suggest(self, trial: optuna.Trial, key: str) -> Choice:
        """Return the value that a trial takes here.

        Args:
            trial: The trial that asks.
            key: The dotted study key.
        """
        if self.choices is not None:
            return cast("Choice", trial.suggest_categorical(key, self.choices))
        low, high = self._range()
        if self.type == "int":
            step = int(self.step or 1)
            return trial.suggest_int(key, int(low), int(high), step=step, log=self.log)
        step_or_none = None if self.step is None else float(self.step)
        return trial.suggest_float(key, float(low), float(high), step=step_or_none, log=self.log)

    def contains(self, value: Choice) -> bool:
        """Return whether a value lies in the range or among the choices.

        Args:
            value: Any value.
        """
        if self.choices is not None:
            return any(type(value) is type(c) and value == c for c in self.choices)
        if isinstance(value, (bool, str)) or (self.type == "int" and not isinstance(value, int)):
            return False
        low, high = self._range()
        return low <= value <= high and self._is_step(value)

    def _is_step(self, value: float) -> bool:
        """Return whether a number lies whole steps above the lower end, as Optuna has it."""
        steps = (value - self._range()[0]) / (self.step or 1)
        return self.step is None or abs(steps - round(steps)) < _ROUNDED

    def active(self, values: Mapping[str, Choice]) -> bool:
        """Return whether the conditions of this dimension hold.

        Args:
            values: Values of the keys that the conditions name; a missing one does not hold.
        """
        return all(key in values and values[key] in allowed for key, allowed in self.when.items())

    def _range(self) -> tuple[int | float, int | float]:
        if self.low is None or self.high is None:
            raise AssertionError("a range has both ends")
        if self.type == "float":
            return float(self.low), float(self.high)
        return self.low, self.high


def known_good(dimensions: Iterable[tuple[str, Dimension]]) -> dict[str, Choice]:
    """Return the candidate of the entries' `first` values where their conditions hold; often empty.

    Args:
        dimensions: Keys and dimensions of a space, conditions after what they depend on.
    """
    values: dict[str, Choice] = {}
    for key, dimension in dimensions:
        if dimension.first is not None and dimension.active(values):
            values[key] = dimension.first
    return values
