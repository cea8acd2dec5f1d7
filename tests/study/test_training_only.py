"""Hard sharing trained with stochastic depth beside fixed networks without is said where they are compared."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from sfg_nas.compare import compare
from sfg_nas.study import Study, load_study, training_only
from tests.sharing.test_draws import Reversed
from tests.study.conftest import CONTENT, make_data
from tests.study.test_widths import Small


class Deep(Small):
    """Leaves its residual branch out, now and then."""

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x).relu()
        inner = self.inner(x).relu()
        if self.training:
            inner = inner * inner.new_empty(len(inner), 1, 1, 1).bernoulli_(0.9)
        return self.last(x + inner).relu()


class Reversal(nn.Module):
    """Turns gradients around."""

    def forward(self, x: Tensor) -> Tensor:
        return Reversed.apply(x)  # type: ignore[no-any-return]


def study(backbone: nn.Module) -> Study:
    own = {
        **CONTENT,
        "training": {"epochs": 1, "batch_size": 32},
        "compare": {"methods": ["hard-sharing", "thirds"], "seeds": 2, "equal_macs": False},
    }
    return load_study(own, backbone=backbone, data=make_data())


def test_what_is_drawn_in_training_alone_is_said(tmp_path: Path) -> None:
    (text,) = training_only(study(Deep()))
    assert "(forward (bernoulli_); stochastic depth, say)" in text
    assert text in compare(study(Deep()), runs=tmp_path).notes


def test_filters_that_are_computed_are_said(tmp_path: Path) -> None:
    backbone = Small()
    backbone.inner = weight_norm(backbone.inner)
    (text,) = training_only(study(backbone))
    assert text.startswith("the backbone computes filters from other tensors (inner; weight norm")
    assert text in compare(study(backbone), runs=tmp_path).notes


def test_one_pass_in_training_finds_both() -> None:
    passes = []
    backbone = Deep()
    backbone.inner = weight_norm(backbone.inner)
    backbone.register_forward_pre_hook(lambda module, _: passes.append(module.training))
    drawn, computed = training_only(study(backbone))
    assert "draws random numbers" in drawn
    assert "computes filters" in computed
    assert passes.count(True) == 1


def test_other_networks_have_no_such_note(make_study: Callable[..., Study], tmp_path: Path) -> None:
    assert training_only(make_study()) == training_only(study(Small())) == []
    assert not any("in training" in note for note in compare(study(Small()), runs=tmp_path).notes)


def test_gradients_that_fixed_networks_lack_are_said() -> None:
    backbone = Small()
    backbone.last = nn.Sequential(backbone.last, Reversal())
    (text,) = training_only(study(backbone))
    assert "whose gradient is not that of what they compute (Reversed)" in text
