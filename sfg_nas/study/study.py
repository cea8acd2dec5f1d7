"""A study: what a study file says, with its data loaded and its networks ready to be made."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import torch
from torch import nn

from sfg_nas.allocation import Allocation
from sfg_nas.baselines import make_heads
from sfg_nas.config import (
    BackboneConfig,
    Document,
    Names,
    SharingConfig,
    StudyConfig,
    Value,
    parse_overrides,
)
from sfg_nas.data import DataBundle, Location, OwnData
from sfg_nas.search_space import Candidate, SearchSpace, check_whole_study, resolve_space
from sfg_nas.sharing import PRESETS, Start, Supernet, Tracer, activation_first, convert
from sfg_nas.study.bundles import as_configured, load_bundle, own_data
from sfg_nas.study.names import known_names, read_study
from sfg_nas.study.own import (
    BackboneFactory,
    OwnBackbone,
    check_own_size,
    gives_weights,
    one_size,
    own_backbone,
    registered_backbone,
)
from sfg_nas.study.traces import Traces
from sfg_nas.study.widths import Widths
from sfg_nas.tasks import Task
from sfg_nas.training import derive_seed, fenced_random_state


@dataclass(frozen=True)
class Study:
    """A study that is ready to run.

    Attributes:
        config: The resolved study file.
        data: Its data set, with the chosen tasks only.
        space: What may vary.
        backbone: Makes a backbone; the registry's, or the user's own.
        folder: What paths in the study are relative to; None if it came from no file.
        near: An allocation that supernets start near, or None.
        traces: Of networks that were made before.
        widths: Of networks that have one size.
    """

    config: StudyConfig
    data: DataBundle
    space: SearchSpace
    backbone: BackboneFactory = field(default=registered_backbone)
    folder: Path | None = None
    near: Allocation | None = None
    traces: Traces = field(init=False, default_factory=Traces, repr=False, compare=False)
    widths: Widths = field(init=False, default_factory=Widths, repr=False, compare=False)

    def using(
        self,
        *,
        backbone: OwnBackbone | None = None,
        data: DataBundle | OwnData | None = None,
    ) -> Study:
        """Return the study with a network or data of one's own; None keeps what it has.

        Args:
            backbone: As for `load_study`.
            data: As for `load_study`.

        Raises:
            ConfigError: If the search space varies the size of a network that has one size.
            DataError: If the data is not usable.
        """
        study = self
        if backbone is not None:
            make = own_backbone(backbone)
            check_own_size(make, list(self.space))
            study = replace(study, backbone=make)
        if data is not None:
            study = replace(study, data=as_configured(own_data(data, self.config), self.config))
        return study

    @property
    def tasks(self) -> tuple[Task, ...]:
        """Return the tasks, with their weights."""
        return self.data.tasks

    @cached_property
    def given_weights(self) -> bool:
        """Whether the backbone comes with weights, as a pretrained one does, that every network then starts from."""
        return gives_weights(self.backbone, self.config.backbone, self.data.image_shape)

    def at(self, candidate: Candidate) -> StudyConfig:
        """Return the study's configuration at one point of the search space.

        Args:
            candidate: Dotted keys and values.

        Raises:
            ConfigError: If the values do not fit together.
        """
        return candidate.apply(self.config)

    def make_backbone(self, config: BackboneConfig) -> nn.Module:
        """Return a new backbone with weights from torch's global random state.

        Args:
            config: Its kind, width and depth.

        Raises:
            ConversionError: It has one size, and does not run at another width.
        """
        shape = self.data.image_shape
        backbone = self.backbone(config, shape)
        if config.width != 1 and one_size(self.backbone, config.kind):
            kept = self.given_weights
            backbone = self.widths.scaled(backbone, config.width, shape, keep_weights=kept)
        # also for the networks that a found one is compared with
        first = PRESETS[self.config.sharing.preset].activation_first
        return activation_first(backbone) if first else backbone

    def make_supernet(self, config: StudyConfig, *, seed: int) -> Supernet:
        """Return a new supernet.

        Args:
            config: The configuration of a trial.
            seed: Of its weights, its start and its masks.

        Raises:
            ConversionError: If the backbone cannot be made searchable.
        """
        sharing = config.sharing
        with fenced_random_state(derive_seed(seed, "weights")):
            backbone = self.make_backbone(config.backbone)
            heads = make_heads(backbone, self.tasks, self.data.image_shape)
            return convert(
                backbone,
                heads,
                torch.zeros(2, *self.data.image_shape),
                groups=_group_spec(sharing),
                relaxation=sharing.relaxation,
                preset=sharing.preset,
                estimator=sharing.estimator,
                soft_share=sharing.soft_share,
                start=replace(_start(sharing), near=self.near),
                branch_from=sharing.branch_from,
                hierarchical=sharing.hierarchical,
                seed=derive_seed(seed, "masks"),
                tracer=self._tracer(config),
            )

    def _tracer(self, config: StudyConfig) -> Tracer:
        """Return what traces a trial's network; what made the user's own may make another one each time."""
        if self.backbone is not registered_backbone:
            return self.traces.of_alike
        return self.traces.tracer((config.backbone, config.sharing.preset))


def _group_spec(sharing: SharingConfig) -> str | list[str | list[str]]:
    if isinstance(sharing.groups, str):
        return sharing.groups
    return [row if isinstance(row, str) else list(row) for row in sharing.groups]


def _start(sharing: SharingConfig) -> Start:
    start = sharing.start
    return Start(
        kind=start.kind,
        confidence=start.confidence,
        concentration=start.concentration,
        proportions=start.proportions,
        split=start.split,
    )


def load_study(
    source: str | Path | Mapping[str, Value],
    overrides: Sequence[str] | Mapping[str, Value] = (),
    *,
    data_root: str | Path | None = None,
    cache: str | Path | None = None,
    backbone: OwnBackbone | None = None,
    data: DataBundle | OwnData | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Study:
    """Return the study of a file, with its data loaded.

    Args:
        source: A study file, a run's `study.yaml`, or the content of one.
        overrides: `key=value` texts, or dotted keys and values.
        data_root: The folder that holds the data sets.
        cache: The folder for decoded images.
        backbone: A network of your own in place of the study's: a module that maps images [N, C, H, W] to
            features, which is copied and gets new weights each time, or a function that makes one.
        data: A data set of your own in place of the study's: any `Dataset` that yields
            `(image, {task: target})`, one for each part by name, or a `DataBundle`.
        progress: Called with (images done, images in all) while images are decoded.

    Raises:
        ConfigError: If the study, an override or the search space is wrong; all errors at once.
        DataError: If the data is missing, empty or damaged.
    """
    if isinstance(source, Mapping):
        document, folder = Document(name="study", value=dict(source)), None
    else:
        document, folder = read_study(source)
    changes = (
        dict(overrides) if isinstance(overrides, Mapping) else parse_overrides(list(overrides))
    )
    place = Location.at(data_root, cache, progress, folder)
    names = known_names(folder, place.root)
    if backbone is not None:
        names = replace(names, backbones=())
    if data is not None:
        names = Names(backbones=names.backbones)
    config, space = check_whole_study(document, changes, names, beside=folder)
    config = resolve_space(config, space)
    bundle = own_data(data, config) if data is not None else load_bundle(config, place)
    study = Study(config=config, data=as_configured(bundle, config), space=space, folder=folder)
    return study.using(backbone=backbone)


def load_again(
    config: StudyConfig,
    space: SearchSpace,
    folder: Path | None,
    *,
    data_root: str | Path | None = None,
    cache: str | Path | None = None,
) -> Study:
    """Return a study that was loaded before, in another process, though its file may be another one by now.

    Args:
        config: Of the study, resolved.
        space: Its search space.
        folder: What paths in it are relative to.
        data_root: The folder that holds the data sets.
        cache: The folder for decoded images.

    Raises:
        DataError: If the data is missing, empty or damaged.
    """
    bundle = load_bundle(config, Location.at(data_root, cache, None, folder))
    return Study(config=config, data=as_configured(bundle, config), space=space, folder=folder)


def as_study(
    study: Study | str | Path | Mapping[str, Value],
    backbone: OwnBackbone | None = None,
    data: DataBundle | OwnData | None = None,
) -> Study:
    """Return a study that is ready to run, with a network or data of one's own if they are given.

    Args:
        study: From `load_study`, or what that takes.
        backbone: As for `load_study`.
        data: As for `load_study`.

    Raises:
        ConfigError: If the study is wrong.
        DataError: If the data is.
    """
    if isinstance(study, Study):
        return study.using(backbone=backbone, data=data)
    return load_study(study, backbone=backbone, data=data)
