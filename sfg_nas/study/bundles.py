"""A study's data set: loaded, then with the study's own tasks and normalisation."""

from __future__ import annotations

from sfg_nas.config import StudyConfig
from sfg_nas.data import (
    DataBundle,
    ImageSet,
    Location,
    OwnData,
    Patches,
    bundle_from_dataset,
    check_scorable,
    load_data,
)


def own_data(data: DataBundle | OwnData, config: StudyConfig) -> DataBundle:
    """Return a data set of the user's own, before `as_configured`.

    Args:
        data: As `load_study` takes it.
        config: The study's configuration.

    Raises:
        DataError: If it is not usable.
    """
    if isinstance(data, DataBundle):
        return data
    return bundle_from_dataset(data, seed=config.data.seed)


def load_bundle(config: StudyConfig, place: Location) -> DataBundle:
    """Return the data set that a study's section `data` names, before `as_configured`.

    Args:
        config: The study's configuration.
        place: Where data sets and decoded images lie.

    Raises:
        ConfigError, DataError: As `load_data`.
    """
    section = config.data
    options: dict[str, object] = {"fraction": section.fraction, "seed": section.seed}
    options |= {} if section.size is None else {"size": section.size}
    options |= section.options
    return load_data(
        section.kind,
        root=place.root,
        cache=place.cache,
        progress=place.progress,
        beside=place.beside,
        **options,
    )


def as_configured(bundle: DataBundle, config: StudyConfig) -> DataBundle:
    """Return a data set with the study's tasks, their weights and likelihoods, and its normalisation.

    Args:
        bundle: As it was loaded.
        config: The study's configuration.

    Raises:
        ConfigError: If they, or the augmentations, do not fit the data.
        DataError: If a part holds no label of a task.
    """
    if config.data.normalisation == "image":
        bundle = bundle.whitened()
    if config.tasks is not None:
        likelihoods = {n: t.likelihood for n, t in config.tasks.items() if t.likelihood != "auto"}
        weights = {n: t.weight for n, t in config.tasks.items()}
        bundle = bundle.with_tasks(weights, likelihoods)
    check_scorable(bundle)
    if isinstance(bundle.train, ImageSet | Patches):  # others may have augmentations of their own
        bundle.train.check_augment(config.data.augment, "data.augment")
    return bundle
