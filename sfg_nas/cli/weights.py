"""From what the user typed to networks to export, each with weights whose origin is said."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sfg_nas.cli.distill import redistilled, refuse_choices
from sfg_nas.cli.find import choose_trials, is_architecture, open_architecture, open_run
from sfg_nas.cli.networks import ARCHITECTURE, WEIGHTS, seeds_of
from sfg_nas.cli.options import Common
from sfg_nas.cli.output import quoted
from sfg_nas.errors import ConfigError, explain

if TYPE_CHECKING:
    from sfg_nas.architecture import Architecture
    from sfg_nas.data import Preparation
    from sfg_nas.fixed import FixedNetwork
    from sfg_nas.study import Run, Trial

SUPERNET, RETRAINED = "supernet", "retrained"
_RULE = f"`{SUPERNET}`, `{RETRAINED}` or a safetensors file that exists is needed"


@dataclass(frozen=True)
class Chosen:
    """One architecture to export.

    Attributes:
        folder: Where its files go, below the folder that was asked for.
        architecture: The architecture.
        weights: The file with its weights; None for fresh ones.
        origin: What the weights are, in words.
    """

    folder: Path
    architecture: Architecture
    weights: Path | None
    origin: str

    def network(self) -> FixedNetwork:
        """Return the network with its weights, in evaluation mode.

        Raises:
            ArchitectureError: The file is damaged or belongs to another architecture.
        """
        from sfg_nas.fixed import build_network
        from sfg_nas.weights import load_weights

        network = build_network(self.architecture)
        if self.weights is not None:
            load_weights(self.weights, network)
        return network.eval()

    def preparation(self) -> Preparation | None:
        """Return how images become the network's input, if that lies beside its weights.

        Raises:
            DataError: The file is damaged.
        """
        from sfg_nas.data import PREPARATION_FILE, Preparation

        file = self.weights.with_name(PREPARATION_FILE) if self.weights is not None else None
        return Preparation.load(file) if file is not None and file.is_file() else None


def choose(
    found: str, trial: str, weights: str | None, common: Common, *, distill: str | None = None
) -> list[Chosen]:
    """Return what to export.

    Args:
        found: A run, an architecture's file, or the folder of a network.
        trial: `best`, `pareto` or a number; for a run.
        weights: `supernet` (a run's default), `retrained`, or a safetensors file.
        common: The shared options.
        distill: Another rule to choose from the trials' supernets by; for a run.

    Raises:
        ConfigError: There is no such thing.
        ArchitectureError: A file is damaged.
    """
    path = Path(found)
    if (path / ARCHITECTURE).is_file():
        path = path / ARCHITECTURE
    if is_architecture(str(path)):
        refuse_choices(trial, distill, found)
        return [_of_file(path, weights)]
    run = open_run(found, common)
    trials = choose_trials(run, trial)
    if distill is not None:
        trials = redistilled(run, trials, distill, common)
    many = trial == "pareto"
    return [_of_trial(run, t, weights, f"trial-{t.number}" if many else "") for t in trials]


def _of_file(path: Path, weights: str | None) -> Chosen:
    """Return an architecture's file with the weights that lie beside it."""
    architecture = open_architecture(str(path))
    if weights in (SUPERNET, RETRAINED):
        raise _no_weights(weights, "an architecture's file", "give the run, or a safetensors file")
    beside = path.with_name(WEIGHTS)
    file = _file(weights) if weights is not None else beside if beside.is_file() else None
    origin = str(file) if file is not None else "fresh, not trained (seed 0)"
    return Chosen(Path(), architecture, file, origin)


def _of_trial(run: Run, trial: Trial, weights: str | None, folder: str) -> Chosen:
    architecture = trial.architecture
    if weights in (None, SUPERNET):
        file = trial.files.network if trial.files.network.is_file() else None
        origin = f"the supernet's of trial {trial.number}, norms recalibrated, not retrained"
        if file is None and weights is not None:
            raise _no_weights(SUPERNET, f"no {trial.files.network}", "retrain it, or search again")
        return Chosen(Path(folder), architecture, file, origin)
    if weights != RETRAINED:
        assert weights is not None
        return Chosen(Path(folder), architecture, _file(weights), weights)
    seeds = seeds_of(run.files.retrained / architecture.hash)
    if not seeds:
        do = f"run `sfg-nas retrain {quoted(run.path)} --trial {trial.number}` first"
        raise _no_weights(RETRAINED, f"trial {trial.number}, not retrained from scratch", do)
    origin = f"trial {trial.number} retrained from scratch, seed {seeds[0].name}"
    return Chosen(Path(folder), architecture, seeds[0] / WEIGHTS, origin)


def _file(weights: str) -> Path:
    if not Path(weights).is_file():
        rule, do = _RULE, "check the path"
        found = f"{weights or repr(weights)}, which is no such file"
        raise ConfigError(explain(where="--weights", rule=rule, found=found, do=do))
    return Path(weights)


def _no_weights(asked: str, found: str, do: str) -> ConfigError:
    return ConfigError(explain(where="--weights", rule=_RULE, found=f"{asked} for {found}", do=do))
