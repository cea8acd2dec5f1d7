"""The outer loop: from a study file to trials, a best architecture, and its retrained network."""

from sfg_nas.study.controls import CONTROLS, EQUAL_MACS
from sfg_nas.study.draft import Draft, draft_study
from sfg_nas.study.layout import RunFiles, TrialFiles, locked
from sfg_nas.study.names import known_names, read_study
from sfg_nas.study.own import BackboneFactory, OwnBackbone
from sfg_nas.study.progress import Clock, Progress, ProgressCallback
from sfg_nas.study.ray_elsewhere import Cluster
from sfg_nas.study.redistill import redistill
from sfg_nas.study.references import References
from sfg_nas.study.retrain import retrain
from sfg_nas.study.run import Run
from sfg_nas.study.search import check_networks, is_searched, search, search_to_the_end
from sfg_nas.study.shared import all_shared, shares_everything, trunk
from sfg_nas.study.slices import SliceView, slice_views
from sfg_nas.study.study import Study, as_study, load_again, load_study
from sfg_nas.study.table import paired_differences, summarise
from sfg_nas.study.training_only import training_only
from sfg_nas.study.trial import Ledger
from sfg_nas.study.trial_reader import Trial

__all__ = [
    "CONTROLS",
    "EQUAL_MACS",
    "BackboneFactory",
    "Clock",
    "Cluster",
    "Draft",
    "Ledger",
    "OwnBackbone",
    "Progress",
    "ProgressCallback",
    "References",
    "Run",
    "RunFiles",
    "SliceView",
    "Study",
    "Trial",
    "TrialFiles",
    "all_shared",
    "as_study",
    "check_networks",
    "draft_study",
    "is_searched",
    "known_names",
    "load_again",
    "load_study",
    "locked",
    "paired_differences",
    "read_study",
    "redistill",
    "retrain",
    "search",
    "search_to_the_end",
    "shares_everything",
    "slice_views",
    "summarise",
    "training_only",
    "trunk",
]
