"""The JSON Schema of architecture files, as published with the package."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import cast

FILE = "architecture-1.schema.json"


def json_schema() -> dict[str, object]:
    """Return the JSON Schema (draft 2020-12) of the files that `Architecture.save` writes."""
    text = (files("sfg_nas.architecture") / FILE).read_text(encoding="utf-8")
    return cast("dict[str, object]", json.loads(text))
