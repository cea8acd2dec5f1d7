"""Where the workers of a run meet: its directory, its trials, its locks, and the courier of its files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from sfg_nas.errors import ConfigError, explain
from sfg_nas.search_space import known_good
from sfg_nas.study.courier import Courier, SharedFolder
from sfg_nas.study.layout import RunFiles
from sfg_nas.study.locks import FileLocks, Locks
from sfg_nas.study.opened import SQLITE, open_optuna, open_storage
from sfg_nas.study.postgres import PostgresCourier, PostgresLocks, is_postgres
from sfg_nas.study.provenance import begin_run
from sfg_nas.study.samplers import rung_pruner
from sfg_nas.study.scalars import scalars
from sfg_nas.study.storage import TrialStore
from sfg_nas.study.study import Study
from sfg_nas.training import read_rows, remove_leftovers


@dataclass(frozen=True)
class Place:
    """What the workers of a run share.

    Attributes:
        files: The run directory here.
        store: The trials.
        locks: Of this worker.
        courier: Brings files to workers elsewhere, and theirs home.
    """

    files: RunFiles
    store: TrialStore
    locks: Locks
    courier: Courier

    def fetch_ended(self) -> None:
        """Bring home the files of trials that ended elsewhere."""
        for number in self.store.ended():
            files = self.files.trial(number)
            if not files.is_ended():
                self.courier.fetch(files.root)
                if files.is_ended():
                    files.checkpoint.unlink(missing_ok=True)
                if files.metrics.exists():
                    with scalars(self.files.scalars(number)) as board:
                        board.write(read_rows(files.metrics))


@contextmanager
def open_place(study: Study, runs: Path, storage: str | None) -> Iterator[Place]:
    """Begin a run or join it, for a `with`.

    Args:
        study: The study.
        runs: The folder of run directories.
        storage: `postgresql://...` or `sqlite:///FILE`; None for the run's own SQLite file.

    Raises:
        ConfigError: If the run was begun with another study, or the storage cannot be opened.
    """
    files = RunFiles(runs / study.config.name)
    with ExitStack() as stack:
        locks = _locks(storage, files, study.config.name)
        stack.callback(locks.close)
        # Two processes that make the tables of one database at once would trip over each other.
        with locks.hold("begin"):
            courier: Courier = SharedFolder()
            if storage is not None and is_postgres(storage):
                courier = PostgresCourier(storage, study.config.name, files.root)
            stack.callback(courier.close)
            store = _begin(study, files, courier, storage)
            stack.callback(store.close)
        yield Place(files, store, locks, courier)


def _begin(study: Study, files: RunFiles, courier: Courier, storage: str | None) -> TrialStore:
    search = study.config.search
    courier.fetch(files.study)
    remove_leftovers(files.root, files.study.name)
    begin_run(study, files)
    courier.send(files.study)
    optuna_study = open_optuna(
        search,
        open_storage(storage, files.database),
        name=study.config.name,
        epochs=study.config.training.epochs,
    )
    store = TrialStore(optuna_study, rung_pruner(search))
    first = known_good(study.space.dimensions)
    store.enqueue([*search.enqueue, *([first] if first else [])])
    return store


def _locks(storage: str | None, files: RunFiles, name: str) -> Locks:
    if storage is None:
        return FileLocks(files.lock("begin").parent)
    if is_postgres(storage):
        return PostgresLocks(storage, name)
    if storage.startswith(SQLITE) and len(storage) > len(SQLITE):
        database = Path(storage.removeprefix(SQLITE))
        return FileLocks(database.with_name(f"{database.name}.locks") / name)
    raise ConfigError(
        explain(
            where="--storage",
            rule="`postgresql://...`, or `sqlite:///FILE` for one machine, is needed",
            found=storage.split("@")[-1] or repr(storage),  # without a password
            do="give one of these, or leave --storage out to use the run's own file",
        )
    )
