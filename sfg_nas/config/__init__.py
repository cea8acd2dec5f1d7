"""Study file -> frozen models; every error at once, with line numbers and "did you mean"."""

from __future__ import annotations

from sfg_nas.config.comparing import (
    CompareConfig,
    ConstantPConfig,
    CrossStitchConfig,
    NDDRConfig,
)
from sfg_nas.config.distilling import DistillConfig
from sfg_nas.config.load import (
    check_study,
    load_study_config,
    override,
    parse_overrides,
    problems_of_override,
)
from sfg_nas.config.messages import problem_of
from sfg_nas.config.models import (
    PrunerConfig,
    ReferencesConfig,
    RetrainConfig,
    SamplerConfig,
    SearchConfig,
    StudyConfig,
)
from sfg_nas.config.problems import Problem, config_error, describe, did_you_mean
from sfg_nas.config.reader import Document, Scalar, Value, parse_yaml, read_yaml
from sfg_nas.config.rules import Finding, Inspected, Names
from sfg_nas.config.schema import check_field, schema_keys, whole_study
from sfg_nas.config.sections import (
    BackboneConfig,
    DataConfig,
    SharingConfig,
    StartConfig,
    TaskConfig,
    TemperatureConfig,
    TrainingConfig,
)
from sfg_nas.config.shipped import SCHEMA_LINE, find_file, published_schema, shipped
from sfg_nas.config.values import UNSCALED
from sfg_nas.config.write import dump_study, flow, smoke, smoke_overrides, study_schema

__all__ = [
    "SCHEMA_LINE",
    "UNSCALED",
    "BackboneConfig",
    "CompareConfig",
    "ConstantPConfig",
    "CrossStitchConfig",
    "DataConfig",
    "DistillConfig",
    "Document",
    "Finding",
    "Inspected",
    "NDDRConfig",
    "Names",
    "Problem",
    "PrunerConfig",
    "ReferencesConfig",
    "RetrainConfig",
    "SamplerConfig",
    "Scalar",
    "SearchConfig",
    "SharingConfig",
    "StartConfig",
    "StudyConfig",
    "TaskConfig",
    "TemperatureConfig",
    "TrainingConfig",
    "Value",
    "check_field",
    "check_study",
    "config_error",
    "describe",
    "did_you_mean",
    "dump_study",
    "find_file",
    "flow",
    "load_study_config",
    "override",
    "parse_overrides",
    "parse_yaml",
    "problem_of",
    "problems_of_override",
    "published_schema",
    "read_yaml",
    "schema_keys",
    "shipped",
    "smoke",
    "smoke_overrides",
    "study_schema",
    "whole_study",
]
