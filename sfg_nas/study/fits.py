"""Whether an architecture from a file is one for a study's images and tasks, said before anything is trained."""

from __future__ import annotations

import torch

from sfg_nas.architecture import Architecture
from sfg_nas.errors import ConfigError, explain, shaped
from sfg_nas.study.networks import hard_network
from sfg_nas.study.study import Study


def check_fits(architecture: Architecture, study: Study, *, where: str = "architecture") -> None:
    """Refuse an architecture that has other channels, tasks or outputs than a study; one of fewer tasks may be asked.

    Args:
        architecture: Such as that of an exported file.
        study: Whose images and labels it is to be used with.
        where: What the architecture is called, for the message.

    Raises:
        ConfigError: If it does not fit; everything that is wrong is said at once.
    """
    wrong = _wrong(architecture, study)
    if wrong:
        raise ConfigError(
            explain(
                where=where,
                rule=f"it must be one for the images and tasks of {study.config.name}",
                found="; ".join(wrong),
                do="give the study that it was found with, or one of the same tasks",
            )
        )


def _wrong(architecture: Architecture, study: Study) -> list[str]:
    own, other = architecture.input_shape, study.data.image_shape
    if own[0] != other[0] or len(own) != len(other):
        return [f"images of {shaped(own)} there, of {shaped(other)} in the study"]
    missing = [task.name for task in study.tasks if task.name not in architecture.tasks]
    if missing:
        return [f"tasks {', '.join(architecture.tasks)} there, without {', '.join(missing)}"]
    network = hard_network(study, study.config.backbone, seed=0).eval()
    with torch.no_grad():
        outputs = network(torch.zeros(1, *other))
    nodes = architecture.outputs()
    counts = {
        name: (architecture.node(nodes[name])["shape"][0], len(value[0]))
        for name, value in outputs.items()
    }
    return [
        f"{there} outputs of {name} there, {here} in the study"
        for name, (there, here) in counts.items()
        if there != here
    ]
