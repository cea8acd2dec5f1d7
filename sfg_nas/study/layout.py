"""Where everything lies in a run directory, and locks that end with the process that holds them."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sfg_nas.study.stored import read_state


@dataclass(frozen=True)
class TrialFiles:
    """The files of one trial."""

    root: Path

    @property
    def state(self) -> Path:
        """Return the file with the trial's state, its objective values or why it failed."""
        return self.root / "state.json"

    @property
    def candidate(self) -> Path:
        """Return the file with the candidate's dotted keys and values."""
        return self.root / "candidate.json"

    @property
    def metrics(self) -> Path:
        """Return the table with one row per epoch."""
        return self.root / "metrics.csv"

    @property
    def probabilities(self) -> Path:
        """Return the arrays [E + 1, F, G] of each layer."""
        return self.root / "probabilities.npz"

    @property
    def allocation(self) -> Path:
        """Return the allocation's file."""
        return self.root / "allocation.json"

    @property
    def architecture(self) -> Path:
        """Return the architecture's file."""
        return self.root / "architecture.json"

    @property
    def supernet(self) -> Path:
        """Return the supernet's weights, hardened and with recalibrated norms."""
        return self.root / "supernet.safetensors"

    @property
    def network(self) -> Path:
        """Return the fixed network's weights: the supernet's, cut to what each group reads."""
        return self.root / "network.safetensors"

    @property
    def norms(self) -> Path:
        """Return the norms' statistics as the search left them, before they were recalibrated."""
        return self.root / "norms.safetensors"

    @property
    def ledger(self) -> Path:
        """Return the scores of each step on validation."""
        return self.root / "ledger.json"

    @property
    def checkpoint(self) -> Path:
        """Return the file that is there while the trial runs."""
        return self.root / "checkpoint.safetensors"

    def distilled(self, label: str) -> TrialFiles:
        """Return the files of another choice of an allocation from the same supernet."""
        return TrialFiles(self.root / "distilled" / label)

    def is_ended(self) -> bool:
        """Return whether the trial's state is here and says that it ended."""
        if not self.state.exists():
            return False
        return read_state(self.state)["state"] != "running"


@dataclass(frozen=True)
class RunFiles:
    """The files of one run."""

    root: Path

    @property
    def study(self) -> Path:
        """Return the resolved study with its provenance."""
        return self.root / "study.yaml"

    @property
    def database(self) -> Path:
        """Return Optuna's default storage."""
        return self.root / "study.db"

    @property
    def references(self) -> Path:
        """Return the scores of the single-task networks."""
        return self.root / "references.json"

    @property
    def reference_work(self) -> Path:
        """Return the folder of the references' training."""
        return self.root / "references"

    @property
    def trials(self) -> Path:
        """Return the folder of the trials."""
        return self.root / "trials"

    @property
    def retrained(self) -> Path:
        """Return the folder of the retrained networks and their controls."""
        return self.root / "retrained"

    @property
    def finals(self) -> Path:
        """Return what the finals of the search came to."""
        return self.root / "finals.json"

    @property
    def final_work(self) -> Path:
        """Return the folder of the finals' trainings."""
        return self.root / "finals"

    def transferred(self, name: str) -> Path:
        """Return the allocation that came from another run under a name such as `faces-3`."""
        return self.root / "transferred" / f"{name}.json"

    def scalars(self, number: int) -> Path:
        """Return the folder of a trial's events for TensorBoard."""
        return self.root / "tensorboard" / str(number)

    def trial(self, number: int) -> TrialFiles:
        """Return the files of a trial."""
        return TrialFiles(self.trials / str(number))

    def lock(self, name: str) -> Path:
        """Return the file that a lock is held on."""
        return self.root / "locks" / name


@contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[bool]:
    """Hold a lock between processes of one machine; the system frees it when its holder dies, however it dies.

    Args:
        path: The file to lock; it is made and left.
        wait: Whether to wait for another holder.

    Yields:
        Whether the lock is held; always true with `wait`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        try:
            yield True
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)
