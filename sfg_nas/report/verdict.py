"""What a run allows to be said of the found network, in words that follow from the intervals."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from sfg_nas.errors import several
from sfg_nas.files import read_text
from sfg_nas.report.front import retrained_table
from sfg_nas.report.retrained import another_compared, another_network
from sfg_nas.report.table import ResultsTable, results_table
from sfg_nas.report.words import NOT_KNOWN, signed
from sfg_nas.study import Run
from sfg_nas.study.retrain_entries import FOUND
from sfg_nas.study.stored import read_table

LEVEL = 0.95
REPRODUCE = "How to reproduce"
"""The section of a comparison's page that holds the commands."""
FEWEST_SEEDS = 3
"""Paired seeds below which nothing is called better or worse: two differences say next to nothing of their spread."""
_ROUNDING = 1e-9
_EQUAL_MACS = "hard-sharing at equal MACs"
_OTHERS = {
    _EQUAL_MACS: "hard sharing narrowed to the same MACs",
    "hard-sharing": "hard sharing at full width",
    "single-task": "the single-task networks",
}


@dataclass(frozen=True)
class Verdict:
    """What stands at the top of a report.

    Attributes:
        headline: The answer in one sentence.
        sentences: What it rests on.
        tables: Titles and tables.
        facts: How the numbers of a comparison came about.
        notes: What a comparison says of single methods: left out, failed, of an earlier call.
    """

    headline: str
    sentences: tuple[str, ...]
    tables: tuple[tuple[str, ResultsTable], ...] = ()
    facts: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def verdict_of(run: Run) -> Verdict:
    """Return a run's verdict: that of `compare`, else of `retrain`, else that there is none yet.

    Args:
        run: A run.
    """
    page = run.path / "compare.md"
    return _compared(run, page) if page.is_file() else retrained_verdict(run)


def retrained_verdict(run: Run) -> Verdict:
    """Return what a run's last retraining allows to be said, or that there was none.

    Args:
        run: A run.
    """
    table = retrained_table(run)
    if table.empty:
        return _unproven(run)
    tables = (("Retrained from scratch, scored on test", results_table(table)),)
    path = run.files.retrained / "paired.csv"
    paired = pd.DataFrame()
    if path.exists():
        texts, numbers = ("method", "against", "metric"), ("mean", "sd")
        what = "paired differences"
        paired = read_table(path, what=what, texts=texts, numbers=numbers, counts=["seeds"])
    if paired.empty or "delta" not in set(paired["metric"]):
        text = "The networks were retrained, but there is nothing they can be compared with."
        if not paired.empty:
            text = (
                "No verdict: there is no Δ, which is relative to the single-task networks' scores; these are missing, "
                "or one is zero."
            )
        return Verdict(text, (), tables)
    rows = {str(row["against"]): row for _, row in paired[paired["metric"] == "delta"].iterrows()}
    others = [name for name in _OTHERS if name in rows]
    others += [name for name in rows if name not in _OTHERS]
    method = str(rows[others[0]]["method"])
    variant = [] if method == FOUND else [f"The found network stands here as its variant {method}."]
    differences = [_sentence(name, rows[name]) for name in others]
    sentences = [*another_network(run), *variant, *differences]
    return Verdict(_headline(others[0], rows[others[0]]), tuple(sentences), tables)


def _unproven(run: Run) -> Verdict:
    if not run.complete:
        return Verdict("No verdict: no trial is complete yet.", ())
    best = run.best
    beside = ""
    if run.quality == "advantage":
        beside = f", {_percent(run.score(best))} beside hard sharing at these"
    return Verdict(
        "No verdict: nothing was retrained.",
        (
            f"On validation the best trial ({best.number}) reached Δ = {_percent(best.delta)} against single-task "
            f"networks at {best.ledger.relative_macs:.2f} of hard sharing's MACs{beside}. That number chose the trial, "
            "so it flatters it, and it says nothing of the test part.",
            *_finals(run),
            "Retrain the network beside its references before you believe it: the command is at the end.",
        ),
    )


def _finals(run: Run) -> tuple[str, ...]:
    """Return what the finals came to, if there were any."""
    finals = run.finals
    if finals is None:
        return ()
    what = {"delta": "Δ", "advantage": "Δ beside hard sharing's at the same MACs"}[run.quality]
    return (
        f"Finals, each network trained from scratch with {several(finals.seeds, 'seed')}, {what} on validation, mean ± "
        f"standard deviation: {finals.in_words()}.",
    )


def without_spread(mean: float, sd: float) -> bool:
    """Return whether values are all equal, up to the rounding of their digits.

    Args:
        mean: Of the values.
        sd: Their standard deviation; NaN for one value.
    """
    return sd <= _ROUNDING * abs(mean)


def interval(mean: float, sd: float, count: int) -> tuple[float, float]:
    """Return the 95 % t interval of a mean, NaN for fewer than two values and for values that are all equal.

    Equal values show nothing of what chance does to them; an interval of no width would call any mean settled.

    Args:
        mean: Of the values.
        sd: Their standard deviation.
        count: How many.
    """
    if count < 2 or not math.isfinite(sd) or without_spread(mean, sd):
        return math.nan, math.nan
    from scipy.stats import t

    half = float(t.ppf(0.5 + LEVEL / 2, count - 1)) * sd / math.sqrt(count)
    return mean - half, mean + half


