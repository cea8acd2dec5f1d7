"""Which networks of torchvision and MONAI `scale_width` can make narrower and wider, and what they cost then.

    python benchmarks/widths.py --to docs/widths.md                    # goes on where it stopped
    python benchmarks/widths.py --only --timm hrnet_w18_small          # prints a line for each

Needs the `vision` extra (and `medical` for MONAI); nothing is downloaded, weights are random.
"""

from __future__ import annotations

import argparse
import gc
import json
import time
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from coverage import (
    example_for,
    monai_networks,
    smallest,
    timm_networks,
    torchvision_networks,
)
from torch import nn

from sfg_nas.cost import count_macs
from sfg_nas.errors import SfgNasError
from sfg_nas.sharing import WidthPlan

WIDTHS = (0.5, 0.75, 1.5)
BANKS = (nn.modules.conv._ConvNd, nn.Linear)


def filters(network: nn.Module) -> list[int]:
    """Return the number of filters of every convolution and linear layer."""
    found = []
    for module in network.modules():
        if isinstance(module, BANKS):
            transposed = isinstance(module, nn.modules.conv._ConvTransposeNd)
            found.append(module.weight.shape[1 if transposed else 0])
    return found


def measure(family: str, name: str, build: Callable[[], nn.Module]) -> dict[str, Any]:
    """Return one row of the table, whatever happens."""
    torch.manual_seed(0)
    backbone = build().eval()
    example = smallest(backbone) if family == "timm" else example_for(family, name)
    row: dict[str, Any] = {"family": family, "network": name}
    start = time.perf_counter()
    try:
        plan = WidthPlan.of(backbone, example)
        whole, before = count_macs(backbone, example), filters(backbone)
        for width in WIDTHS:
            made = plan.made(backbone, width)
            row[f"{width:g}"] = count_macs(made, example) / whole
            if width == WIDTHS[0]:
                row["kept"] = sum(x == y for x, y in zip(before, filters(made), strict=True))
                row["layers"] = len(before)
            del made
    except SfgNasError as err:
        row["result"] = f"refused: {' '.join(str(err).split())[:300]}"
    return row | {"seconds": time.perf_counter() - start}


def as_table(rows: list[dict[str, Any]]) -> str:
    """Return the Markdown table, one line per network."""
    made = [row for row in rows if "result" not in row]
    lines = [
        f"{len(made)} of {len(rows)} networks can be made at these widths. If all layers followed exactly, the relative MACs "
        f"would be about {', '.join(f'{width**2:.2f}' for width in WIDTHS)}.",
        "",
        "| family | network | " + " | ".join(f"MACs at {w:g}" for w in WIDTHS)
        + " | layers that keep their filters | all of it (s) |",
        "|---|---|" + "---|" * (len(WIDTHS) + 2),
    ]  # fmt: skip
    for row in rows:
        if "result" in row:
            middle = " | ".join([row["result"].replace("|", "/"), *[""] * len(WIDTHS)])
        else:
            middle = " | ".join(f"{row[f'{width:g}']:.2f}" for width in WIDTHS)
            middle += f" | {row['kept']} of {row['layers']}"
        lines.append(f"| {row['family']} | {row['network']} | {middle} | {row['seconds']:.1f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run what is missing and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--to", type=Path, help="write the table into this Markdown file")
    parser.add_argument("--log", type=Path, help="rows so far (JSON lines)")
    parser.add_argument("--only", nargs="*", help="torchvision's and MONAI's networks; none alone")
    parser.add_argument("--timm", nargs="*", default=[], help="networks of timm")
    options = parser.parse_args()
    log = options.log or (options.to.with_suffix(".jsonl") if options.to else None)
    rows = [json.loads(line) for line in log.open()] if log and log.exists() else []
    done = {row["network"] for row in rows}
    for family, name, build in chain(
        monai_networks(), torchvision_networks(), timm_networks(options.timm)
    ):
        named = options.only is None or name in options.only or name in options.timm
        if not named or name in done:
            continue
        rows.append(measure(family, name, build))
        print(json.dumps(rows[-1]), flush=True)
        if log:
            with log.open("a") as file:
                file.write(json.dumps(rows[-1]) + "\n")
        gc.collect()
    if options.to:
        head = options.to.read_text().split("\n## Table")[0] if options.to.exists() else "# Widths"
        options.to.write_text(f"{head.rstrip()}\n\n## Table\n\n{as_table(rows)}")


if __name__ == "__main__":
    main()
