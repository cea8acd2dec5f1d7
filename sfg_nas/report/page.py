"""A run as one HTML page that needs nothing else: no network, no script, no other file."""

from __future__ import annotations

import itertools
import json
import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure

from sfg_nas.config import dump_study
from sfg_nas.errors import SfgNasError
from sfg_nas.report.comparison import TABLE, compared_frame, plot_compared
from sfg_nas.report.figures import FIGURES, RunFigure
from sfg_nas.report.retrained import retrain_call
from sfg_nas.report.svg import inline_svg
from sfg_nas.report.table import is_error, metric_title
from sfg_nas.report.verdict import Verdict, compare_calls, verdict_of
from sfg_nas.report.words import counted, signed
from sfg_nas.study import Run, Trial
from sfg_nas.study.names import FOLDER

SECTIONS = (
    ("Accuracy against cost", ("front",)),
    ("What mattered in the search space", ("importances", "hypervolume", "neighbourhood")),
    ("Who owns the filters", ("allocation", "specialists")),
    ("Where the probabilities lie", ("ternary", "paths")),
    ("How they got there", ("trajectories", "entropy")),
)
"""Headings of the page below the network, with the figures they hold."""

COMPARED = (
    "Every network of the comparison on the test part against its MACs: small points are seeds, large ones means of a "
    "method; the line joins hard sharing at its widths."
)

STEPS = {
    "relaxed": "probabilities as weights",
    "sampled": "mean of several draws of masks",
    "hard": "the most probable group of each filter, norms as trained",
    "recalibrated": "the same with norms recalibrated",
    "fixed": "the compact network with the same weights",
    "retrained": "the compact network trained anew, mean over seeds",
}


@dataclass(frozen=True)
class Picture:
    """A figure in the page, or why it is not there."""

    title: str
    caption: str
    svg: Markup | None
    problem: str = ""


