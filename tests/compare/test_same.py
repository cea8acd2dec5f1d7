"""Hard sharing under other names: it is said, and its difference to itself is no finding."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import pandas as pd

from sfg_nas.architecture import Architecture
from sfg_nas.compare import compare
from sfg_nas.compare.results import comparisons
from sfg_nas.compare.same import SHARED, same_network, same_networks, shares_everything
from sfg_nas.compare.verdict import verdict
from sfg_nas.data import DataBundle
from sfg_nas.study import Study, load_study
from tests.compare.test_verdict import TASKS, networks
from tests.study.conftest import CONTENT

Make = Callable[..., Study]
ALL_SHARED = {"sharing.start": {"kind": "near-shared", "confidence": 0.99}, "search.trials": 1}


def test_a_found_network_that_shares_everything_is_hard_sharing(
    make_study: Make, tmp_path: Path
) -> None:
    methods = ["found", "hard-sharing-at-found", "hard-sharing-scaled-1", "tree-split-1"]
    found = compare(make_study(ALL_SHARED), methods, 3, runs=tmp_path)
    root = tmp_path / "tiny/compared"
    assert shares_everything(Architecture.load(root / "found/own/0/architecture.json"))
    assert not shares_everything(Architecture.load(root / "tree-split-1/own/0/architecture.json"))
    names = "hard-sharing, hard-sharing-scaled-1, found, hard-sharing-at-found"
    notes = [note for note in found.notes if "the same network under several names" in note]
    assert len(notes) == 1
    told = notes[0].split(":")[0].split(", ")
    assert sorted(told) == sorted(names.split(", "))
    assert notes[0].endswith("what differs between them is chance")
    assert "hard-sharing-scaled-1: no row at equal MACs: it is hard sharing itself" in found.notes
    same = found.paired.set_index(["question", "method"])["same_network"]
    assert same["at-found"].all()
    assert same["equal-macs"]["found"].all()
    assert not same["equal-macs"]["tree-split-1"].any()
    assert not same["single-task"].any()
    first, second = found.verdict[:2]
    assert "the found network shares everything, so that it is hard sharing itself" in first
    assert "the same network, so that what differs is chance: found (Δ" in second
    assert "interval" not in first
    again = compare(make_study(ALL_SHARED), ["tree-split-1"], 3, runs=tmp_path)
    assert notes[0].split(":")[1:] == [
        text for note in again.notes if "several names" in note for text in note.split(":")[1:]
    ]


def test_a_found_network_of_another_depth_is_not_hard_sharing(
    tiny_data: DataBundle, tmp_path: Path
) -> None:
    content = deepcopy(CONTENT) | {"backbone": {"kind": "vgg11", "width": 0.125, "depth": 2}}
    content["sharing"]["start"] = {"kind": "near-shared", "confidence": 0.99}
    depth = {"type": "int", "low": 1, "high": 2, "first": 1}
    content["search"] = {"trials": 1, "space": {"backbone.depth": depth}}
    changes = {"compare.equal_macs": False, "training.learning_rate": 0.01}
    study = load_study(content, changes, data=tiny_data)
    found = compare(study, ["found", "hard-sharing-at-found"], 3, runs=tmp_path)
    assert shares_everything(
        Architecture.load(tmp_path / "tiny/compared/found/own/0/architecture.json")
    )
    first = found.verdict[0]
    assert "chance" not in first
    assert first.endswith(
        "The found network has other layers than hard sharing, as the search varied the backbone, too, or nothing reaches some of them: "
        "what differs is not sharing alone."
    )
    assert not found.paired["same_network"].any()
    notes = [note for note in found.notes if "other layers" in note]
    assert len(notes) == 1
    assert notes[0].startswith("found: of other layers than hard sharing")
    assert not any("shares everything" in note for note in found.notes)


def test_the_verdict_calls_no_difference_of_one_network_a_finding() -> None:
    frame = networks(
        **{
            "single-task": [0.0] * 3,
            "hard-sharing": [0.01, 0.011, 0.009],
            "hard-sharing-at-found": [0.0, 0.001, 0.0],
            "found": [0.05, 0.052, 0.051],
            "found@equal-macs": [0.05, 0.052, 0.051],
        }
    )
    frame["network"] = frame["method"]
    assert "paid" in verdict(comparisons(frame, TASKS))[0]
    frame.loc[frame["method"] != "single-task", "network"] = SHARED
    first, second, *_ = verdict(comparisons(frame, TASKS))
    assert "chance (Δ +5.07 %)" in first
    assert second.endswith("the same network, so that what differs is chance: found (Δ +4.10 %).")
    few = verdict(comparisons(frame[frame["seed"] == 0], TASKS))
    assert "found − hard-sharing-at-found: +5.00 % (the same network)." in few


def test_networks_that_differ_in_one_seed_are_two() -> None:
    mine = pd.DataFrame({"seed": [0, 1], "network": ["x", "y"]})
    assert same_network(mine, mine)
    assert not same_network(mine, mine.assign(network="x"))
    assert not same_network(mine, mine.assign(seed=[2, 3]))
    assert not same_network(mine.drop(columns="network"), mine)


def test_other_widths_of_hard_sharing_are_said() -> None:
    rows = [("found", SHARED, 50), ("hard-sharing", SHARED, 100), ("nddr", "nddr", 100)]
    rows += [("tree", "abc", 70), ("random", "abc", 70)]
    frame = pd.DataFrame(rows, columns=["method", "network", "macs"])
    assert same_networks(frame.assign(scale="own", params=1)) == [
        "tree, random: the same network under several names, so that what differs between them is chance",
        "found shares everything: it is hard sharing at another width",
    ]
