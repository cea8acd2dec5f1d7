"""Optuna's storage and study, opened and closed."""

from __future__ import annotations

import logging
import sqlite3
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from urllib.parse import quote, unquote

import optuna
from optuna.storages import BaseStorage, RDBStorage
from optuna.study import StudyDirection

from sfg_nas.config import SearchConfig
from sfg_nas.errors import ConfigError, explain
from sfg_nas.study.samplers import PRUNERS, SAMPLERS, ResumableSampler
from sfg_nas.study.sqlite import connection_options, fold

SQLITE = "sqlite:///"

DIRECTIONS = {
    "delta": StudyDirection.MAXIMIZE,
    "advantage": StudyDirection.MAXIMIZE,
    "error": StudyDirection.MINIMIZE,
    "macs": StudyDirection.MINIMIZE,
    "params": StudyDirection.MINIMIZE,
}
_OTHER_ADDRESS = "check the address, or leave --storage out to use the run's own file"
_RESTORE = "restore study.db, or give the study another name: the trials' own files are not touched"


def open_storage(url: str | None, database: Path) -> BaseStorage:
    """Return Optuna's storage.

    Args:
        url: `postgresql://...`, `sqlite:///FILE`, or None for the SQLite file.
        database: The SQLite file.

    Raises:
        ConfigError: If the storage cannot be opened.
    """
    address = url or f"{SQLITE}{database.resolve()}"
    database.parent.mkdir(parents=True, exist_ok=True)
    options: dict[str, object] = {"pool_pre_ping": True}
    if address.startswith(SQLITE):
        file = address.removeprefix(SQLITE)
        # The path is opened as it is: in an address, SQLAlchemy would cut it at `?` and read `%41` as a letter.
        connection = {"check_same_thread": False, **connection_options(Path(file))}
        options = {"creator": partial(sqlite3.connect, file, **connection)}
        address = SQLITE + quote(file)
    elif "://" in address:
        address = "postgresql+psycopg://" + address.split("://", 1)[1]
        address = address.replace("{", "{{").replace("}", "}}")  # Optuna formats it
    try:
        return RDBStorage(address, engine_kwargs=options)
    except Exception as error:
        raise ConfigError(
            explain(
                where=f"storage of {database.parent}",
                rule="Optuna must be able to open it",
                found=f"{type(error).__name__}: {error}".splitlines()[0],
                do=_RESTORE if url is None else _OTHER_ADDRESS,
            )
        ) from error


def close_storage(storage: BaseStorage) -> None:
    """End the connections to a storage, perhaps one that Optuna has wrapped."""
    backend = getattr(storage, "_backend", storage)
    if isinstance(backend, RDBStorage):
        backend.remove_session()
        backend.engine.dispose()
        if backend.url.startswith(SQLITE):
            fold(Path(unquote(backend.url.removeprefix(SQLITE))))


def open_optuna(
    search: SearchConfig, storage: BaseStorage, *, name: str, epochs: int
) -> optuna.Study:
    """Return the Optuna study, made if it is not there yet, with the study's candidates enqueued first.

    Args:
        search: Sampler, pruner, objectives, seed.
        storage: Where it is kept.
        name: The study's name.
        epochs: Epochs of a trial, for Hyperband.
    """
    sampler = ResumableSampler(
        lambda seed: SAMPLERS[search.sampler.kind](search, seed), search.seed
    )
    with quiet_optuna():
        return optuna.create_study(
            storage=storage,
            study_name=name,
            directions=[DIRECTIONS[objective] for objective in search.objectives],
            sampler=sampler,
            pruner=PRUNERS.get(search.pruner.kind, PRUNERS["none"])(search, epochs),
            load_if_exists=True,
        )


@contextmanager
def quiet_optuna() -> Iterator[None]:
    """Keep Optuna's log lines and its warnings about experimental parts off the screen, inside a `with`."""
    logger = logging.getLogger("optuna")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        logger.setLevel(level)
