"""The loop: it learns, it resumes bit for bit, it stops when asked, and it names what is not finite."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sfg_nas.baselines import single_task
from sfg_nas.data import DataBundle, bundle_from_arrays
from sfg_nas.errors import OutOfMemoryError, TrainingError
from sfg_nas.sharing import Supernet, Temperature, convert
from sfg_nas.tasks import Task
from sfg_nas.training import (
    History,
    SearchSettings,
    Settings,
    SupernetMethod,
    SupervisedMethod,
    fit,
    make_fabric,
)

TASKS = (Task("bright", "classification", outputs=2), Task("sum", "regression"))


class Tiny(nn.Module):
    """Two convolutions with batch norm and dropout, and a head for each task."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.2)
        )
        self.heads = nn.ModuleDict({t.name: t.make_head(torch.Size([4, 6, 6])) for t in TASKS})

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        features = self.trunk(images)
        return {name: head(features) for name, head in self.heads.items()}


@pytest.fixture(scope="module")
def data() -> DataBundle:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (80, 1, 6, 6), dtype=np.uint8)
    images[::2] //= 2
    mean = images.mean((1, 2, 3))
    targets = {"bright": (mean > 90).astype(np.int64), "sum": mean.astype(np.float32)}
    return bundle_from_arrays(images, targets, TASKS, seed=0)


def fit_at(
    rate: float,
    data: DataBundle,
    checkpoint: Path,
    validate: Callable[[], dict[str, float]] | None = None,
) -> None:
    fit(
        SupervisedMethod(tiny(), data.tasks),
        data.train,
        Settings(epochs=2, batch_size=16, learning_rate=rate),
        fabric=make_fabric(),
        seed=0,
        validate=validate,
        checkpoint=checkpoint,
    )


def tiny() -> Tiny:
    torch.manual_seed(3)
    return Tiny()


