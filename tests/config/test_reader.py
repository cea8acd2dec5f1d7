from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfg_nas.config import parse_yaml, read_yaml
from sfg_nas.config.reader import MAX_BYTES, read_scalar
from sfg_nas.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),  # YAML 1.1 reads text here
        ("1.", 1.0),
        (".5", 0.5),
        ("-3", -3),
        ("no", "no"),  # YAML 1.1 reads false here
        ("on", "on"),
        ("12:30", "12:30"),  # YAML 1.1 reads 750 here
        ("2020-01-01", "2020-01-01"),
        ("True", True),
        ("", None),
        ("~", None),
        ("-.inf", float("-inf")),
        ("vgg11", "vgg11"),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text: str, value: object) -> None:
    read = read_scalar(text)
    assert read == value
    assert type(read) is type(value)


def test_quoted_scalars_are_text() -> None:
    assert parse_yaml("a: '3'\nb: \"no\"").value == {"a": "3", "b": "no"}


def test_lines_are_those_of_the_keys() -> None:
    document = parse_yaml("a: 1\nb:\n  c: 2\n  d:\n    - x\n    - y\n", name="s.yaml")
    assert document.where(("b", "c")) == "s.yaml:3: b.c"
    assert document.where(("b", "d", 1)) == "s.yaml:6: b.d.1"
    assert document.where(("b", "missing")) == "s.yaml:2: b.missing"


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("a: 1\na: 2", "text:2: a: a key stands once"),
        ("a: {b: 1, b: 2}", "`b` again (first on line 1)"),
        ("a: !!python/object/apply:os.system ['true']", "tags"),
        ("a: !!int 3", "tags"),
        ("a: &x 1\nb: *x", "anchors and aliases"),
        ("a: {<<: {b: 1}}", "`<<`"),
        ("? [a, b]\n: 1", "a key is one word"),
        ("a: [1, 2", "text:1"),
        ("a: b: c", "text:1"),
        ("a: 1\n---\nb: 2", "document"),
        ("a:\n\t- b", "text:2"),
        ("[" * 5000, "nested too deeply"),
    ],
)
def test_what_is_refused(text: str, part: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_yaml(text)
    assert part in str(caught.value)


def test_several_duplicates_are_reported_together() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_yaml("a: 1\na: 2\nb: {c: 1, c: 2}")
    assert len(str(caught.value).splitlines()) == 2


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    latin, large = tmp_path / "latin.yaml", tmp_path / "large.yaml"
    latin.write_bytes("name: é".encode("latin-1"))
    large.write_text("# " + "x" * MAX_BYTES)
    for path, part in [
        (tmp_path / "none.yaml", "no such file"),
        (tmp_path, "no plain file"),
        (latin, "not UTF-8"),
        (large, "more than"),
    ]:
        with pytest.raises(ConfigError, match=part):
            read_yaml(path)


def test_a_byte_order_mark_is_skipped(tmp_path: Path) -> None:
    path = tmp_path / "bom.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert read_yaml(path).value == {"a": 1}


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused_in_four_parts(text: str) -> None:
    message = ""
    try:
        parse_yaml(text)
    except ConfigError as error:
        message = str(error)
    assert not message or "; found " in message


def test_a_part_of_a_document_keeps_its_lines(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("a:\n  b:\n    c: 1\n    d: 2\n")
    part = read_yaml(file).part("a", "b")
    assert part.value == {"c": 1, "d": 2}
    assert part.where(("d",)) == f"{file}:4: a.b.d"
    assert read_yaml(file).part("a", "x").value is None
