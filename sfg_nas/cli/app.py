"""All commands in one application."""

from __future__ import annotations

from typing import Annotated

import typer

from sfg_nas.cli import (
    compare,
    dashboard,
    describe,
    export,
    files,
    measure,
    predict,
    report,
    search,
    status,
)
from sfg_nas.cli.data import data_app
from sfg_nas.cli.output import result

app = typer.Typer(
    name="sfg-nas",
    help="Learns, filter by filter, what several tasks on the same images should share in a CNN.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="In order: init, validate, search, retrain or compare, report; each takes --help. Exit codes: 0 done, 1 ran and failed, 2 wrong input, 130 interrupted (call it again to go on).",
)


def _version(wanted: bool) -> None:
    if wanted:
        from sfg_nas.cli.describe import own_version

        result(f"sfg-nas {own_version()}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    del version


app.command("init")(files.init)
app.command("validate")(files.validate)
app.command("search")(search.search)
app.command("status")(status.status)
app.command("dashboard")(dashboard.dashboard)
app.command("export")(export.export)
app.command("retrain")(search.retrain)
app.command("compare")(compare.compare)
app.command("evaluate")(measure.evaluate)
app.command("predict")(predict.predict)
app.command("report")(report.report)
app.command("list")(describe.list_names)
app.command("doctor")(describe.doctor)
app.add_typer(data_app, name="data")
