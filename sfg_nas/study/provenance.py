"""The run's `study.yaml`: the resolved study and where it came from; and whether a later call still means the same."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import yaml

from sfg_nas.config import StudyConfig, Value, dump_study, read_yaml, whole_study
from sfg_nas.errors import ConfigError, explain
from sfg_nas.study.layout import RunFiles
from sfg_nas.study.names import FOLDER, PROVENANCE
from sfg_nas.study.own import name_of_backbone, registered_backbone
from sfg_nas.study.study import Study
from sfg_nas.training import write_text

FREE = ("search.trials", "search.finals.", "retrain.", "compare.", "expected.", "expected")
"""Keys that may change between two calls on one run: they do not change what a trial is."""
OWN = "own_backbone"
"""The entry of the provenance that names a network that stands in no registry."""


_DATA = f"{PROVENANCE}.data_fingerprint"
_OTHER_DATA = f"the data: its images, labels or parts are others ({_DATA})"


def begin_run(study: Study, files: RunFiles) -> None:
    """Write the run's `study.yaml`, or check that the run there is of the same study.

    Args:
        study: The study.
        files: The run's files.

    Raises:
        ConfigError: If the run was begun with another study or other data; the message says what changed.
    """
    provenance: dict[str, Value] = {
        "version": _version(),
        "git_commit": _git_commit(),
        "python": platform.python_version(),
        "torch": version("torch"),
        "optuna": version("optuna"),
        "data": study.data.name,
        "data_fingerprint": study.data.fingerprint,
        "tasks": [task.name for task in study.tasks],
        "seed": study.config.search.seed,
        OWN: None if study.backbone is registered_backbone else name_of_backbone(study.backbone),
        FOLDER: None if study.folder is None else str(study.folder.resolve()),
    }
    if files.study.exists():
        _refuse_changes(study, files.study, provenance)
        kept = _content(files.study).get(PROVENANCE)
        provenance = kept if isinstance(kept, dict) else provenance
    text = dump_study(study.config) + yaml.safe_dump({PROVENANCE: provenance}, sort_keys=False)
    if not files.study.exists() or files.study.read_text(encoding="utf-8") != text:
        write_text(files.study, text)


def _refuse_changes(study: Study, path: Path, provenance: Mapping[str, Value]) -> None:
    before = _stored(path)
    now = _flat(study.config.model_dump(mode="json"))
    same = ("data_fingerprint", OWN)
    now |= {f"{PROVENANCE}.{key}": provenance.get(key) for key in same}
    skipped = (*FREE, f"{PROVENANCE}.")
    keys = [key for key in {**before, **now} if not key.startswith(skipped)]
    keys += [f"{PROVENANCE}.{key}" for key in same]
    changed = [
        _OTHER_DATA if key == _DATA else f"{key}: {before.get(key)!r} -> {now.get(key)!r}"
        for key in keys
        if before.get(key) != now.get(key)
    ]
    if changed:
        raise ConfigError(
            explain(
                where=str(path),
                rule="a run goes on with the study that it was begun with",
                found=f"changes in {'; '.join(changed)}",
                do="undo them, or give the study another name",
            )
        )


def _stored(path: Path) -> dict[str, object]:
    """Return a run's study with the defaults of keys that did not exist yet when it was begun."""
    content = _content(path)
    provenance = content.pop(PROVENANCE, {})
    study = _validated(content, path).model_dump(mode="json")
    return _flat(study) | _flat({PROVENANCE: provenance})


def _content(path: Path) -> dict[str, Value]:
    value = read_yaml(path).value
    return value if isinstance(value, dict) else {}


def _flat(value: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for key, item in value.items():
        if isinstance(item, Mapping) and item:
            flat |= _flat(item, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = item
    return flat


def stored_study(files: RunFiles) -> tuple[StudyConfig, dict[str, Value]]:
    """Return the study of a run and where it came from.

    Args:
        files: The run's files.

    Raises:
        ConfigError: If there is no run here or its study cannot be read.
    """
    if not files.study.is_file():
        raise ConfigError(
            explain(
                where=str(files.root),
                rule="a run directory with a study.yaml is needed",
                found="none",
                do="check the path, or start one with `sfg-nas search`",
            )
        )
    content = _content(files.study)
    provenance = content.pop(PROVENANCE, {})
    config = _validated(content, files.study)
    return config, provenance if isinstance(provenance, dict) else {}


def _validated(content: Mapping[str, Value], path: Path) -> StudyConfig:
    """Return the study that a run's file holds.

    Raises:
        ConfigError: If it holds none.
    """
    if not content:
        found = "a file without keys"
    else:
        whole = whole_study(content)
        if isinstance(whole, StudyConfig):
            return whole
        found = f"at `{whole.where}`: {whole.rule}; {whole.found}"
    rule, do = "the resolved study of a run is needed", "restore the file"
    raise ConfigError(explain(where=str(path), rule=rule, found=found, do=do))


def software(files: RunFiles) -> str:
    """Return the versions that a run was begun with, and those of this call where they are others.

    Args:
        files: The run's files.

    Raises:
        ConfigError: If there is no run here or its study cannot be read.
    """
    _, provenance = stored_study(files)
    begun = f"sfg_nas {provenance.get('version')}, torch {provenance.get('torch')}"
    now = f"sfg_nas {_version()}, torch {version('torch')}"
    return begun if begun == now else f"begun with {begun}, this call with {now}"


def _version() -> str:
    try:
        return version("sfg_nas")
    except PackageNotFoundError:
        return "unknown"


def _git_commit() -> str | None:
    """Return the commit of the checkout that the package runs from, or None outside one."""
    folder = Path(__file__).resolve().parents[2]
    if not (folder / ".git").exists():
        return None
    try:
        done = subprocess.run(
            ["git", "rev-parse", "HEAD"],  # noqa: S607 (whichever git the user has)
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