def _headline(other: str, row: pd.Series) -> str:
    seeds = int(row["seeds"])
    low, high = interval(row["mean"], row["sd"], seeds)
    against = _OTHERS.get(other, other)
    if _same(row):
        return (
            "No verdict: the found network shares everything, so that it is hard sharing itself and what differs between "
            "the two is chance."
        )
    if seeds < FEWEST_SEEDS:
        count = {0: "no seed in common", 1: "a single seed"}.get(seeds, f"{seeds} seeds")
        return (
            f"No verdict: {count} cannot tell the found network from {against}. Repeat with at least {FEWEST_SEEDS} "
            f"(--seeds {FEWEST_SEEDS})."
        )
    if not math.isfinite(low):
        return (
            f"No verdict: all {seeds} differences between the found network and {against} are equal, so that nothing can "
            "be said about chance."
        )
    if low > 0:
        return f"The found network is better than {against}."
    if high < 0:
        return f"Sharing this way hurts: the found network is worse than {against}."
    return f"Not settled: the found network may be better or worse than {against}."


def _same(row: pd.Series) -> bool:
    return str(row.get("same_network", False)) == "True"  # not there in files of before


def _sentence(other: str, row: pd.Series) -> str:
    seeds = int(row["seeds"])
    low, high = interval(row["mean"], row["sd"], seeds)
    text = f"Against {_OTHERS.get(other, other)}: a difference of Δ of {_percent(row['mean'])}"
    if seeds == 0:
        return f"Against {_OTHERS.get(other, other)}: no difference of Δ, as no seed is finished by both."
    if seeds == 1:
        return f"{text}, of one seed."
    if not math.isfinite(low):
        return f"{text} with every one of {seeds} paired seeds; without any spread there is no interval."
    if seeds < FEWEST_SEEDS:
        settled = "too few for a verdict"
    else:
        settled = "it leaves zero out" if low > 0 or high < 0 else "it holds zero"
    if _same(row):
        settled = "they are one network, so that this is chance"
    ends = f"{_percent(low)} to {_percent(high)}"
    return f"{text}, 95 % interval {ends} over {seeds} paired seeds; {settled}."


def _percent(value: float) -> str:
    text = signed(100 * value, 2)
    return text if text == NOT_KNOWN else f"{text}\N{NO-BREAK SPACE}%"


def _compared(run: Run, page: Path) -> Verdict:
    """Return what `compare` wrote: facts, tables and notes of its page, and the verdict at its end."""
    sections = _sections(page)
    paragraphs = [p for p in "\n".join(sections.pop("Verdict", [])).split("\n\n") if p.strip()]
    paragraphs = [_plain(p) for p in paragraphs]
    facts, notes = (_items(sections.pop(name, [])) for name in (next(iter(sections), ""), "Notes"))
    tables = [(name, _markdown_table(lines)) for name, lines in sections.items()]
    first, *rest = paragraphs or ["The comparison gives no verdict."]
    shown = tuple((n, t) for n, t in tables if t is not None)
    if any(row[0] == "found" for _, table in shown for row in table.rows):
        rest = [*another_compared(run), *rest]
    return Verdict(first, tuple(rest), shown, facts, notes)


def _plain(text: str) -> str:
    return " ".join(text.split()).replace("**", "").replace("`", "")


def _items(lines: list[str]) -> tuple[str, ...]:
    """Return the items of a list in Markdown; a line that begins none goes on with the one before."""
    items: list[str] = []
    for line in lines:
        if line.startswith("- "):
            items.append(line[2:])
        elif items and line.strip():
            items[-1] += f" {line}"
    return tuple(map(_plain, items))


def _sections(page: Path) -> dict[str, list[str]]:
    """Return the lines of each section of a page by its title."""
    sections: dict[str, list[str]] = {}
    title = ""
    for line in read_text(page).splitlines():
        if line.startswith("#"):
            title = line.lstrip("# ")
        else:
            sections.setdefault(title, []).append(line)
    return sections


def compare_calls(run: Run) -> list[str]:
    """Return the commands that a run's comparison comes from, as its page has them; none from before they were kept.

    Args:
        run: A run.
    """
    page = run.path / "compare.md"
    lines = _sections(page).get(REPRODUCE, []) if page.is_file() else []
    return [line for line in lines if line.startswith(("sfg-nas compare ", "compare("))]


def _markdown_table(lines: list[str]) -> ResultsTable | None:
    rows = [_cells(line) for line in lines if line.startswith("|")]
    if len(rows) < 3:
        return None
    note = " ".join(line for line in lines if line.strip() and not line.startswith("|"))
    body = tuple(tuple(row) for row in rows[2:] if len(row) == len(rows[0]))
    return ResultsTable(tuple(rows[0]), body, note)


def _cells(line: str) -> list[str]:
    inside = re.split(r"(?<!\\)\|", line.strip().strip("|"))
    return [cell.strip().replace("\\|", "|") for cell in inside]
