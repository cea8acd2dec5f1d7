"""The libraries that only volumes need, imported when they are used."""

from __future__ import annotations

import importlib
from typing import Any

from sfg_nas.errors import ConfigError, explain

EXTRA = "medical"


def medical(module: str) -> Any:  # noqa: ANN401 (a module without type information)
    """Return a module of MONAI or nibabel.

    Args:
        module: Its dotted name.

    Raises:
        ConfigError: If the extra that brings it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ConfigError(
            explain(
                where="volumes",
                rule=f"the extra `{EXTRA}` (MONAI and nibabel) is needed",
                found=f"no module {error.name}",
                do=f"pip install 'sfg_nas[{EXTRA}]'",
            )
        ) from error
