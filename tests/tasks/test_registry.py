"""The contract that every kind of task keeps."""

from __future__ import annotations

import json
import math
from dataclasses import asdict

import numpy as np
import pytest
import torch
from torch import Tensor

from sfg_nas.errors import ConfigError, DataError
from sfg_nas.tasks import TASK_KINDS, Task, WrongLabelError
from tests.tasks.samples import IMAGE, SAMPLES, Sample

EVERY = pytest.mark.parametrize("sample", SAMPLES.values(), ids=list(SAMPLES))


def outputs(sample: Sample, *, seed: int = 0) -> Tensor:
    """Return random outputs of the shape that the task's head gives."""
    head = sample.task.make_head(torch.Size((4, *IMAGE[1:])), IMAGE)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        shape = head(torch.zeros(len(sample.target), 4, *IMAGE[1:])).shape
    return torch.randn(shape, generator=generator)


def fitted(sample: Sample) -> Tensor:
    """Return outputs that descent on the loss alone has found."""
    free = outputs(sample).requires_grad_(True)
    optimizer = torch.optim.Adam([free], lr=0.1)
    for _ in range(300):
        optimizer.zero_grad()
        sample.task.loss(free, sample.target).backward()
        optimizer.step()
    return free.detach()


def test_every_kind_is_tested() -> None:
    assert set(SAMPLES) == set(TASK_KINDS)


@EVERY
def test_the_sample_itself(sample: Sample) -> None:
    task = sample.task
    assert sample.target.dtype == task.rules.dtype
    assert sample.target.shape[1:] == task.target_shape(IMAGE)
    assert task.labelled(sample.target).tolist() == [False, *[True] * 5]
    assert not task.unmeasured


@EVERY
def test_heads_give_one_output_per_prediction(sample: Sample) -> None:
    dense = sample.task.dense
    for features in ((4, 8, 12), (4, 4, 6), (4, 2, 2)) if dense else ((4,), (4, 3), (4, 2, 3)):
        head = sample.task.make_head(torch.Size(features), IMAGE)
        found = head(torch.randn(2, *features))
        assert found.dim() == (len(IMAGE) + 1 if dense else 2)
        assert found.shape[2:] == (IMAGE[1:] if dense else ())
    with pytest.raises(ConfigError, match="head"):
        sample.task.make_head(torch.Size(()), IMAGE)


@EVERY
def test_descent_on_the_loss_finds_the_labels(sample: Sample) -> None:
    task, known = sample.task, sample.task.labelled(sample.target)
    found = fitted(sample)
    scores = task.evaluate(found, sample.target)
    assert tuple(scores) == task.rules.metrics
    assert task.quality(scores[task.metric]) == pytest.approx(1.0, abs=0.02)
    worse = task.evaluate(outputs(sample), sample.target)[task.metric]
    assert (scores[task.metric] > worse) == task.higher_is_better
    predicted = task.decode(found)
    assert predicted.shape == sample.target.shape
    wanted = sample.target[known]
    seen = ~torch.isnan(wanted) if wanted.is_floating_point() else wanted >= 0
    torch.testing.assert_close(
        predicted[known][seen].float(), wanted[seen].float(), atol=0.1, rtol=0
    )


@EVERY
def test_missing_labels_change_nothing(sample: Sample) -> None:
    task, target = sample.task, sample.target
    output = outputs(sample).requires_grad_(True)
    loss = task.loss(output, target)
    assert loss.dim() == 0
    loss.backward()
    assert output.grad is not None
    assert torch.isfinite(output.grad).all()
    assert (output.grad[0] == 0).all()
    assert (output.grad[1:] != 0).any()
    output = output.detach()
    torch.testing.assert_close(loss.detach(), task.loss(output[1:], target[1:]))
    assert task.evaluate(output, target) == task.evaluate(output[1:], target[1:])


@EVERY
def test_no_label_at_all(sample: Sample) -> None:
    task = sample.task
    target = task.missing_targets(len(sample.target), IMAGE)
    assert target.shape == sample.target.shape
    assert target.dtype == sample.target.dtype
    output = outputs(sample).requires_grad_(True)
    loss = task.loss(output, target)
    loss.backward()
    assert loss.item() == 0
    assert output.grad is not None
    assert (output.grad == 0).all()
    scores = task.evaluate(output.detach(), target)
    assert tuple(scores) == task.rules.metrics
    assert all(math.isnan(value) for value in scores.values())


