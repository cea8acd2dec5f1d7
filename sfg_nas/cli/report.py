"""`report`: a run as one page to read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sfg_nas.cli.find import open_run
from sfg_nas.cli.options import Common, with_common
from sfg_nas.cli.output import json_result, note, result
from sfg_nas.errors import ConfigError, explain

PAGE = "report.html"


@with_common("runs")
def report(
    run: Annotated[str, typer.Argument(help="A run's folder, or its name below --runs.")],
    to: Annotated[
        Path | None, typer.Option("--to", metavar="FILE", help="Instead of report.html in the run.")
    ] = None,
    *,
    common: Common,
) -> None:
    """Write a run as one HTML page: verdict, table, pictures, failures, how to reproduce it."""
    opened = open_run(run, common)
    path = to or opened.path / PAGE
    if path.is_dir() or not path.absolute().parent.is_dir():
        rule, do = "a file in a folder that exists is needed", "choose another path"
        raise ConfigError(explain(where="--to", rule=rule, found=str(path), do=do))
    from sfg_nas.report import verdict_of
    from sfg_nas.report.page import report_page
    from sfg_nas.training import write_text

    write_text(path, report_page(opened))
    if common.as_json:
        json_result({"written": str(path)})
    else:
        note(verdict_of(opened).headline, common)
        result(str(path))
