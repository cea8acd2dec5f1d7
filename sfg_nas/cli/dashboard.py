"""`dashboard`: optuna-dashboard on a run, with what each trial learned as pictures; on this machine only."""

from __future__ import annotations

import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sfg_nas.cli.find import open_run
from sfg_nas.cli.options import Common, whole, with_common
from sfg_nas.cli.output import note, result
from sfg_nas.errors import ConfigError, SfgNasError, explain

if TYPE_CHECKING:
    from wsgiref.simple_server import WSGIServer

    from sfg_nas.study.board import Board

LOOPBACK = "127.0.0.1"
PICTURES = ("architecture.png", "allocation.png", "trajectories.png")
SECONDS = 5.0  # between two looks for trials that have ended


@with_common("runs")
def dashboard(
    run: Annotated[str, typer.Argument(help="A run's folder, or its name below --runs.")],
    port: Annotated[
        int,
        typer.Option(parser=whole("--port", 0, 65535), metavar="INT", help="0 for any free one."),
    ] = 8080,
    storage: Annotated[
        str | None, typer.Option(help="The storage that the search used, if not the run's file.")
    ] = None,
    *,
    common: Common,
) -> None:
    """Show a run in the browser: its trials, and what each of them learned."""
    from sfg_nas.study.board import Board

    opened = open_run(run, common)
    board = Board(opened, storage)
    server = _server(board, port)
    thread = threading.Thread(target=_keep_drawing, args=(board, common), daemon=True)
    thread.start()
    result(f"http://{LOOPBACK}:{server.server_port}/dashboard/")
    note("Ctrl-C ends it", common)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        note("ended", common)
    finally:
        server.server_close()


def _server(board: Board, port: int) -> WSGIServer:
    from socketserver import ThreadingMixIn
    from wsgiref.simple_server import WSGIRequestHandler, make_server
    from wsgiref.simple_server import WSGIServer as Base

    class Server(ThreadingMixIn, Base):
        daemon_threads = True

    class Quiet(WSGIRequestHandler):
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its own name)
            del format, args

    try:
        return make_server(LOOPBACK, port, board.app(), server_class=Server, handler_class=Quiet)
    except OSError as error:
        raise ConfigError(
            explain(
                where="--port",
                rule="a free port is needed",
                found=f"{port}: {error.strerror}",
                do="give another one, or 0",
            )
        ) from error


def _keep_drawing(board: Board, common: Common) -> None:
    wait = threading.Event()
    failed: set[int] = set()
    while True:
        for number in board.missing(PICTURES):
            if number not in failed:
                try:
                    draw(board, number)
                except (SfgNasError, OSError, ValueError) as error:
                    failed.add(number)
                    note(f"warning: trial {number} has no pictures: {error}", common)
        wait.wait(SECONDS)


def draw(board: Board, number: int) -> None:
    """Draw a trial's pictures and attach them.

    Args:
        board: The run's board.
        number: A complete trial.
    """
    from sfg_nas.report.allocation import plot_allocation
    from sfg_nas.report.figures import plot_architecture
    from sfg_nas.report.trajectories import plot_trajectories

    trial = board.run.trial(number)
    figures = (plot_architecture(trial), plot_allocation(trial), plot_trajectories(trial))
    with tempfile.TemporaryDirectory() as folder:
        for name, figure in zip(PICTURES, figures, strict=True):
            path = Path(folder) / name
            figure.savefig(path, dpi=110)
            board.attach(number, path)
