"""Volumes: MR, CT and organ labels of subjects as NIfTI, and phantoms to try them on."""

from sfg_nas.data.volumes.write_phantoms import write_phantoms

__all__ = ["write_phantoms"]
