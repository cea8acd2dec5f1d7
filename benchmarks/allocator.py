"""What it saves to let the C library keep freed memory, as the commands and workers do (`sfg_nas/allocator.py`).

Each way has processes of its own, in turns, each of which takes some training steps of hard sharing and some of the
search on one thread. Reported are the seconds of the processor per step, page faults, and the peak of the memory.

    OMP_NUM_THREADS=1 python benchmarks/allocator.py
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys

WAYS = ("given back", "kept")
SETTINGS = (("vgg11-quarter", 64, 48), ("vgg11-full", 16, 64), ("resnet18", 16, 64))
STEPS = ("plain hard sharing", "connections, 2 tasks")


def measure(way: str, steps: int) -> None:
    """Print what one way takes, as JSON: to be called in a process of its own."""
    if way == "kept":
        from sfg_nas.allocator import keep_freed_memory

        if not keep_freed_memory():
            raise SystemExit("this C library cannot be told")
    from step import way_of

    for name, batch, side in SETTINGS:
        for kind in STEPS:
            run = way_of(kind, name, batch, side)
            for _ in range(2):
                run()
            before = resource.getrusage(resource.RUSAGE_SELF)
            for _ in range(steps):
                run()
            after = resource.getrusage(resource.RUSAGE_SELF)
            used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            row = {
                "what": f"{name}, batch {batch}, {kind}",
                "seconds": used / steps,
                "faults": (after.ru_minflt - before.ru_minflt) / steps,
                "peak": after.ru_maxrss / 1024,
            }
            print(json.dumps(row), flush=True)


def main() -> None:
    """Print a table with a line for each kind of step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--way", choices=WAYS, help="one way, in this process")
    arguments = parser.parse_args()
    if arguments.way:
        measure(arguments.way, arguments.steps)
        return
    found: dict[str, dict[str, list[dict[str, float]]]] = {}
    for _ in range(arguments.rounds):
        for way in WAYS:
            command = [sys.executable, __file__, "--way", way, "--steps", str(arguments.steps)]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603
            for line in done.stdout.splitlines():
                row = json.loads(line)
                found.setdefault(row["what"], {}).setdefault(way, []).append(row)
    print("| step | seconds, kept / given back | page faults | peak of the process, MiB |")
    print("|---|---|---|---|")
    for what, ways in found.items():
        middle = {
            way: {
                key: statistics.median(row[key] for row in rows)
                for key in ("seconds", "faults", "peak")
            }
            for way, rows in ways.items()
        }
        back, kept = (middle[way] for way in WAYS)
        print(
            f"| {what} | {kept['seconds'] / back['seconds']:.3f} | {back['faults']:,.0f} and "
            f"{kept['faults']:,.0f} | {back['peak']:.0f} and {kept['peak']:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
