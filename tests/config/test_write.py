from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sfg_nas.config import (
    SCHEMA_LINE,
    StudyConfig,
    Value,
    dump_study,
    flow,
    load_study_config,
    override,
    parse_yaml,
    published_schema,
    read_yaml,
    schema_keys,
    shipped,
    smoke,
    study_schema,
)


def small(**changes: object) -> StudyConfig:
    source = {"name": "a", "data": {"kind": "digits"}, "backbone": {"kind": "vgg11"}}
    return override(
        load_study_config(source), {k.replace("__", "."): v for k, v in changes.items()}
    )  # type: ignore[misc]


def test_written_studies_are_read_back(tmp_path: Path) -> None:
    for name, path in shipped("studies").items():
        study = load_study_config(path)
        copy = tmp_path / f"{name}.yaml"
        copy.write_text(dump_study(study), encoding="utf-8")
        assert load_study_config(copy) == study


@settings(deadline=None)
@example("\x85", 1.0, [])
@example("a\u2028b", 1.0, [])
@given(st.text(max_size=20), st.floats(1e-300, 1e300), st.lists(st.booleans(), max_size=3))
def test_any_text_and_number_survives(text: str, number: float, flags: list[bool]) -> None:
    study = small(data__note=text, training__clip=number, expected={"flags": flags, "t": text})
    value = parse_yaml(dump_study(study)).value
    assert isinstance(value, dict)
    assert load_study_config(value) == study


def test_text_that_looks_like_something_else_is_quoted() -> None:
    for text in ("1e5", "null", "true", "3", "", "~"):
        study = small(data__note=text)
        value = parse_yaml(dump_study(study)).value
        assert isinstance(value, dict)
        assert load_study_config(value).data.options == {"note": text}


def test_smoke_is_smaller_and_otherwise_the_same() -> None:
    study = small(training__epochs=9, search__trials=50, training__warmup_epochs=2)
    less = smoke(study)
    assert (less.training.epochs, less.search.trials, less.retrain.seeds) == (1, 2, 1)
    assert less.data.fraction < study.data.fraction
    assert (less.sharing, less.backbone) == (study.sharing, study.backbone)


def test_the_schema_names_every_key_and_says_what_it_is() -> None:
    schema = study_schema()
    text = json.dumps(schema)
    for key in schema_keys():
        assert f'"{key.split(".")[-1]}"' in text
    training = schema["$defs"]["TrainingConfig"]["properties"]  # type: ignore[index,call-overload]
    assert training["batch_size"]["description"] == "Images per step."  # type: ignore[index,call-overload]


@pytest.mark.parametrize("path", shipped("studies").values(), ids=lambda path: path.stem)
def test_shipped_studies_fit_the_schema_and_name_it(path: Path) -> None:
    first = path.read_text(encoding="utf-8").splitlines()[0]
    assert first.startswith(SCHEMA_LINE)
    schema = (path.parent / first.removeprefix(SCHEMA_LINE)).resolve()
    assert schema.read_text(encoding="utf-8") == published_schema()
    jsonschema.validate(read_yaml(path).value, json.loads(published_schema()))


def test_the_schema_refuses_what_no_study_may_hold() -> None:
    value = parse_yaml(dump_study(small())).value
    assert isinstance(value, dict)
    jsonschema.validate(value, study_schema())
    for wrong in ({"traning": {}}, {"training": {"epochs": 0}}, {"backbone": {"width": "x"}}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**value, **wrong}, study_schema())


@pytest.mark.parametrize(
    "value", ["a: b", "1e5", "no", {"a": [1, "x;y"], "b": {"c": None}}, ["-1"]]
)
def test_flow_is_one_line_that_is_read_back(value: Value) -> None:
    text = flow(value)
    assert "\n" not in text
    assert parse_yaml(f"key: {text}").value == {"key": value}
