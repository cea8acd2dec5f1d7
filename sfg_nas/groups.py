"""Groups of tasks, and the reading rule that says which group may read which."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from sfg_nas.errors import ConfigError, explain

GroupSpec = str | Sequence[str | Sequence[str]]
LATTICE_LIMIT = 5
RESERVED = "+@"


@dataclass(frozen=True)
class Groups:
    """The sets of tasks that a filter may serve.

    The reading rule (Bragman et al. 2019, section 3.2, generalised from T + 1 groups to any
    family of sets): a filter of group g reads the features of every group h that contains g,
    and of no other. So what serves only task A never reaches task B.

    Attributes:
        tasks: Names of the T tasks, in order.
        sets: The G groups, each a non-empty set of task indices, in order.
    """

    tasks: tuple[str, ...]
    sets: tuple[frozenset[int], ...]

    def __post_init__(self) -> None:
        """Check names and sets.

        Raises:
            ConfigError: A task name is empty, repeated or holds `+` or `@`; a group is empty,
                repeated or names a task that does not exist; a task is in no group.
        """
        _check_tasks(self.tasks)
        if not self.sets or any(not group for group in self.sets):
            raise _error("every group must hold at least one task", repr(self.names), "fill it")
        if len(set(self.sets)) != len(self.sets):
            raise _error("groups must differ", repr(self.names), "remove the repeated group")
        members = frozenset().union(*self.sets)
        if not members <= set(range(len(self.tasks))):
            raise _error("groups hold task indices", repr(sorted(members)), "use known tasks")
        missing = [name for i, name in enumerate(self.tasks) if i not in members]
        if missing:
            raise _error("every task must be in a group", f"none with {missing}", "add one")

    @classmethod
    def specialists(cls, tasks: Iterable[str]) -> Groups:
        """Return one group per task and one of all tasks: the paper's T + 1 groups."""
        names = tuple(tasks)
        own = [frozenset({i}) for i in range(len(names))]
        return cls(names, tuple(dict.fromkeys([*own, frozenset(range(len(names)))])))

    @classmethod
    def lattice(cls, tasks: Iterable[str]) -> Groups:
        """Return every non-empty subset of the tasks, smallest first.

        Raises:
            ConfigError: More than five tasks (2^T - 1 groups grow too fast).
        """
        names = tuple(tasks)
        if len(names) > LATTICE_LIMIT:
            raise _error(
                f"a lattice takes at most {LATTICE_LIMIT} tasks",
                f"{len(names)} tasks",
                "list the groups that matter",
            )
        indices = range(len(names))
        sizes = range(1, len(names) + 1)
        return cls(names, tuple(frozenset(c) for k in sizes for c in combinations(indices, k)))

    @classmethod
    def explicit(cls, tasks: Iterable[str], groups: Sequence[str | Sequence[str]]) -> Groups:
        """Return the groups that are listed, `"all"` standing for all tasks.

        Raises:
            ConfigError: A group names an unknown task, is empty or repeated.
        """
        names = tuple(tasks)
        sets = []
        for group in groups:
            if group == "all":
                sets.append(frozenset(range(len(names))))
                continue
            members = [group] if isinstance(group, str) else list(group)
            unknown = [name for name in members if name not in names]
            if unknown:
                raise _error(
                    f"a group lists tasks of {list(names)}", repr(unknown), "correct the name"
                )
            sets.append(frozenset(names.index(name) for name in members))
        return cls(names, tuple(sets))

    @classmethod
    def parse(cls, tasks: Iterable[str], spec: GroupSpec | Groups) -> Groups:
        """Return the groups that a study file or a caller describes.

        Args:
            tasks: Names of the tasks.
            spec: `"specialists"`, `"lattice"`, a list such as `[["age"], ["gender"], "all"]`,
                or finished `Groups` over the same tasks.

        Raises:
            ConfigError: The description is none of these.
        """
        names = tuple(tasks)
        if isinstance(spec, Groups):
            if spec.tasks != names:
                raise _error(f"groups must be over {list(names)}", repr(spec.tasks), "match them")
            return spec
        if spec == "specialists":
            return cls.specialists(names)
        if spec == "lattice":
            return cls.lattice(names)
        if isinstance(spec, str) or not isinstance(spec, Sequence):
            raise _error(
                "groups are `specialists`, `lattice` or a list of groups", repr(spec), "choose one"
            )
        return cls.explicit(names, spec)

    def __len__(self) -> int:
        """Return G, the number of groups."""
        return len(self.sets)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Name every group by its tasks, for example `age+gender`."""
        return tuple(self.name_of(group) for group in self.sets)

    def name_of(self, group: frozenset[int]) -> str:
        """Return the name of a set of tasks, whether or not it is one of the groups."""
        return "+".join(self.tasks[i] for i in sorted(group))

    @cached_property
    def everyone(self) -> frozenset[int]:
        """The set of all tasks, which owns the image."""
        return frozenset(range(len(self.tasks)))

    @cached_property
    def extended(self) -> tuple[frozenset[int], ...]:
        """All possible owners of a channel: the groups, then all tasks and each single task.

        The image belongs to all tasks and a head to its own task, even where these sets are
        not among the groups that a filter may choose. The first G entries are the groups.
        """
        own = [frozenset({i}) for i in range(len(self.tasks))]
        return tuple(dict.fromkeys([*self.sets, self.everyone, *own]))

    @cached_property
    def reads(self) -> NDArray[np.bool_]:
        """Reading rule over the extended owners, `[E, E]`: `reads[g, h]` is `h >= g`."""
        return np.array([[h >= g for h in self.extended] for g in self.extended], dtype=np.bool_)

    def owner_of_image(self) -> int:
        """Return the extended index of the set of all tasks."""
        return self.extended.index(self.everyone)

    def owner_of_head(self, task: int) -> int:
        """Return the extended index of the set that holds one task alone."""
        return self.extended.index(frozenset({task}))


def _check_tasks(tasks: tuple[str, ...]) -> None:
    if not tasks:
        raise _error("at least one task is needed", "none", "name the tasks")
    if not all(isinstance(name, str) for name in tasks):
        raise _error("task names are texts", repr(tasks), "write such as 'age'")
    if len(set(tasks)) != len(tasks):
        raise _error("task names must differ", repr(tasks), "rename one")
    for name in tasks:
        if not name or name == "all" or any(c in RESERVED or not c.isprintable() for c in name):
            raise _error(
                "a task name is printable, is not `all` and holds no `+` or `@`",
                repr(name),
                "rename the task",
            )


def _error(rule: str, found: str, do: str) -> ConfigError:
    return ConfigError(explain(where="groups", rule=rule, found=found, do=do))
