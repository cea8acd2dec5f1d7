"""What is retrained: controls, and the found architecture from scratch, warm, or with its supernet as teacher."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from torch import nn

from sfg_nas.architecture import Architecture
from sfg_nas.baselines import BASELINES
from sfg_nas.config import BackboneConfig, RetrainConfig
from sfg_nas.errors import ConfigError, explain
from sfg_nas.fixed import FixedNetwork, build_network
from sfg_nas.search_space import Candidate
from sfg_nas.sharing import Supernet
from sfg_nas.study.controls import CONTROLS, EQUAL_MACS, equal_macs_backbone
from sfg_nas.study.fits import check_fits
from sfg_nas.study.study import Study
from sfg_nas.study.trial_reader import Trial
from sfg_nas.tasks import Task
from sfg_nas.training import Distillation, load_module

FOUND = "found"
"""The method of the found architecture from scratch; variants add what they do differently."""


@dataclass(frozen=True)
class Entry:
    """One network to train with several seeds.

    Attributes:
        method: Its name in tables.
        folder: Its folder below `retrained`.
        make: Makes it from a seed; controls take their weights from torch's global random state.
        tasks: The tasks with the weights of their losses.
        architecture: Of a found network.
        origin: What its weights start from, for the record.
        make_teacher: Makes the teacher, if it has one.
        distillation: How much the teacher counts.
        trial: The number of the trial that warm weights or the teacher come from.
    """

    method: str
    folder: str
    make: Callable[[int], nn.Module]
    tasks: tuple[Task, ...]
    architecture: Architecture | None = None
    origin: str = "scratch"
    make_teacher: Callable[[], nn.Module] | None = None
    distillation: Distillation | None = None
    trial: int | None = None


def make_entries(
    study: Study, architecture: Architecture | Trial, controls: Sequence[str], how: RetrainConfig
) -> list[Entry]:
    """Return the controls and, last, the found network.

    Args:
        study: The study.
        architecture: The found one, or the trial that found it.
        controls: Names of controls; one that does not exist at these MACs is left out.
        how: Start and teacher of the found network.

    Raises:
        ConfigError: If a supernet is needed and there is none, or the architecture is not one for the study.
    """
    if isinstance(architecture, Trial):
        found = architecture.architecture
    else:
        found = architecture
        check_fits(found, study)
    entries = [_control(study, name, found) for name in controls]
    return [
        *[entry for entry in entries if entry is not None],
        _found(study, architecture, found, how),
    ]


def found_entry(study: Study, found: Architecture, candidate: Candidate | None) -> Entry:
    """Return a found network from scratch, or from the weights that the backbone comes with.

    Args:
        study: The study.
        found: Its architecture.
        candidate: Of the trial that found it; None if that is not known.
    """
    given = study.given_weights

    def make(seed: int) -> FixedNetwork:
        if not given:
            return build_network(found, seed=seed)
        config = study.config if candidate is None else study.at(candidate)
        return build_network(found, weights=study.make_supernet(config, seed=seed), seed=seed)

    origin = "given" if given else "scratch"
    return Entry(FOUND, found.hash, make, study.tasks, found, origin=origin)


def equal_macs_entry(study: Study, config: BackboneConfig) -> Entry:
    """Return hard sharing at a width that costs as much as a found network.

    Args:
        study: The study.
        config: The backbone at that width.
    """
    folder = f"hard-sharing-width-{config.width:.4f}"
    return _plain(study, EQUAL_MACS, "hard-sharing", config, folder=folder)


def _control(study: Study, name: str, found: Architecture) -> Entry | None:
    if name not in (EQUAL_MACS, *BASELINES):
        known = ", ".join(dict.fromkeys((*CONTROLS, *BASELINES)))
        rule, do = "a control that exists is needed", f"the controls here are {known}"
        raise ConfigError(explain(where="controls", rule=rule, found=repr(name), do=do))
    if name == EQUAL_MACS:
        fitted = equal_macs_backbone(study, found.macs)
        return None if fitted is None else equal_macs_entry(study, fitted)
    return _plain(study, name, name, study.config.backbone, folder=name)


def _plain(study: Study, name: str, kind: str, config: BackboneConfig, *, folder: str) -> Entry:
    tasks = study.tasks
    if kind == "single-task":
        tasks = tuple(replace(task, weight=1.0) for task in tasks)

    def make(seed: int) -> nn.Module:
        del seed
        backbone = BASELINES[kind]
        return backbone(lambda: study.make_backbone(config), tasks, study.data.image_shape)

    return Entry(name, folder, make, tasks)


def _found(
    study: Study, architecture: Architecture | Trial, found: Architecture, how: RetrainConfig
) -> Entry:
    warm = how.init == "warm"
    words = [word for word, on in (("warm", warm), ("teacher", how.teacher)) if on]
    candidate = architecture.candidate if isinstance(architecture, Trial) else None
    scratch = found_entry(study, found, candidate)
    if not words:
        return scratch
    method = ", ".join([FOUND, *(f"with {word}" if word == "teacher" else word for word in words)])
    folder = "-".join([found.hash, *words])
    trial = _trial(architecture, how)
    supernet = trained_supernet(study, trial)

    def make(seed: int) -> nn.Module:
        return build_network(found, weights=supernet, seed=seed) if warm else scratch.make(seed)

    def make_teacher() -> FixedNetwork:
        # The hardened supernet without the filters' unread halves: the same outputs for less work.
        return build_network(found, weights=supernet)

    return Entry(
        method,
        folder,
        make,
        study.tasks,
        found,
        origin=how.init if warm else scratch.origin,
        make_teacher=make_teacher if how.teacher else None,
        distillation=Distillation(how.teacher_weight, how.teacher_temperature)
        if how.teacher
        else None,
        trial=trial.number,
    )


def variant_folders(folder: str) -> set[str]:
    """Return the folders of all variants of a found network.

    Args:
        folder: That of one of them.
    """
    found = folder.partition("-")[0]
    return {found, *(f"{found}-{words}" for words in ("warm", "teacher", "warm-teacher"))}


def _trial(architecture: Architecture | Trial, how: RetrainConfig) -> Trial:
    if isinstance(architecture, Trial):
        return architecture
    key, value = ("teacher", "true") if how.teacher else ("init", how.init)
    raise ConfigError(
        explain(
            where=f"retrain.{key}",
            rule="the supernet that found the architecture is needed",
            found=f"{value}, and an architecture's file alone",
            do="give the run (and `--trial N`), or train from scratch without a teacher",
        )
    )


def trained_supernet(study: Study, trial: Trial) -> Supernet:
    """Return a complete trial's supernet, hardened and with recalibrated norms.

    Args:
        study: The run's study.
        trial: A complete trial.

    Raises:
        ConfigError: If its file is gone.
        ArchitectureError: If its file is damaged.
    """
    path = trial.files.supernet
    if not path.is_file():
        rule, do = "the trial's supernet is needed", "restore the file, or start from scratch"
        raise ConfigError(explain(where=str(path), rule=rule, found="no such file", do=do))
    supernet = study.make_supernet(study.at(trial.candidate), seed=0)
    load_module(path, supernet)
    supernet.harden(trial.allocation)
    return supernet
