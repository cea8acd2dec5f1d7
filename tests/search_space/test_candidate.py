from __future__ import annotations

import pytest

from sfg_nas.config import load_study_config
from sfg_nas.errors import ConfigError
from sfg_nas.search_space import Candidate


def test_a_candidate_is_equal_by_content_and_frozen() -> None:
    one = Candidate.of({"b": 1, "a": "x"})
    assert one == Candidate.of({"a": "x", "b": 1})
    assert hash(one) == hash(Candidate.of({"a": "x", "b": 1}))
    assert dict(one) == {"a": "x", "b": 1}
    assert len({one, Candidate.of({"a": "x"})}) == 2
    with pytest.raises(TypeError):
        one["a"] = 3  # type: ignore[index]


def test_json_and_back() -> None:
    candidate = Candidate.of({"a": "x", "b": 1, "c": 0.1, "d": True})
    again = Candidate.from_json(candidate.to_json())
    assert again == candidate
    assert [type(v) for v in again.values()] == [str, int, float, bool]


@pytest.mark.parametrize("text", ["", "[1]", '{"a": [1]}', '{"a": null}', "{"])
def test_strange_json_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="JSON object"):
        Candidate.from_json(text)
    with pytest.raises(ConfigError, match=r"^trials/0/candidate\.json: "):
        Candidate.from_json(text, "trials/0/candidate.json")


def test_it_changes_the_study_and_says_what_does_not_fit() -> None:
    study = load_study_config(
        {"name": "a", "data": {"kind": "digits"}, "backbone": {"kind": "vgg11"}}
    )
    assert Candidate.of({"backbone.width": 0.5}).apply(study).backbone.width == 0.5
    assert Candidate().apply(study) == study
    with pytest.raises(ConfigError, match=r"candidate: sharing\.temperature\.end"):
        Candidate.of({"sharing.temperature.end": 3.0}).apply(study)
