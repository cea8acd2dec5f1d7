"""The command line without its start: a process that has imported everything forks one for each command.

Each command still runs in a process of its own, with its own arguments, folder, environment and streams; what is spared is
the import of the libraries, which takes longer than most commands of the documentation.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from pathlib import Path

CLIENT = """\
import array, json, os, socket, sys
with socket.socket(socket.AF_UNIX) as link:
    link.connect(sys.argv[1])
    said = json.dumps([sys.argv[2:], os.getcwd(), dict(os.environ)]).encode()
    streams = array.array("i", [0, 1, 2])
    link.sendmsg([len(said).to_bytes(8, "little")], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, streams)])
    link.sendall(said)
    sys.exit(int(link.recv(8) or b"70"))
"""
"""What stands in for the command: it starts in a hundredth of a second. Arguments: the socket, and the command's."""


def serve(place: str) -> None:
    """Answer commands until this process is ended.

    Args:
        place: The path of the socket.
    """
    import matplotlib.pyplot  # noqa: F401  (what commands would import one by one)
    import optuna  # noqa: F401
    import pandas  # noqa: F401
    import torch  # noqa: F401

    import sfg_nas.cli.app
    import sfg_nas.compare
    import sfg_nas.report
    import sfg_nas.study  # noqa: F401

    with socket.socket(socket.AF_UNIX) as door:
        door.bind(place)
        door.listen()
        while True:
            link, _ = door.accept()
            if os.fork() == 0:
                _answer(link)
            link.close()


def _answer(link: socket.socket) -> None:
    """Run one command in a grandchild, tell its exit code, and end this process."""
    size, streams, _, _ = socket.recv_fds(link, 8, 3)
    said = b""
    while len(said) < int.from_bytes(size, "little"):
        said += link.recv(1 << 16)
    arguments, folder, environment = json.loads(said)
    child = os.fork()
    if child == 0:
        link.close()
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        sys.argv = ["sfg-nas", *arguments]
        from sfg_nas.cli import run

        code = run(arguments)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    _, status = os.waitpid(child, 0)
    link.sendall(str(os.waitstatus_to_exitcode(status) % 256).encode())
    os._exit(0)


if __name__ == "__main__":
    serve(str(Path(sys.argv[1])))
