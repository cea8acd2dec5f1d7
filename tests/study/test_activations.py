from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from sfg_nas.errors import ConfigError
from sfg_nas.fixed import build_network
from sfg_nas.study import search
from sfg_nas.study.activations import activation_maps, mapped_layers
from sfg_nas.study.retrain_entries import trained_supernet
from tests.study.conftest import MakeStudy


def test_maps_are_what_the_supernet_computes(make_study: MakeStudy, tmp_path: Path) -> None:
    study = make_study({"search.trials": 1})
    trial = search(study, runs=tmp_path).best
    layers = mapped_layers(trial.architecture)
    assert list(layers) == ["0", "3"]
    found = activation_maps(study, trial, "3", images=4)
    assert found.filters == layers["3"]
    assert found.images.shape == (4, 1, 6, 6)
    assert found.maps.shape == (len(found.filters), 4, 6, 6)
    supernet = trained_supernet(study, trial).eval()
    batch, _ = next(iter(study.data.validation.batches(4)))
    with torch.no_grad():
        wanted = supernet.network.backbone(batch).numpy()  # after norm and activation
    assert found.maps.swapaxes(0, 1) == pytest.approx(wanted[:, list(found.filters)], abs=1e-5)


def test_whitened_images_are_shown_as_they_were(make_study: MakeStudy, tmp_path: Path) -> None:
    study = make_study({"search.trials": 1, "data.normalisation": "image"})
    trial = search(study, runs=tmp_path).best
    part = study.data.validation
    found = activation_maps(study, trial, "3", images=4)
    assert np.array_equal(found.images, part.images[part.indices[:4]])  # type: ignore[attr-defined]


def test_features_are_recorded_on_the_way(make_study: MakeStudy, tmp_path: Path) -> None:
    study = make_study({"search.trials": 1})
    trial = search(study, runs=tmp_path).best
    network = build_network(trial.architecture).eval()
    outputs = trial.architecture.outputs()
    batch, _ = next(iter(study.data.validation.batches(4)))
    with torch.no_grad():
        whole, found = network(batch), network.features(batch, set(outputs.values()))
    assert found.keys() == set(outputs.values())
    # The whole network folds its norms into the convolutions, so that the last digits differ.
    for task, node in outputs.items():
        assert np.allclose(whole[task].numpy(), found[node].numpy(), atol=1e-5)


def test_unknown_layers_and_lost_weights_are_refused(make_study: MakeStudy, tmp_path: Path) -> None:
    study = make_study({"search.trials": 1})
    trial = search(study, runs=tmp_path).best
    with pytest.raises(ConfigError, match="choose one of 0, 3"):
        activation_maps(study, trial, "7")
    trial.files.supernet.unlink()
    with pytest.raises(ConfigError, match="supernet is needed"):
        activation_maps(study, trial, "3")
