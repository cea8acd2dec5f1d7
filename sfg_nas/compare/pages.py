"""The files that people read: tables in Markdown and LaTeX, and the verdict below them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from sfg_nas.compare.job import EQUAL, OWN
from sfg_nas.compare.results import summary
from sfg_nas.report import ResultsTable, results_table
from sfg_nas.report.verdict import REPRODUCE
from sfg_nas.report.words import signed, significant
from sfg_nas.tasks import Task

_TITLES = {
    OWN: "Each method at its own cost",
    EQUAL: "At equal MACs: each method at the width at which it costs as much as hard sharing",
}
_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "Δ": r"$\Delta$",
    "−": r"$-$",
    "–": "--",
    "×": r"$\times$",
}


@dataclass(frozen=True)
class Words:
    """What stands around the tables.

    Attributes:
        name: Of the study.
        facts: Lines on how the numbers came about.
        notes: Lines on single methods.
        verdict: Paragraphs.
        extra: Sections of the data set's own.
        calls: The commands that the tables come from.
    """

    name: str
    facts: Sequence[str]
    notes: Sequence[str]
    verdict: Sequence[str]
    extra: Sequence[str] = ()
    calls: Sequence[str] = ()


def tables(frame: pd.DataFrame, tasks: Sequence[Task]) -> dict[str, ResultsTable]:
    """Return a table for people at each scale that has rows.

    Args:
        frame: One row per network.
        tasks: The tasks.
    """
    found: dict[str, ResultsTable] = {}
    for scale in _TITLES:
        if (frame["scale"] == scale).any():
            means = summary(frame, tasks, scale)
            seconds = means.pop("training_seconds")
            found[scale] = _with_seconds(results_table(means, tasks), seconds)
    return found


def _with_seconds(table: ResultsTable, seconds: pd.Series) -> ResultsTable:
    cells = [f"{value:.0f}" if value >= 10 else f"{value:.1f}" for value in seconds]
    at = len(table.columns) - 1
    rows = tuple((*row[:at], cell, *row[at:]) for row, cell in zip(table.rows, cells, strict=True))
    columns = (*table.columns[:at], "training [s]", *table.columns[at:])
    return replace(table, columns=columns, rows=rows)


def differences(comparisons: pd.DataFrame) -> ResultsTable | None:
    """Return the paired differences of Δ as a table, or None if there are none.

    Args:
        comparisons: One row per question, method and metric.
    """
    if comparisons.empty:
        return None
    metric = "delta" if "delta" in set(comparisons["metric"]) else comparisons["metric"].iloc[0]
    rows = [
        (
            f"{row['method']} − {row['against']}",
            str(row["question"]),
            _percent(row["mean"], str(metric)),
            _range(row, "low", "high", str(metric)),
            _range(row, "bootstrap_low", "bootstrap_high", str(metric)),
            str(row["seeds"]),
        )
        for row in comparisons[comparisons["metric"] == metric].to_dict("records")
    ]
    unit = "Δ [%]" if metric == "delta" else str(metric)
    columns = ("difference", "question", unit, "95 % t interval", "bootstrap", "seeds")
    note = "Paired over seeds, on the test part. All metrics: compare_paired.csv."
    return ResultsTable(columns, tuple(rows), note)


def _percent(value: float, metric: str) -> str:
    return signed(100 * value, 2) if metric == "delta" else significant(value)


def _range(row: Mapping[object, object], low: str, high: str, metric: str) -> str:
    ends = [float(str(row[end])) for end in (low, high)]
    if not all(map(math.isfinite, ends)):
        return "none: all equal" if int(str(row["seeds"])) > 1 else "none"
    return " to ".join(_percent(end, metric) for end in ends)


def markdown(
    words: Words, frame: pd.DataFrame, compared: pd.DataFrame, tasks: Sequence[Task]
) -> str:
    """Return the content of `compare.md`.

    Args:
        words: What stands around the tables.
        frame: One row per network.
        compared: The paired differences.
        tasks: The tasks.
    """
    parts = [f"# {words.name}", "", *[f"- {fact}" for fact in words.facts], ""]
    for scale, table in tables(frame, tasks).items():
        parts += [f"## {_TITLES[scale]}", "", table.markdown()]
    paired = differences(compared)
    if paired is not None:
        parts += ["## Paired differences", "", paired.markdown()]
    if words.notes:
        parts += ["## Notes", "", *[f"- {' '.join(note.split())}" for note in words.notes], ""]
    for extra in words.extra:
        parts += [extra.rstrip(), ""]
    if words.calls:
        parts += [
            f"## {REPRODUCE}",
            "",
            "```sh",
            *words.calls,
            "```",
            "",
            _explained(words.calls),
            "",
        ]
    parts += ["## Verdict", ""]
    for paragraph in words.verdict:
        parts += [paragraph, ""]
    return "\n".join(parts)


def _explained(calls: Sequence[str]) -> str:
    text = "The study with all changes in place is `study.yaml` beside this file."
    if any("--data-root DIR" in call for call in calls):
        text += " `DIR` is the folder that holds the data sets (or set `SFG_NAS_DATA`)."
    return text


def latex(words: Words, frame: pd.DataFrame, compared: pd.DataFrame, tasks: Sequence[Task]) -> str:
    """Return the content of `compare.tex`: tables to be included, without any package.

    Args:
        words: What stands around the tables.
        frame: One row per network.
        compared: The paired differences.
        tasks: The tasks.
    """
    blocks = [
        _latex_table(table, f"{words.name}: {_TITLES[scale][0].lower()}{_TITLES[scale][1:]}.")
        for scale, table in tables(frame, tasks).items()
    ]
    paired = differences(compared)
    if paired is not None:
        blocks.append(_latex_table(paired, f"{words.name}: paired differences."))
    return "\n".join(blocks)


def _latex_table(table: ResultsTable, caption: str) -> str:
    lines = [
        r"\begin{table}",
        rf"\caption{{{_escaped(f'{caption} {table.note}')}}}",
        rf"\begin{{tabular}}{{l{'r' * (len(table.columns) - 1)}}}",
        r"\hline",
        _latex_line(table.columns),
        r"\hline",
        *[_latex_line(row) for row in table.rows],
        r"\hline",
        r"\end{tabular}",
        r"\end{table}",
        "",
    ]
    return "\n".join(lines)


def _latex_line(cells: Sequence[str]) -> str:
    return " & ".join(_escaped(cell) for cell in cells) + r" \\"


def _escaped(text: str) -> str:
    return "".join(_LATEX.get(letter, letter) for letter in text)
