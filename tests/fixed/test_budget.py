from __future__ import annotations

import numpy as np

from sfg_nas.fixed.budget import Connections, relaxed, solve

# Owners: task a, task b, both. One layer of two filters reads two channels of the same kind.
READS = np.array([[1, 0, 1], [0, 1, 1], [0, 0, 1]], dtype=float)


def two_layers() -> Connections:
    filters, channels = np.zeros((1, 7)), np.zeros((1, 7))
    filters[0, 2:4], channels[0, 0:2] = 10.0, 1.0
    return Connections(filters, channels, READS, 3, 2, 5.0)


def test_costs_by_hand() -> None:
    connections = two_layers()
    assert connections.variables == 4
    assert connections.everything == 45
    assert connections.cost(np.array([0, 1, 0, 1])) == 25
    assert connections.cost(np.array([0, 0, 1, 1])) == 5
    assert connections.cost(np.array([2, 2, 0, 1])) == 45


def test_the_relaxation_bounds_and_the_answer_fits() -> None:
    connections = two_layers()
    scores = np.array([[-1, -9, 0], [-9, -1, 0], [-1, -9, 0], [-9, -1, 0]], dtype=float)
    found = solve(connections, scores, 30)
    assert found is not None
    chosen, bound = found
    assert connections.cost(chosen) <= 30
    assert scores[np.arange(4), chosen].sum() <= bound
    assert relaxed(connections, scores, 45)[0] >= -1e-6
    assert solve(connections, scores, 45) is not None
    assert solve(connections, scores, 4) is None


def test_the_bound_knows_that_everyone_reads_what_is_shared() -> None:
    """Of 40 for the connections 10 are left, so at most a quarter of the two channels is shared."""
    connections = two_layers()
    channels, filters = [[-9, -9, 0]] * 2, [[0, 0, 0]] * 2
    bound, fractions = relaxed(connections, np.array(channels + filters, dtype=float), 15)
    assert abs(bound + 9 * 1.5) < 1e-6
    assert fractions[:2, 2].sum() <= 0.5 + 1e-6
    nobody_reads = relaxed(connections, np.array(channels + filters, dtype=float), 5)[0]
    assert abs(nobody_reads + 9 * 2) < 1e-6
    assert relaxed(connections, np.array(channels + filters, dtype=float), 4)[0] == float("inf")
