"""What may vary (`SearchSpace`) and one point of it (`Candidate`)."""

from __future__ import annotations

from sfg_nas.search_space.candidate import Candidate, Choice
from sfg_nas.search_space.checks import searchable_keys
from sfg_nas.search_space.dimension import Dimension, known_good
from sfg_nas.search_space.space import SearchSpace, check_whole_study, resolve_space

__all__ = [
    "Candidate",
    "Choice",
    "Dimension",
    "SearchSpace",
    "check_whole_study",
    "known_good",
    "resolve_space",
    "searchable_keys",
]
