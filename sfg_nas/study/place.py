"""Where the workers of a run meet: its directory, its trials, its locks, and the courier of its files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from sfg_nas.errors import ArchitectureError, ConfigError, explain, without_password
from sfg_nas.files import read_text
from sfg_nas.search_space import Candidate, known_good
from sfg_nas.study.courier import Courier, SharedFolder
from sfg_nas.study.layout import RunFiles
from sfg_nas.study.locks import FileLocks, Locks
from sfg_nas.study.opened import SQLITE, open_optuna, open_storage
from sfg_nas.study.postgres import PostgresCourier, PostgresLocks, is_postgres
from sfg_nas.study.provenance import begin_run
from sfg_nas.study.samplers import rung_pruner
from sfg_nas.study.scalars import scalars
from sfg_nas.study.storage import TrialStore, Value
from sfg_nas.study.study import Study
from sfg_nas.training import read_rows, remove_leftovers, write_text


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
        """Bring home the files of trials that ended elsewhere.

        Raises:
            ArchitectureError: If a folder holds another trial than the storage.
        """
        for number, values in self.store.ended().items():
            self.check_folder(number, values)
            files = self.files.trial(number)
            if not files.is_ended():
                self.courier.fetch(files.root)
                if files.is_ended():
                    files.checkpoint.unlink(missing_ok=True)
                if files.metrics.exists():
                    with scalars(self.files.scalars(number)) as board:
                        board.write(read_rows(files.metrics))

    def check_folder(self, number: int, values: Mapping[str, Value]) -> None:
        """Refuse what another storage's trial of the same number left: its results would be told as this one's.

        Args:
            number: The trial's.
            values: Of its candidate, as the storage has them.

        Raises:
            ArchitectureError: If the trial's folder holds another candidate.
        """
        path = self.files.trial(number).candidate
        if not path.exists():
            return
        here = Candidate.from_json(read_text(path), str(path))
        other = [key for key in {**values, **here} if here.get(key) != values.get(key)]
        if other:
            key = other[0]
            raise ArchitectureError(
                explain(
                    where=str(path.parent),
                    rule="a trial's folder must hold the candidate that the storage has",
                    found=f"{key} {here.get(key)} where the storage has {values.get(key)}",
                    do="search with the --storage of before, or give the study another name",
                )
            )


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
    _begin_or_join(study, files, courier)
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


def _begin_or_join(study: Study, files: RunFiles, courier: Courier) -> None:
    """Begin the run, or join it if the run here and the one elsewhere are of this study; if not, both stay as they are."""
    remove_leftovers(files.root, files.study.name)
    kept = files.study.read_text(encoding="utf-8") if files.study.exists() else None
    if kept is not None:
        begin_run(study, files)
    courier.fetch(files.study)
    try:
        begin_run(study, files)
    except ConfigError:
        if kept is None:
            files.study.unlink(missing_ok=True)
        else:
            write_text(files.study, kept)
        raise
    courier.send(files.study)


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
            found=without_password(storage) or repr(storage),
            do="give one of these, or leave --storage out to use the run's own file",
        )
    )
