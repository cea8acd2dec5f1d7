"""`status`: a run as a table, once or again and again."""

from __future__ import annotations

import sys
import time
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from sfg_nas.cli.find import open_run
from sfg_nas.cli.options import Common, number, with_common
from sfg_nas.cli.output import cell, json_result, result, table
from sfg_nas.errors import several

if TYPE_CHECKING:
    from sfg_nas.study import Run, Trial

CLEAR = "\x1b[H\x1b[2J"


@with_common("runs")
def status(
    run: Annotated[str, typer.Argument(help="A run's folder, or its name below --runs.")],
    watch: Annotated[
        bool, typer.Option("--watch", help="Show it again and again until all trials have ended.")
    ] = False,
    every: Annotated[
        float,
        typer.Option(
            parser=number("--every", 0.1), metavar="FLOAT", help="Seconds between two looks."
        ),
    ] = 5.0,
    *,
    common: Common,
) -> None:
    """Show a run's trials, the best, the Pareto front, which dimension matters, and what failed and why."""
    opened = open_run(run, common)
    while watch and not _is_over(opened):
        if sys.stdout.isatty():
            sys.stdout.write(CLEAR)
        show_run(opened, common)
        sys.stdout.flush()
        time.sleep(every)
        opened = open_run(run, common)
    if watch and sys.stdout.isatty():
        sys.stdout.write(CLEAR)
    show_run(opened, common, words=True)


def _is_over(run: Run) -> bool:
    ended = [trial for trial in run.all if trial.state != "running"]
    return len(ended) >= run.config.search.trials


def _words(run: Run) -> list[str]:
    from sfg_nas.study.analysis import in_words

    return in_words(run)


def show_run(run: Run, common: Common, *, words: bool = False) -> None:
    """Write a run's trials, the best, the front, and what failed and why.

    Args:
        run: The run.
        common: The shared options.
        words: Whether to add what the trials say about the search.
    """
    from sfg_nas.study.table import records

    rows = records(run.trials())
    states = [str(row["state"]) for row in rows]
    choices = _choices(run)
    counts = {state: states.count(state) for state in dict.fromkeys(states)}
    best = run.best if run.complete else None
    finals = run.finals
    front = [trial.number for trial in run.pareto()] if run.complete else []
    if common.as_json:
        json_result(
            {
                "run": str(run.path),
                "name": run.name,
                "planned": run.config.search.trials,
                "counts": counts,
                "best": _best_row(rows, best),
                "pareto": front,
                "finals": None if finals is None else asdict(finals),
                "trials": rows,
                "choices": choices,
                "words": _words(run) if words else [],
            }
        )
        return
    done = ", ".join(f"{count} {state}" for state, count in counts.items()) or "no trial yet"
    result(f"{run.path}: {done} of {run.config.search.trials} planned")
    table(_in_short(rows))
    if best is not None:
        scores = [
            f"delta {best.delta:+.4f}",
            f"{best.ledger.relative_macs:.2f} of hard sharing's MACs",
        ]
        if run.quality == "advantage":
            scores.insert(0, f"advantage {run.score(best):+.4f} over hard sharing at its MACs")
        found = _best_row(rows, best) or {}
        scores += [f"{key} {cell(value)}" for key, value in found.items() if "/" in key]
        result(f"best: trial {best.number}, {', '.join(scores)} (on validation)")
        result("delta: mean relative gain over single-task networks; 0.01 is 1 % better")
        if finals is not None:
            result(
                f"finals ({run.quality} on validation of {several(finals.seeds, 'training')} from scratch, mean ± sd): "
                f"{finals.in_words()}"
            )
        noun = "trial" if len(front) == 1 else "trials"
        result(f"Pareto front (delta, MACs): {noun} {', '.join(map(str, front))}")
    if len({row["choice"] for row in choices}) > 1:
        table(choices, title="choices from the trials' supernets: Δ on validation, step by step")
    for sentence in _words(run) if words else []:
        result(sentence)
    for row in rows:
        if row.get("reason"):
            result(f"trial {row['number']} {row['state']}: {row['reason']}")


def _choices(run: Run) -> list[dict[str, object]]:
    """Return one row per trial and choice of an allocation, with Δ at each step of its ledger."""
    frame = run.ledgers()
    rows: dict[tuple[int, str], dict[str, object]] = {}
    for step in frame.to_dict("records"):
        start = {key: step[key] for key in ("trial", "choice", "macs")}
        row = rows.setdefault((step["trial"], step["choice"]), start)
        row[str(step["step"])] = step["delta"]
    return list(rows.values())


def _in_short(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    """Return what fits on a screen: state, scores, costs, and the candidates by their keys' last words where these differ."""
    left_out = {"reason", "params"}
    keys = dict.fromkeys(k for row in rows for k in row if k not in left_out and "/" not in k)
    last = {key: key.split(".", 1)[-1] for key in keys}
    times = Counter(last.values())
    names = {key: word if times[word] == 1 else key for key, word in last.items()}
    return [{names[key]: value for key, value in row.items() if key in names} for row in rows]


def _best_row(rows: list[dict[str, object]], best: Trial | None) -> dict[str, object] | None:
    return next((row for row in rows if best and row["number"] == best.number), None)