@dataclass(frozen=True)
class Grid:
    """A table in the page."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


def report_page(run: Run) -> str:
    """Return a run's report as HTML.

    Args:
        run: A run; it may be under way, or have failed.
    """
    complete = bool(run.complete)
    loader = FileSystemLoader(Path(__file__).parent)
    environment = Environment(autoescape=True, loader=loader, undefined=StrictUndefined)
    environment.filters["counted"] = counted
    verdict = verdict_of(run)
    return environment.get_template("page.html").render(
        name=run.name,
        facts=_facts(run),
        verdict=verdict,
        tables=_tables(verdict),
        best=run.best if complete else None,
        network=_picture(run, "architecture") if complete else None,
        comparison=_comparison(run),
        sections=[(t, [_picture(run, n) for n in names]) for t, names in SECTIONS]
        if complete
        else [],
        ledger=_ledger(run.best) if complete else None,
        trials=_trials(run),
        ended=_ended(run),
        commands=_commands(run),
        provenance=_provenance(run),
        study=dump_study(run.config),
    )


def _comparison(run: Run) -> Picture | None:
    """Return the picture of what `compare` stored, if it did."""
    if not (run.path / TABLE).is_file():
        return None
    return _shown(run, "comparison", RunFigure("Methods", COMPARED, plot_compared, compared_frame))


def _picture(run: Run, name: str) -> Picture:
    entry = FIGURES[name]
    assert isinstance(entry, RunFigure)
    return _shown(run, name, entry)


def _shown(run: Run, name: str, entry: RunFigure) -> Picture:
    try:
        figure: Figure = entry.draw(run)
        svg = inline_svg(figure, name, f"{entry.title}. {entry.caption}")
    except (SfgNasError, OSError) as error:
        return Picture(entry.title, entry.caption, None, str(error))
    return Picture(entry.title, entry.caption, Markup(svg))  # noqa: S704 (escaped by the XML writer)


def _facts(run: Run) -> dict[str, str]:
    config, found = run.config, run.provenance
    states = [trial.state for trial in run.all]
    counts = ", ".join(f"{states.count(s)} {s}" for s in dict.fromkeys(states)) or "none yet"
    tasks = found.get("tasks") or []
    backbone = config.backbone
    return {
        "tasks": ", ".join(map(str, tasks)) if isinstance(tasks, list) else str(tasks),
        "data": str(found.get("data", config.data.kind)),
        "backbone": f"{backbone.kind}, width {backbone.width:g}",
        "trials": f"{counts} of {config.search.trials} planned",
    }


def _tables(verdict: Verdict) -> list[tuple[str, Grid]]:
    return [(title, Grid(t.columns, t.rows, t.note)) for title, t in verdict.tables]


def _ledger(trial: Trial) -> Grid:
    ledger = trial.ledger
    steps: dict[str, Mapping[str, float]] = dict(ledger.steps)
    if ledger.retrained is not None:
        steps["retrained"] = ledger.retrained
    metrics = list(dict.fromkeys(key for values in steps.values() for key in values))
    metrics.sort(key=lambda metric: metric != "delta")
    rows = [
        [step, STEPS.get(step, ""), *[_metric(metric, values.get(metric)) for metric in metrics]]
        for step, values in steps.items()
    ]
    return Grid(["step", "what it is", *[metric_title(metric)[0] for metric in metrics]], rows)


def _metric(metric: str, value: float | None) -> str:
    if value is None or not math.isfinite(value):
        return "–"
    scaled = metric_title(metric)[1] * value
    digits = 3 if is_error(metric) else 2
    text = signed(scaled, digits)
    return text if metric == "delta" else text.removeprefix("+")


def _trials(run: Run) -> Grid:
    frame = run.trials()
    if frame.empty:
        return Grid([], [])
    hidden = [c for c in frame.columns if "/" in c or c in ("reason", "error")]
    frame = frame.drop(columns=hidden)
    if "delta" in frame.columns:
        frame = frame.sort_values("delta", ascending=False, na_position="last", kind="stable")
    rows = [[_cell(value) for value in row] for row in frame.astype(object).to_numpy().tolist()]
    return Grid([str(column) for column in frame.columns], rows)


def _cell(value: object) -> str:
    if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    value += 0  # no minus before a zero
    text = f"{value:,}" if isinstance(value, int) or value.is_integer() else f"{value:.4g}"
    return text.replace("-", "−")


def _ended(run: Run) -> list[tuple[int, str, str]]:
    """Return number, state and reason of the trials that did not finish as they should."""
    return [(trial.number, trial.state, trial.reason) for trial in run.all if trial.reason]


def _commands(run: Run) -> list[str]:
    config = run.config
    data = "" if config.data.kind in ("digits", "planted") else " --data-root DIR"
    compared = (run.path / TABLE).is_file()
    retrained = any(run.files.retrained.glob("*/*/metrics.json"))
    searched = bool(run.all) or not compared  # else `found` came from another run
    commands = [f"{call} --runs NEW{data}" for call in _searches(run)] if searched else []
    if retrained or not compared:
        commands.append(retrain_call(run, data))
    if compared:
        calls = [call for call in compare_calls(run) if call.startswith("sfg-nas")]
        again = [_again(call, last=call is calls[-1]) for call in calls]
        commands += [
            f"sfg-nas compare study.yaml{given} --runs NEW{data}" for given in again or [""]
        ]
    return [*commands, f"sfg-nas report NEW/{run.name}"]


def _searches(run: Run) -> list[str]:
    """Return the calls of `search` that gave a run its trials: one, or one for each run that others were taken from."""
    ended = sum(trial.state != "running" for trial in run.all)
    more = f" --trials {ended}" if ended > run.config.search.trials else ""
    taken = sorted(run.files.transferred("").parent.glob("*.json"))
    names = dict.fromkeys(path.stem.rpartition("-")[0] for path in taken)
    sources = [f" --from {shlex.quote(f'RUNS/{name}')}" for name in names] or [""]
    return [f"sfg-nas search study.yaml{more}{source}" for source in sources]


def _again(call: str, *, last: bool) -> str:
    """Return the options of a call of `compare` that the resolved study, which is that of the last one, does not hold."""
    try:
        words = shlex.split(call)[3:]
    except ValueError:  # a page that someone else wrote
        return ""
    values = dict(itertools.pairwise(words))
    if "/" not in values.get("--from", "/"):  # the name of a run beside this one
        values["--from"] = f"{values.get('--runs', 'runs')}/{values['--from']}"
    names = ("--methods", "--seeds", "--from", "--device")
    given = [word for name in names if name in values for word in (name, values[name])]
    pairs = [] if last else itertools.pairwise(words)
    own = [pair for pair in pairs if pair[0] == "--set" and pair[1].startswith("compare.")]
    return "".join(f" {shlex.quote(word)}" for word in (*given, *itertools.chain(*own)))


def _provenance(run: Run) -> dict[str, str]:
    """Return where the run came from, but for the folder of this machine."""
    shown = {
        key.replace("_", " "): value if isinstance(value, str) else json.dumps(value)
        for key, value in run.provenance.items()
        if key != FOLDER
    }
    calls = compare_calls(run)
    return shown | ({"compare was called with": "; ".join(calls)} if calls else {})
