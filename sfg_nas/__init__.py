"""Neural architecture search over what tasks share, by Stochastic Filter Groups.

The pipeline::

    study = load_study("studies/digits.yaml")
    run = search(study)
    architecture = run.best.architecture
    network = build_network(architecture)
    table = retrain(study, architecture, seeds=3)

and, for your own network, `convert`, `random_allocation`, `distill` and `build_network`. Names are
imported when they are first used, so that `import sfg_nas` itself stays quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    __version__: str
    from sfg_nas.allocation import Allocation
    from sfg_nas.architecture import Architecture
    from sfg_nas.fixed import FixedNetwork, build_network, choose_allocation, distill
    from sfg_nas.groups import Groups
    from sfg_nas.sharing import (
        Start,
        Supernet,
        Temperature,
        convert,
        objective,
        random_allocation,
        scale_width,
    )
    from sfg_nas.study import Run, load_study, retrain, search
    from sfg_nas.tasks import Task

_HOME = {
    "Allocation": "sfg_nas.allocation",
    "Architecture": "sfg_nas.architecture",
    "FixedNetwork": "sfg_nas.fixed",
    "Groups": "sfg_nas.groups",
    "Run": "sfg_nas.study",
    "Start": "sfg_nas.sharing",
    "Supernet": "sfg_nas.sharing",
    "Task": "sfg_nas.tasks",
    "Temperature": "sfg_nas.sharing",
    "build_network": "sfg_nas.fixed",
    "choose_allocation": "sfg_nas.fixed",
    "convert": "sfg_nas.sharing",
    "distill": "sfg_nas.fixed",
    "load_study": "sfg_nas.study",
    "objective": "sfg_nas.sharing",
    "random_allocation": "sfg_nas.sharing",
    "retrain": "sfg_nas.study",
    "scale_width": "sfg_nas.sharing",
    "search": "sfg_nas.study",
}

__all__ = [
    "Allocation",
    "Architecture",
    "FixedNetwork",
    "Groups",
    "Run",
    "Start",
    "Supernet",
    "Task",
    "Temperature",
    "build_network",
    "choose_allocation",
    "convert",
    "distill",
    "load_study",
    "objective",
    "random_allocation",
    "retrain",
    "scale_width",
    "search",
]


def __getattr__(name: str) -> object:
    """Import a public name from its home on first use; look the version up when it is asked for."""
    if name == "__version__":
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version("sfg_nas")
        except PackageNotFoundError:  # run from a source tree that is not installed
            return "0+unknown"
    if name not in _HOME:
        raise AttributeError(f"module 'sfg_nas' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    """Return the public names."""
    return sorted([*globals(), *__all__, "__version__"])
