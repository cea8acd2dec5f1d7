"""The storage of a run as optuna-dashboard shows it, with pictures of each trial beside it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path

import optuna
from optuna.artifacts import FileSystemArtifactStore

from sfg_nas.errors import ConfigError, explain
from sfg_nas.study.opened import close_storage, open_storage, quiet_optuna
from sfg_nas.study.run import Run

WsgiApp = Callable[..., Iterable[bytes]]


class Board:
    """A run's trials and the pictures that are attached to them."""

    def __init__(self, run: Run, storage: str | None = None) -> None:
        """Open the storage.

        Args:
            run: The run.
            storage: Its storage where that is not the run's own file.

        Raises:
            ConfigError: If there is no such study in the storage.
        """
        self.run = run
        self._storage = open_storage(storage, run.files.database)
        self.folder = run.path / "dashboard"
        self.folder.mkdir(exist_ok=True)
        self._artifacts = FileSystemArtifactStore(str(self.folder))
        try:
            with quiet_optuna():
                self._study = optuna.load_study(study_name=run.name, storage=self._storage)
        except KeyError as error:
            raise ConfigError(
                explain(
                    where=str(run.path),
                    rule="the storage must hold this run's trials",
                    found="no such study in it",
                    do="give --storage with the address that the search used",
                )
            ) from error

    def missing(self, names: Iterable[str]) -> list[int]:
        """Return the numbers of the complete trials without one of these pictures.

        Args:
            names: Names of pictures.
        """
        wanted = list(names)
        return [
            trial.number
            for trial in self.run.complete
            if any(self._key(trial.number, name)[1] not in self._known() for name in wanted)
        ]

    def attach(self, number: int, picture: Path) -> None:
        """Attach a picture to a trial, once however often this is called.

        Args:
            number: The trial's.
            picture: An image file.
        """
        artifact, key = self._key(number, picture.name)
        with picture.open("rb") as file:
            self._artifacts.write(artifact, file)
        meta = {"artifact_id": artifact, "filename": picture.name, "mimetype": "image/png"}
        # Where the dashboard itself keeps what is added to a trial that has ended.
        self._storage.set_study_system_attr(
            self._study._study_id, key, json.dumps({**meta, "encoding": None})
        )

    def close(self) -> None:
        """End the connections to the storage."""
        close_storage(self._storage)

    def _known(self) -> dict[str, object]:
        return dict(self._storage.get_study_system_attrs(self._study._study_id))

    def _key(self, number: int, name: str) -> tuple[str, str]:
        artifact = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{self.run.name}/{number}/{name}"))
        trial = self._storage.get_trial_id_from_study_id_trial_number(self._study._study_id, number)
        return artifact, f"dashboard:artifacts:{trial}:{artifact}"

    def app(self) -> WsgiApp:
        """Return the dashboard's web application.

        Raises:
            ConfigError: If optuna-dashboard is not installed.
        """
        try:
            from optuna_dashboard import wsgi
        except ImportError as error:
            raise ConfigError(
                explain(
                    where="dashboard",
                    rule="the package optuna-dashboard is needed",
                    found="it is not installed",
                    do="pip install 'sfg_nas[dashboard]'",
                )
            ) from error
        with quiet_optuna():
            app: WsgiApp = wsgi(self._storage, artifact_store=self._artifacts)
        return app
