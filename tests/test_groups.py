from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sfg_nas.errors import ConfigError
from sfg_nas.groups import Groups


def test_specialists_are_one_group_per_task_and_one_of_all() -> None:
    groups = Groups.specialists(["age", "sex", "kind"])
    assert groups.names == ("age", "sex", "kind", "age+sex+kind")
    assert len(groups) == 4


def test_one_task_has_one_group() -> None:
    assert Groups.specialists(["age"]).names == ("age",)
    assert Groups.lattice(["age"]).names == ("age",)


def test_lattice_holds_every_subset_smallest_first() -> None:
    groups = Groups.lattice(["a", "b", "c"])
    assert groups.names == ("a", "b", "c", "a+b", "a+c", "b+c", "a+b+c")


def test_lattice_is_limited_to_five_tasks() -> None:
    assert len(Groups.lattice("abcde")) == 31
    with pytest.raises(ConfigError, match="at most 5 tasks; found 6 tasks; list the groups"):
        Groups.lattice("abcdef")


def test_explicit_groups_by_name() -> None:
    groups = Groups.explicit(["age", "sex", "kind"], [["age"], "sex", ["kind", "sex"], "all"])
    assert groups.names == ("age", "sex", "sex+kind", "age+sex+kind")


def test_parse_takes_every_description() -> None:
    tasks = ("age", "sex")
    specialists = Groups.specialists(tasks)
    assert Groups.parse(tasks, "specialists") == specialists
    assert Groups.parse(tasks, specialists) is specialists
    assert Groups.parse(tasks, [["age"], ["sex"], "all"]) == specialists
    assert Groups.parse(tasks, "lattice") == specialists  # two tasks have no other subsets


def test_reading_rule_of_two_tasks_by_hand() -> None:
    groups = Groups.specialists(["age", "sex"])
    expected = [[True, False, True], [False, True, True], [False, False, True]]
    assert np.array_equal(groups.reads, np.array(expected))


def test_image_and_heads_have_owners_also_where_no_filter_may_choose_them() -> None:
    groups = Groups.explicit(["age", "sex", "kind"], [["age", "sex"], ["kind", "sex"]])
    assert groups.extended[:2] == groups.sets
    assert groups.extended[groups.owner_of_image()] == {0, 1, 2}
    assert [groups.extended[groups.owner_of_head(t)] for t in range(3)] == [{0}, {1}, {2}]
    assert groups.reads.shape == (6, 6)


@pytest.mark.parametrize(
    ("tasks", "sets", "message"),
    [
        ((), (), "at least one task"),
        (("a", "a"), ({0}, {1}), "must differ"),
        (("", "b"), ({0}, {1}), "a task name"),
        (("a+b", "c"), ({0}, {1}), "no `[+]` or `@`"),
        (("a@b", "c"), ({0}, {1}), "no `[+]` or `@`"),
        (("all", "b"), ({0}, {1}), "is not `all`"),
        (("a\n", "b"), ({0}, {1}), "printable"),
        (("a", "b"), (), "at least one task"),
        (("a", "b"), (set(), {0, 1}), "at least one task"),
        (("a", "b"), ({0}, {0}, {1}), "groups must differ"),
        (("a", "b"), ({0}, {1, 2}), "task indices"),
        (("a", "b"), ({0},), r"none with \['b'\]"),
    ],
)
def test_wrong_groups_are_refused(
    tasks: tuple[str, ...], sets: tuple[set[int], ...], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        Groups(tasks, tuple(frozenset(s) for s in sets))


def test_unknown_descriptions_are_refused() -> None:
    with pytest.raises(ConfigError, match="found 'thirds'; choose one"):
        Groups.parse(["a", "b"], "thirds")
    with pytest.raises(ConfigError, match=r"lists tasks of \['a', 'b'\]; found \['x'\]"):
        Groups.parse(["a", "b"], [["a", "x"], "all"])
    with pytest.raises(ConfigError, match="groups must be over"):
        Groups.parse(["a", "b"], Groups.specialists(["b", "a"]))


@settings(max_examples=50, derandomize=True, deadline=None)
@given(st.integers(1, 5), st.data())
def test_reading_rule_is_a_partial_order(count: int, data: st.DataObject) -> None:
    subsets = st.frozensets(st.integers(0, count - 1), min_size=1)
    sets = data.draw(st.lists(subsets, min_size=1, max_size=6, unique=True))
    own = [frozenset({t}) for t in range(count) if not any(t in s for s in sets)]
    groups = Groups(tuple("abcde"[:count]), tuple(dict.fromkeys([*sets, *own])))
    reads = groups.reads
    assert reads.diagonal().all()
    assert not (reads & reads.T & ~np.eye(len(reads), dtype=bool)).any()
    assert np.array_equal((reads.astype(int) @ reads.astype(int)) > 0, reads)
    for g, reader in enumerate(groups.extended):
        for h, source in enumerate(groups.extended):
            assert reads[g, h] == all(task in source for task in reader)
    assert reads[:, groups.owner_of_image()].all()  # everyone reads the image
