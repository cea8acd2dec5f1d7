"""What a run must have in common with a study that takes its found network: the tasks, the images and the network."""

from __future__ import annotations

from collections.abc import Mapping

from sfg_nas.errors import ConfigError, explain, shaped
from sfg_nas.study import Run, Study, Trial
from sfg_nas.study.own import registered_backbone

_SETTINGS = ("backbone.kind", "backbone.width", "backbone.depth", "sharing.groups")
_SHOWN = 3
"""Layers that a message names."""


def check_source(trial: Trial, run: Run, study: Study) -> None:
    """Refuse a trial of another run whose allocation is not one of a study's network.

    What the other run searched over has the trial's own values here, too: only what is left may differ.

    Args:
        trial: That the found network is taken from.
        run: Its run.
        study: That is compared.

    Raises:
        ConfigError: If tasks, images, groups or layers differ; the message says which settings make them differ.
    """
    name, where = study.config.name, f"trial {trial.number} of {run.path}"
    theirs, ours = trial.architecture.tasks, [task.name for task in study.tasks]
    if set(theirs) != set(ours):
        rule, found = f"the tasks of {name}, {', '.join(ours)}, are needed", ", ".join(theirs)
        do = "give a run of the same tasks, or choose these under `tasks`"
        raise ConfigError(explain(where=where, rule=rule, found=found, do=do))
    different = _different(trial, run, study)
    if different:
        rule = f"its network must be that of {name}, since its allocation names a group for each filter"
        do = "give a run of the same network, or bring these settings in line with the run's"
        raise ConfigError(explain(where=where, rule=rule, found="; ".join(different), do=do))


def _different(trial: Trial, run: Run, study: Study) -> list[str]:
    """Return in which settings the networks differ, or in what else; nothing if they are alike."""
    there, here = _settings(trial, run, study)
    found = [_words(key, there[key], here[key]) for key in _SETTINGS if there[key] != here[key]]
    images, own = trial.architecture.input_shape, study.data.image_shape
    if tuple(images) != tuple(own):
        return [*found, _words("images of shape", shaped(images), shaped(own))]
    kinds = there["backbone.kind"] == here["backbone.kind"]
    if not kinds and study.backbone is registered_backbone:  # of one's own it may be a mere word
        return found
    supernet = study.make_supernet(study.at(trial.candidate), seed=0)
    groups, own_groups = trial.allocation.groups, supernet.groups
    if groups != own_groups:
        return found or [_words("groups", ", ".join(groups.names), ", ".join(own_groups.names))]
    theirs = {path: len(owners) for path, owners in trial.allocation.layers.items()}
    layers = {path: len(rows) for path, rows in supernet.wiring.layers.items()}
    apart = [path for path in {**theirs, **layers} if theirs.get(path) != layers.get(path)]
    if not apart:
        return []  # a depth of null and one that means all layers, say
    return found or [_filters(path, theirs, layers) for path in apart[:_SHOWN]]


def _filters(path: str, there: Mapping[str, int], here: Mapping[str, int]) -> str:
    return _words(f"filters of layer `{path}`:", there.get(path, "none"), here.get(path, "none"))


def _settings(trial: Trial, run: Run, study: Study) -> tuple[dict[str, object], dict[str, object]]:
    there, here = trial.candidate.apply(run.config), study.at(trial.candidate)
    first, second = (
        {f"backbone.{key}": value for key, value in config.backbone}
        | {"sharing.groups": config.sharing.groups}
        for config in (there, here)
    )
    return first, second


def _words(what: str, there: object, here: object) -> str:
    return f"{what} {there} there, {here} here"