def supernet() -> Supernet:
    torch.manual_seed(3)
    backbone = nn.Sequential(nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU())
    backbone += nn.Sequential(nn.Conv2d(6, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU())
    heads = {task.name: task.make_head(torch.Size([6, 6, 6])) for task in TASKS}
    return convert(backbone, heads, torch.zeros(2, 1, 6, 6), seed=1)


def search_settings(examples: int) -> SearchSettings:
    return SearchSettings(
        temperature=Temperature("exponential", 2.0, 0.2),
        allocation_learning_rate=0.05,
        lambda1=1e-4,
        lambda2=0.1,
        lambda3=0.1,
        examples=examples,
    )


class Interrupted(Exception):
    pass


def stop_after(epoch: int):  # noqa: ANN201
    def on_epoch(history: History) -> None:
        if len(history.rows) == epoch:
            raise Interrupted

    return on_epoch


def without_time(history: History) -> list[dict[str, float]]:
    return [{k: v for k, v in row.items() if k != "seconds"} for row in history.rows]


def state(module: nn.Module) -> Mapping[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def test_it_learns(data: DataBundle) -> None:
    settings = Settings(epochs=12, batch_size=16, learning_rate=0.02)
    history = fit(
        SupervisedMethod(tiny(), data.tasks), data.train, settings, fabric=make_fabric(), seed=0
    )
    assert len(history.rows) == 12
    assert history.rows[-1]["loss"] < 0.7 * history.rows[0]["loss"]
    assert history.rows[-1]["step"] == 12 * (64 // 16)


@pytest.mark.parametrize("clip", [None, 0.05])
def test_single_task_networks_train_as_each_would_alone(
    data: DataBundle, clip: float | None
) -> None:
    def trunk() -> nn.Module:
        return nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU())

    settings = Settings(epochs=2, batch_size=16, optimizer="sgd", learning_rate=0.05, clip=clip)
    torch.manual_seed(0)
    both = single_task(trunk, data.tasks, data.image_shape)
    alone = {name: deepcopy(network) for name, network in both.networks.items()}
    fit(SupervisedMethod(both, data.tasks), data.train, settings, fabric=make_fabric(), seed=0)
    for task in data.tasks:
        own = SupervisedMethod(alone[task.name], [task])
        fit(own, data.train, settings, fabric=make_fabric(), seed=0)
        found = dict(both.networks[task.name].named_parameters())
        for name, wanted in alone[task.name].named_parameters():
            torch.testing.assert_close(found[name], wanted, rtol=0, atol=0)


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_interrupted_and_resumed_is_uninterrupted(
    data: DataBundle, tmp_path: Path, optimizer: str
) -> None:
    settings = Settings(
        epochs=4,
        batch_size=16,
        optimizer=optimizer,
        schedule="cosine",
        warmup_epochs=1,
        clip=1.0,
        augment=("crop",),
        keep_best=True,
    )
    scores = iter([0.1, 0.3, 0.2, 0.25])
    whole = tiny()
    method = SupervisedMethod(whole, data.tasks)
    wanted = fit(
        method,
        data.train,
        settings,
        fabric=make_fabric(),
        seed=5,
        validate=lambda: {"score": next(scores)},
    )
    scores = iter([0.1, 0.3, 0.2, 0.25])
    for epoch in (1, 3, None):  # each sitting is a new process as far as the loop can tell
        torch.manual_seed(epoch or 99)
        parts = tiny()
        try:
            found = fit(
                SupervisedMethod(parts, data.tasks),
                data.train,
                settings,
                fabric=make_fabric(),
                seed=5,
                validate=lambda: {"score": next(scores)},
                checkpoint=tmp_path / "checkpoint",
                on_epoch=stop_after(epoch) if epoch else None,
            )
        except Interrupted:
            continue
    assert without_time(found) == without_time(wanted)
    assert found.best_epoch == wanted.best_epoch == 2
    for name, value in state(whole).items():
        assert torch.equal(value, state(parts)[name]), name


def test_a_supernet_resumes_with_its_masks(data: DataBundle, tmp_path: Path) -> None:
    settings = Settings(epochs=3, batch_size=16, learning_rate=0.01)

    def run(checkpoint: Path | None, stop: int | None) -> tuple[Supernet, History]:
        net = supernet()
        method = SupernetMethod(net, data.tasks, search_settings(len(data.train)), steps=30)
        on_epoch = stop_after(stop) if stop else None
        history = fit(
            method,
            data.train,
            settings,
            fabric=make_fabric(),
            seed=2,
            checkpoint=checkpoint,
            on_epoch=on_epoch,
        )
        return net, history

    whole, wanted = run(None, None)
    with pytest.raises(Interrupted):
        run(tmp_path / "checkpoint", 1)
    parts, found = run(tmp_path / "checkpoint", None)
    assert without_time(found) == without_time(wanted)
    assert torch.equal(whole.generator_state(), parts.generator_state())
    for name, value in state(whole).items():
        assert torch.equal(value, state(parts)[name]), name
    assert wanted.rows[0]["temperature"] > wanted.rows[-1]["temperature"] > 0.2


def test_a_training_that_is_over_is_taken_up_where_its_last_step_left_it(
    data: DataBundle, tmp_path: Path
) -> None:
    """Who was killed between the last checkpoint and its scores draws masks at the last temperature, not at the first."""

    def run() -> Supernet:
        model = supernet()
        fit(
            SupernetMethod(model, data.tasks, search_settings(len(data.train)), steps=6),
            data.train,
            Settings(epochs=2, batch_size=16),
            fabric=make_fabric(),
            seed=0,
            checkpoint=tmp_path / "checkpoint",
        )
        return model

    trained, taken_up = run(), run()
    assert trained.temperature == taken_up.temperature
    assert trained.assignments.progress == taken_up.assignments.progress > 0.5


def test_allocation_has_its_own_rate_and_both_learn(data: DataBundle) -> None:
    net = supernet()
    before = state(net)
    method = SupernetMethod(net, data.tasks, search_settings(len(data.train)), steps=10)
    settings = Settings(epochs=1, batch_size=16, learning_rate=0.01, optimizer="sgd")
    history = fit(method, data.train, settings, fabric=make_fabric(), seed=2)
    assert history.rows[0]["learning_rate/weights"] == 0.01
    assert history.rows[0]["learning_rate/allocation"] == 0.05
    moved = [name for name, value in state(net).items() if not torch.equal(value, before[name])]
    assert any("logits" in name for name in moved)
    assert any("weight" in name or "original" in name for name in moved)


@pytest.mark.parametrize("shape", ["linear", "exponential"])
def test_in_the_warm_up_weights_learn_and_assignments_stay(
    data: DataBundle, tmp_path: Path, shape: str
) -> None:
    chosen = replace(
        search_settings(len(data.train)), warmup=0.5, temperature=Temperature(shape, 2.0, 0.2)
    )
    settings = Settings(epochs=4, batch_size=16, learning_rate=0.01)
    logits: list[Tensor] = []
    weights: list[Tensor] = []

    def run(checkpoint: Path | None, stop: int | None) -> History:
        net = supernet()
        logits.append(net.assignments.filter_logits.detach().clone())

        def note(history: History) -> None:
            logits.append(net.assignments.filter_logits.detach().clone())
            weights.append(next(iter(net.plain_state().values())).clone())
            if len(history.rows) == stop:
                raise Interrupted

        return fit(
            SupernetMethod(net, data.tasks, chosen, steps=16),
            data.train,
            settings,
            fabric=make_fabric(),
            seed=2,
            checkpoint=checkpoint,
            on_epoch=note,
        )

    history = run(None, None)
    start, first, second, third, last = logits
    assert torch.equal(start, first)
    assert torch.equal(start, second)
    assert not torch.equal(second, third)
    assert not torch.equal(weights[0], weights[1])
    warm, begun, done = (history.rows[i]["temperature"] for i in (1, 2, 3))
    assert warm == 2.0 > begun > done > 0.2
    for stop in (1, 3):  # in the warm-up and after it
        with pytest.raises(Interrupted):
            run(tmp_path / f"checkpoint{stop}", stop)
        assert without_time(run(tmp_path / f"checkpoint{stop}", None)) == without_time(history)
        assert torch.equal(logits[-1], last)


def test_global_random_state_is_left_alone(data: DataBundle) -> None:
    before = torch.get_rng_state()
    method = SupervisedMethod(Tiny(), data.tasks)
    torch.set_rng_state(before)
    fit(method, data.train, Settings(epochs=1, batch_size=16), fabric=make_fabric(), seed=0)
    assert torch.equal(torch.get_rng_state(), before)


def test_patience_ends_the_run_and_the_best_weights_stay(data: DataBundle, tmp_path: Path) -> None:
    scores = [0.1, 0.5, 0.4, 0.3, 0.9]
    seen: list[Mapping[str, Tensor]] = []
    net = tiny()

    def validate() -> dict[str, float]:
        seen.append(state(net))
        return {"score": scores[len(seen) - 1]}

    history = fit(
        SupervisedMethod(net, data.tasks),
        data.train,
        Settings(epochs=5, batch_size=16, patience=2, keep_best=True),
        fabric=make_fabric(),
        seed=0,
        validate=validate,
        checkpoint=tmp_path / "c",
    )
    assert (len(history.rows), history.best_epoch, history.stopped_early) == (4, 2, True)
    assert all(torch.equal(value, seen[1][name]) for name, value in state(net).items())


class Exploding(SupervisedMethod):
    """Gives a loss that is not finite for one task."""

    def loss(self, network: nn.Module, images: Tensor, targets: Mapping[str, Tensor]):  # noqa: ANN201
        return super().loss(network, images, {**targets, "sum": targets["sum"] * torch.inf})


def test_a_loss_that_is_not_finite_names_epoch_step_and_task(data: DataBundle) -> None:
    method = Exploding(tiny(), data.tasks)
    with pytest.raises(TrainingError, match=r"epoch 1, step 0.*not, of sum"):
        fit(method, data.train, Settings(epochs=1, batch_size=16), fabric=make_fabric(), seed=0)


def test_a_score_that_is_not_finite_names_its_epoch_and_leaves_no_checkpoint(
    data: DataBundle, tmp_path: Path
) -> None:
    epochs: list[int] = []

    def validate() -> dict[str, float]:
        epochs.append(len(epochs) + 1)
        if len(epochs) == 2:
            assert (tmp_path / "c").exists()
            raise TrainingError("evaluation of task sum: every output must be finite")
        return {}

    with pytest.raises(TrainingError, match=r"^after epoch 2: evaluation of task sum"):
        fit_at(0.1, data, tmp_path / "c", validate)
    assert not (tmp_path / "c").exists()
    fit_at(0.01, data, tmp_path / "c", validate)  # with another rate, as the message advises


@pytest.mark.parametrize("error", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory")])
def test_a_training_that_lacked_memory_goes_on_from_its_checkpoint(
    data: DataBundle, tmp_path: Path, error: Exception
) -> None:
    epochs: list[int] = []

    def validate() -> dict[str, float]:
        epochs.append(len(epochs) + 1)
        if len(epochs) == 2:
            raise error
        return {}

    with pytest.raises(OutOfMemoryError, match=r"^training: all of it.*lower training.batch_size"):
        fit_at(0.1, data, tmp_path / "c", validate)
    fit_at(0.1, data, tmp_path / "c", validate)
    assert epochs == [1, 2, 3]  # the first was not trained again


def test_a_checkpoint_of_other_settings_is_refused(data: DataBundle, tmp_path: Path) -> None:
    fit_at(0.01, data, tmp_path / "c")
    with pytest.raises(TrainingError, match="settings that it was written with"):
        fit_at(0.02, data, tmp_path / "c")


def test_fewer_images_than_a_batch_still_train(data: DataBundle) -> None:
    few = data.train.subset(0.1)
    settings = Settings(epochs=1, batch_size=64)
    history = fit(SupervisedMethod(tiny(), data.tasks), few, settings, fabric=make_fabric(), seed=0)
    assert history.rows[0]["step"] == 1
