"""Workers on any machine, held together by one PostgreSQL: its advisory locks, and a table for their files."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sfg_nas.errors import ConfigError, explain
from sfg_nas.study.locks import LostLockError
from sfg_nas.training import write_atomically

if TYPE_CHECKING:
    import psycopg

PREFIXES = ("postgresql://", "postgres://", "postgresql+psycopg://")
"""How the address of a PostgreSQL may begin."""
_TABLE = """
create table if not exists sfg_nas_files (
    study text not null, name text not null, digest text not null, content bytea not null,
    primary key (study, name)
)
"""
# A worker whose machine or network is gone is given up after about half a minute.
_KEEPALIVE = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 4}
# What ends a password early, unless it is written as its number.
_MISREAD = re.compile(r"[@/?#]|%(?![0-9A-Fa-f]{2})")


def is_postgres(url: str) -> bool:
    """Return whether an address is that of a PostgreSQL.

    Args:
        url: The address.
    """
    return url.startswith(PREFIXES)


def connect(url: str) -> psycopg.Connection[tuple[object, ...]]:
    """Return a connection of one's own that commits at once.

    Args:
        url: The address.

    Raises:
        ConfigError: If psycopg is not installed, or the server cannot be reached.
    """
    where = "--storage"
    try:
        import psycopg
    except ImportError as error:
        raise ConfigError(
            explain(
                where=where,
                rule="a PostgreSQL needs the package psycopg",
                found="it is not installed",
                do="pip install 'sfg_nas[distributed]'",
            )
        ) from error
    plain = "postgresql://" + url.split("://", 1)[1]
    try:
        # The server's side of the same goes in as options of the session.
        options = " ".join(f"-c tcp_{name}={value}" for name, value in _KEEPALIVE.items())
        info = psycopg.conninfo.make_conninfo(
            plain, connect_timeout=20, options=options, **_KEEPALIVE
        )
        connection = psycopg.connect(info, autocommit=True)
    except psycopg.Error as error:
        found = str(error).splitlines()[0] if str(error) else type(error).__name__
        do = "check the address and that the server runs"
        if _MISREAD.search(plain.partition("://")[2].rpartition("@")[0]):
            found = "an address that ends within its password"  # what was said may quote it
            do = "write @ / ? # % of a password as %40 %2F %3F %23 %25"
        raise ConfigError(
            explain(
                where=where,
                rule="the PostgreSQL must be reachable",
                found=found,
                do=do,
            )
        ) from error
    return connection


def ask(
    connection: psycopg.Connection[tuple[object, ...]], query: str, *values: object
) -> list[tuple[object, ...]]:
    """Return the rows of a query; an empty list where it gives none.

    Args:
        connection: From `connect`.
        query: With `%s` for each value.
        values: What stands there.

    Raises:
        LostLockError: If the connection is lost, and with it every lock it held.
    """
    import psycopg

    try:
        cursor = connection.execute(query, values)
        return cursor.fetchall() if cursor.description else []
    except psycopg.Error as error:
        raise LostLockError(str(error) or type(error).__name__) from error


class PostgresLocks:
    """Session-level advisory locks, which the server frees when the connection ends.

    One connection per worker holds them. If it breaks, the worker must stop (`check`), since another one may have
    taken its trial.
    """

    def __init__(self, url: str, study: str) -> None:
        """Connect.

        Args:
            url: Address of the server.
            study: Name of the study, which the locks belong to.
        """
        self._connection, self._study = connect(url), study

    @contextmanager
    def hold(self, name: str, *, wait: bool = True) -> Iterator[bool]:
        """Hold a lock inside a `with`, which gives whether it is held.

        Args:
            name: What is locked.
            wait: Whether to wait for another holder.
        """
        key = self._key(name)
        if wait:
            ask(self._connection, "select pg_advisory_lock(%s)", key)
        elif not ask(self._connection, "select pg_try_advisory_lock(%s)", key)[0][0]:
            yield False
            return
        try:
            yield True
        finally:
            if not self._connection.closed:
                ask(self._connection, "select pg_advisory_unlock(%s)", key)

    def check(self) -> None:
        """Raise `LostLockError` if the connection, and with it every lock, is lost."""
        ask(self._connection, "select 1")

    def close(self) -> None:
        """End the connection, and with it every lock."""
        self._connection.close()

    def _key(self, name: str) -> int:
        digest = hashlib.sha256(f"sfg_nas/{self._study}/{name}".encode()).digest()
        return int.from_bytes(digest[:8], "big", signed=True)


class PostgresCourier:
    """Keeps the files of a run in a table beside Optuna's."""

    def __init__(self, url: str, study: str, root: Path) -> None:
        """Connect, and make the table if it is not there; call it under a lock.

        Args:
            url: Address of the server.
            study: Name of the study.
            root: The run directory here.
        """
        self._connection, self._study, self._root = connect(url), study, root
        self._sent: dict[str, str] = {}
        ask(self._connection, _TABLE)

    def send(self, path: Path) -> None:
        """Take a file, or the files of a folder that changed since they were last sent.

        Args:
            path: Inside the run directory.
        """
        for file in _files(path):
            content = file.read_bytes()
            name, digest = self._name(file), hashlib.sha256(content).hexdigest()
            if self._sent.get(name) == digest:
                continue
            query = (
                "insert into sfg_nas_files values (%s, %s, %s, %s) on conflict (study, name) "
                "do update set digest = excluded.digest, content = excluded.content"
            )
            ask(self._connection, query, self._study, name, digest, content)
            self._sent[name] = digest

    def fetch(self, path: Path) -> None:
        """Bring a file, or all files of a folder, that differ from those here; a `state.json` last.

        Args:
            path: Inside the run directory.
        """
        name = self._name(path)
        query = (
            "select name, digest from sfg_nas_files "
            "where study = %s and (name = %s or starts_with(name, %s))"
        )
        rows = ask(self._connection, query, self._study, name, f"{name}/")
        for found, digest in sorted(rows, key=lambda row: str(row[0]).endswith("state.json")):
            target = self._root / str(found)
            if not target.resolve().is_relative_to(self._root.resolve()):
                continue  # a name that points out of the run directory is none of ours
            content = None if _digest(target) == digest else self._content(str(found))
            if content is not None:
                write_atomically(target, partial(_write, content=content))
                self._sent[str(found)] = str(digest)

    def drop(self, path: Path) -> None:
        """Forget a file that is no longer needed.

        Args:
            path: Inside the run directory.
        """
        query = "delete from sfg_nas_files where study = %s and name = %s"
        ask(self._connection, query, self._study, self._name(path))

    def close(self) -> None:
        """End the connection."""
        self._connection.close()

    def _content(self, name: str) -> bytes | None:
        query = "select content from sfg_nas_files where study = %s and name = %s"
        rows = ask(self._connection, query, self._study, name)
        content = rows[0][0] if rows else None
        return content if isinstance(content, bytes) else None

    def _name(self, path: Path) -> str:
        return path.relative_to(self._root).as_posix()


def _write(path: Path, *, content: bytes) -> None:
    path.write_bytes(content)


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    found = [file for file in path.rglob("*") if file.is_file() and not file.name.startswith(".")]
    return sorted(found, key=lambda file: file.name == "state.json")


def _digest(path: Path) -> str | None:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
