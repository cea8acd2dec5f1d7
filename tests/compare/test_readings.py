"""How predictions are read out of a trained supernet."""

from __future__ import annotations

from collections.abc import Callable

import torch

from sfg_nas.compare.readings import Draws, MonteCarlo, monte_carlo, pass_macs
from sfg_nas.config import SharingConfig
from sfg_nas.cost import count_macs
from sfg_nas.sharing import Supernet, convert
from sfg_nas.study import Study
from sfg_nas.training import derive_seed, norm_state, recalibrate_norms
from tests import gates
from tests.conversions import everything_shared
from tests.networks import pooled

Make = Callable[..., Study]


def undecided(study: Study, seed: int = 0) -> Supernet:
    """Return a supernet at thirds whose norms have seen nothing."""
    start = {"kind": "thirds"}
    sharing = SharingConfig.model_validate({"groups": "specialists", "start": start})
    config = study.config.model_copy(update={"sharing": sharing})
    return study.make_supernet(config, seed=seed).eval()


def test_each_draw_is_a_hard_network_with_norms_of_its_own(make_study: Make) -> None:
    study = make_study({"compare.draws": 3})
    supernet = undecided(study)
    before = norm_state(supernet)
    noise = supernet.generator_state()
    network = monte_carlo(study, lambda module: module, seed=4).read(supernet).eval()
    assert isinstance(network, Draws)
    images, _ = next(study.data.validation.batches(batch_size=5))
    with torch.no_grad():
        outputs = network(images.float())
    assert not supernet.hardened
    assert torch.equal(supernet.generator_state(), noise)
    after = norm_state(supernet)
    assert all(torch.equal(after[name], value) for name, value in before.items())
    allocations = [allocation for allocation, _ in network._drawn]
    assert len({allocation.to_json() for allocation in allocations}) == 3
    # by hand: harden, recalibrate, predict, and mix
    found = []
    for allocation, _ in network._drawn:
        twin = undecided(study).harden(allocation)
        twin.load_state_dict(supernet.state_dict())
        recalibrate_norms(twin, study.data.train, batches=8, seed=derive_seed(4, "draws"))
        with torch.no_grad():
            found.append(twin.eval()(images.float()))
    for task in study.tasks:
        mixed = task.mean_prediction(torch.stack([one[task.name] for one in found]))
        torch.testing.assert_close(outputs[task.name], mixed)
    with torch.no_grad():
        again = monte_carlo(study, lambda module: module, seed=4).read(supernet)(images.float())
    assert all(torch.equal(again[name], value) for name, value in outputs.items())


def test_the_published_preset_takes_the_statistics_of_the_batch(make_study: Make) -> None:
    study = make_study({"sharing": {"groups": "specialists", "preset": "iccv2019"}})
    supernet = study.make_supernet(study.config, seed=0)
    network = monte_carlo(study, lambda module: module, seed=4).read(supernet)
    assert isinstance(network, MonteCarlo)
    images, _ = next(study.data.validation.batches(batch_size=5))
    few, many = (network.eval()(images[:n].float())["level"] for n in (3, 5))
    assert not torch.allclose(few, many[:3])


def test_a_pass_before_hardening_pays_for_gates_once_for_each_group() -> None:
    x = torch.zeros(2, 3, 8, 8)
    heads = {task: pooled(6)(1) for task in ("age", "sex")}
    supernet = convert(gates.efficient(), heads, x)
    relaxed = count_macs(supernet, x)  # with what masks cost, which is the same in both
    hard = count_macs(supernet.harden(everything_shared(supernet)), x)
    assert pass_macs(supernet) - supernet.shared_macs == relaxed - hard == 2 * 3 * (8 + 6)
