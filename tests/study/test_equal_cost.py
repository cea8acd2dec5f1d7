from __future__ import annotations

import pytest

from sfg_nas.study.equal_cost import fit_width


@pytest.mark.parametrize("target", [100_000, 1_000_000, 9_000_000])
def test_the_width_of_a_quadratic_cost_is_found(target: int) -> None:
    def macs(factor: float) -> int:
        width = round(64 * factor)
        return width * 9 * 20 + width * width * 300

    fit = fit_width(macs, target)
    assert fit is not None
    assert fit.macs == macs(fit.factor)
    assert fit.macs == pytest.approx(target, rel=0.03)


def test_no_width_is_found_where_none_comes_near() -> None:
    assert fit_width(lambda factor: max(int(factor * 10), 1) * 10**6, 1000) is None
