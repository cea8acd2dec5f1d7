"""The one training loop, evaluation, norm recalibration and checkpoints without pickle."""

from sfg_nas.training.best import SCORE
from sfg_nas.training.checkpoint import load_module, load_tensors, save_module, save_tensors
from sfg_nas.training.distillation import Distillation, DistilledMethod
from sfg_nas.training.evaluation import defined_scores, each_batch, evaluate, predict
from sfg_nas.training.files import (
    read_rows,
    remove_leftovers,
    write_atomically,
    write_json,
    write_rows,
    write_text,
)
from sfg_nas.training.loop import History, fit, goes_on
from sfg_nas.training.method import (
    Loss,
    Method,
    ParameterGroup,
    SupervisedMethod,
    task_losses,
)
from sfg_nas.training.norms import norm_state, recalibrate_norms, restore_norm_state
from sfg_nas.training.precision import slow_precision
from sfg_nas.training.seeds import derive_seed, fenced_random_state
from sfg_nas.training.settings import Settings, learning_rate_factor
from sfg_nas.training.state import make_fabric
from sfg_nas.training.supernet import SearchSettings, SupernetMethod
from sfg_nas.training.volumes import predict_volume
from sfg_nas.training.weighting import TORCHJD, aggregators, weighted

__all__ = [
    "SCORE",
    "TORCHJD",
    "Distillation",
    "DistilledMethod",
    "History",
    "Loss",
    "Method",
    "ParameterGroup",
    "SearchSettings",
    "Settings",
    "SupernetMethod",
    "SupervisedMethod",
    "aggregators",
    "defined_scores",
    "derive_seed",
    "each_batch",
    "evaluate",
    "fenced_random_state",
    "fit",
    "goes_on",
    "learning_rate_factor",
    "load_module",
    "load_tensors",
    "make_fabric",
    "norm_state",
    "predict",
    "predict_volume",
    "read_rows",
    "recalibrate_norms",
    "remove_leftovers",
    "restore_norm_state",
    "save_module",
    "save_tensors",
    "slow_precision",
    "task_losses",
    "weighted",
    "write_atomically",
    "write_json",
    "write_rows",
    "write_text",
]
