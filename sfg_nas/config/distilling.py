"""The section of a study file on how probabilities become one allocation."""

from __future__ import annotations

from typing import Literal

from pydantic import PositiveFloat, model_validator

from sfg_nas.config.sections import Section
from sfg_nas.config.values import Share, broken_rule


class DistillConfig(Section):
    """How a trained supernet's probabilities become one group for each filter."""

    rule: Literal["argmax", "threshold", "budget"] = "argmax"
    """The most probable; only what is confident parts; or the most probable within a budget."""
    granularity: Literal["filters", "layers", "blocks"] = "filters"
    """What takes a group: filters; or whole layers, or runs of layers of one resolution, as a tree."""
    threshold: Share | None = None
    """Least probability, for the rule threshold; null: 0.5."""
    budget: PositiveFloat | None = None
    """Greatest cost, for the rule budget: a share of hard sharing's if at most 1, else a count."""
    unit: Literal["macs", "params", "microseconds"] = "macs"
    """Of the budget; microseconds are measured, on one image and on the device of the search."""

    @model_validator(mode="after")
    def _values_fit_the_rule(self) -> DistillConfig:
        if self.rule == "budget" and self.budget is None:
            raise broken_rule("budget", "the rule budget needs one", "none", "give, say, 0.6")
        for key, rule, value in (
            ("threshold", "threshold", self.threshold),
            ("budget", "budget", self.budget),
            ("unit", "budget", None if self.unit == "macs" else self.unit),
        ):
            if value is not None and self.rule != rule:
                found = f"{value}, and rule={self.rule}"
                do = f"set rule to {rule}, or leave it out"
                raise broken_rule(key, f"`{key}` belongs to the rule {rule}", found, do)
        return self

    @property
    def label(self) -> str:
        """Return a name of this choice that is fit for a folder, such as `layers-budget-0.6-macs`."""
        words: list[str] = [self.granularity, self.rule]
        if self.rule == "threshold":
            words.append(f"{0.5 if self.threshold is None else self.threshold:g}")
        if self.rule == "budget":
            words += [f"{self.budget:g}", self.unit]
        return "-".join(words)
