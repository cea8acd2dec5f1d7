"""A study back to YAML, smaller for a quick try, and the schema for editors."""

from __future__ import annotations

import yaml
from pydantic import JsonValue

from sfg_nas.config.load import override
from sfg_nas.config.models import StudyConfig
from sfg_nas.config.reader import Value, read_scalar


def dump_study(study: StudyConfig) -> str:
    """Return a study as YAML that `load_study_config` reads back to an equal study.

    Args:
        study: A checked study.
    """
    return yaml.dump(
        study.model_dump(mode="json"),
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        width=100,
        default_flow_style=False,
    )


def flow(value: Value) -> str:
    """Return a value as one line of YAML that our reader reads back.

    Args:
        value: Anything that a study may hold.
    """
    text: str = yaml.dump(
        value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1 << 20,
        default_flow_style=True,
    )  # fmt: skip
    return text.removesuffix("...\n").strip()


def smoke_overrides(study: StudyConfig) -> dict[str, Value]:
    """Return the changes that bring a study to the least size that still runs every stage.

    Args:
        study: A checked study.
    """
    return {
        "data.fraction": min(study.data.fraction, 0.05),
        "training.epochs": 1,
        "training.warmup_epochs": 0,
        "sharing.warmup_epochs": 0,
        "search.trials": 2,
        "search.sampler.startup": 1,
        "search.finals.seeds": 1,
        "retrain.epochs": 1,
        "retrain.seeds": 1,
        "compare.epochs": 1,
        "compare.seeds": 1,
        "references.epochs": 1,
        "references.seeds": 1,
    }


def smoke(study: StudyConfig) -> StudyConfig:
    """Return the same study at the least size that still runs every stage.

    Args:
        study: A checked study.
    """
    return override(study, smoke_overrides(study))


def study_schema() -> dict[str, JsonValue]:
    """Return the JSON Schema of study files, for completion in editors."""
    schema: dict[str, JsonValue] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **StudyConfig.model_json_schema(),
    }
    schema["title"] = "sfg_nas study"
    return schema


class _Dumper(yaml.SafeDumper):
    """Writes text in quotes wherever our reader would take the bare word for something else."""

    def ignore_aliases(self, data: object) -> bool:
        del data
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = None if isinstance(read_scalar(value), str) else "'"
    if any(mark in value for mark in "\x85\u2028\u2029"):  # line breaks that only quotes keep
        style = '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)