@EVERY
def test_examples_that_are_scored_are_enough_for_the_metric(sample: Sample) -> None:
    task, target, output = sample.task, sample.target, outputs(sample)
    scored = task.rules.scored(task, target).tolist()
    assert any(scored)
    for row, enough in enumerate(scored):
        own = slice(row, row + 1)
        value = task.evaluate(output[own], target[own])[task.metric]
        assert math.isfinite(value) == enough


@EVERY
def test_the_loss_is_a_mean_and_order_does_not_matter(sample: Sample) -> None:
    task, target, output = sample.task, sample.target, outputs(sample)
    torch.testing.assert_close(
        task.loss(torch.cat([output, output]), torch.cat([target, target])),
        task.loss(output, target),
    )
    order = torch.tensor([3, 0, 5, 1, 2, 4])
    assert task.evaluate(output[order], target[order]) == pytest.approx(
        task.evaluate(output, target), rel=1e-5
    )


@EVERY
def test_several_draws(sample: Sample) -> None:
    task, output = sample.task, outputs(sample)
    same = task.mean_prediction(torch.stack([output] * 3))
    assert same.shape == output.shape
    torch.testing.assert_close(task.decode(same), task.decode(output))
    mixed = task.mean_prediction(torch.stack([output, outputs(sample, seed=1)]))
    assert torch.isfinite(mixed).all()
    other = task.mean_prediction(torch.stack([outputs(sample, seed=1), output]))
    torch.testing.assert_close(mixed, other)


@EVERY
def test_a_teacher_is_followed(sample: Sample) -> None:
    task, wanted = sample.task, outputs(sample, seed=2)
    assert task.imitation(wanted, wanted, 2.0).item() == pytest.approx(0, abs=1e-6)
    free = outputs(sample).requires_grad_(True)
    before = task.imitation(free, wanted.double(), 2.0)
    assert before.item() > 0
    before.backward()
    assert free.grad is not None
    with torch.no_grad():
        after = task.imitation(free - 0.01 * free.grad, wanted, 2.0)
    assert after < before


@EVERY
def test_descriptions_fit_a_table(sample: Sample) -> None:
    columns = sample.task.describe(outputs(sample))
    assert all(name.split("/")[0] == sample.task.name for name in columns)
    assert {len(values) for values in columns.values()} == {len(sample.target)}
    json.dumps(columns)


@EVERY
def test_cells_hold_labels(sample: Sample) -> None:
    task = sample.task
    labels = [task.label(cell, "t.csv: line 2") for cell in sample.cells]
    if labels:
        found = task.targets(np.array(labels, dtype=np.float64), "t.csv")
        torch.testing.assert_close(found, sample.target, equal_nan=True)
    with pytest.raises(DataError, match=rf"t.csv: line 2: {task.name}: .*found '\?\?'"):
        task.label("??", "t.csv: line 2")


@EVERY
def test_impossible_labels_are_refused(sample: Sample) -> None:
    labels = np.full(sample.target.shape, np.inf)
    with pytest.raises(DataError, match=r"^here: .*needed"):
        sample.task.targets(labels, "here")


@EVERY
def test_a_task_goes_through_json(sample: Sample) -> None:
    text = json.dumps(asdict(sample.task))
    assert Task(**json.loads(text)) == sample.task


@EVERY
def test_measuring_is_done_once(sample: Sample) -> None:
    known = sample.target[sample.task.labelled(sample.target)]
    task = sample.task.measured(known)
    assert not task.unmeasured
    assert task.measured(known) == task


@EVERY
def test_strata_are_one_number_each(sample: Sample) -> None:
    strata = sample.task.strata(sample.target)
    assert strata.shape == sample.target.shape[:1]
    assert not strata.dtype.is_floating_point


@EVERY
def test_a_column_decides_the_fields(sample: Sample) -> None:
    task, cells = sample.task, [cell.strip() for cell in sample.cells]
    if task.outputs == 1 and not task.classes:
        assert task.rules.fields_of(cells, ()) == {}
        return
    if task.rules.directed:
        assert task.rules.fields_of(cells, ()) == {"outputs": 3}
        return
    names = task.classes or tuple(f"class {k}" for k in range(task.outputs))
    named = task.rules.fields_of(cells, names)
    assert named == {"outputs": task.outputs, "classes": names}
    if task.dense:
        with pytest.raises(WrongLabelError, match="classes"):
            task.rules.fields_of(cells, ())
        return
    numbers = [str(k) for k in (2, 10, 1)]
    found = task.rules.fields_of([*numbers, *numbers, ""], ())
    assert found["outputs"] == 3
    assert set(found["classes"]) == set(numbers)  # type: ignore[call-overload]
