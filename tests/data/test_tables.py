"""CSV in its dialects and Parquet, as text cells with their lines."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sfg_nas.data.tables import listed, read_table
from sfg_nas.errors import DataError


def written(folder: Path, text: str, name: str = "t.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_separators(tmp_path: Path, separator: str) -> None:
    text = separator.join(["file", "age", "note"]) + "\n" + separator.join(["a b.png", "3", "x"])
    table = read_table(written(tmp_path, "\ufeff" + text))
    assert table.columns == ("file", "age", "note")
    assert table.rows == (("a b.png", "3", "x"),)
    told = read_table(written(tmp_path, f"\ufeffsep={separator}\n" + text))
    assert (told.columns, told.rows) == (table.columns, table.rows)
    assert told.where(0).endswith("line 3")


def test_quotes_lines_gaps_and_what_says_nothing(tmp_path: Path) -> None:
    table = read_table(written(tmp_path, 'file,age\n"a\nb",NA\n\nc, 4 \nd\ne,NaN\n'))
    assert table.column("age") == ["", "4", "", ""]
    assert [table.where(i).rsplit(": ")[-1] for i in range(4)] == [
        f"line {n}" for n in (3, 5, 6, 7)
    ]
    assert table.only([1]).column("file") == ["c"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "no row"),
        ("file,age\n", "no row"),
        ("file,file\na,b\n", "the column 'file' twice"),
        ("file,age\na,1,2\nb,1,2\n", "3 cells on line 2, 2 in the header, and 1 more"),
        ('file,age\n"a,1\n', "Error"),
    ],
)
def test_unusable_tables(tmp_path: Path, text: str, found: str) -> None:
    with pytest.raises(DataError, match=found):
        read_table(written(tmp_path, text))
    with pytest.raises(DataError, match=r"none\.csv"):
        read_table(tmp_path / "none.csv")
    (tmp_path / "bytes.csv").write_bytes(b"file\n\xff\xfe\n")
    with pytest.raises(DataError, match="utf-8"):
        read_table(tmp_path / "bytes.csv")


def test_parquet_cells_are_those_of_a_csv(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    columns = {
        "whole": [1, None, 3],
        "number": [1.0, float("nan"), 2.5],
        "single": pyarrow.array([0.1, None, 1e-7], pyarrow.float32()),
        "half": pyarrow.array([np.float16(0.1), None, np.float16(2)], pyarrow.float16()),
        "truth": [True, False, None],
        "text": ["a", None, " b "],
        "list": [["x", "y"], [], None],
        "bytes": ["ä".encode(), None, b"\x89PNG"],
        "record": [{"bytes": b"\x89PNG", "path": "a.png"}, None, {"bytes": b"", "path": "b.png"}],
    }
    parquet.write_table(pyarrow.table(columns), tmp_path / "t.parquet")
    table = read_table(tmp_path / "t.parquet")
    assert table.column("whole") == ["1", "", "3"]
    assert table.column("number") == ["1", "", "2.5"]
    assert table.column("single") == ["0.1", "", "1e-07"]
    assert table.column("half") == ["0.1", "", "2"]
    assert table.column("truth") == ["1", "0", ""]
    assert table.column("text") == ["a", "", "b"]
    assert table.column("list") == ["x;y", "none", ""]
    assert table.column("bytes") == ["ä", "", "(no text)"]
    assert table.column("record") == ["(no text)", "", "(no text)"]
    assert table.where(1).endswith("row 2")
    (tmp_path / "bad.parquet").write_text("no parquet", encoding="utf-8")
    with pytest.raises(DataError, match=r"bad\.parquet"):
        read_table(tmp_path / "bad.parquet")


def test_decimal_commas_are_read_where_commas_do_not_separate(tmp_path: Path) -> None:
    table = read_table(written(tmp_path, "a;b;c\n1,5;x,y;1\n;2,5;-2,25\nNA;1;3.5\n"))
    assert table.column("a") == ["1.5", "", ""]
    assert table.column("b") == ["x,y", "2,5", "1"]
    assert table.column("c") == ["1", "-2.25", "3.5"]
    assert read_table(written(tmp_path, 'a,b\n"1,5",2\n')).column("a") == ["1,5"]
    tiny = read_table(
        written(tmp_path, "a;b\n1,50E-05;x\n2,5;y\n")
    )  # as spreadsheets write small numbers
    assert tiny.column("a") == ["1.50E-05", "2.5"]


def test_commas_between_thousands_are_no_decimal_commas(tmp_path: Path) -> None:
    table = read_table(written(tmp_path, "a;b;c\n987;0,500;72,350\n13,423;12,500;61,005\n"))
    assert table.column("a") == ["987", "13,423"]  # 13.423 would be less than 987
    assert table.column("b") == ["0.500", "12.500"]
    assert table.column("c") == ["72.350", "61.005"]


def test_quotation_marks_hold_what_separates(tmp_path: Path) -> None:
    table = read_table(written(tmp_path, '"place, street, town";file;age\n"a; b";a.png;1,5\n'))
    assert table.columns == ("place, street, town", "file", "age")
    assert table.rows == (("a; b", "a.png", "1.5"),)
    table = read_table(written(tmp_path, 'file, kind, age\n"a.png", "cat, grey", "1"\n'))
    assert table.column("kind") == ["cat, grey"]
    assert table.column("age") == ["1"]


def test_what_spreadsheets_write(tmp_path: Path) -> None:
    (tmp_path / "wide.csv").write_text("file\tage\na\t1\n", encoding="utf-16")
    assert read_table(tmp_path / "wide.csv").column("age") == ["1"]
    table = read_table(written(tmp_path, ",file,,age,\n0,a,,1,\n1,b,,2,,,\n"))
    assert table.columns == ("", "file", "age")
    assert table.rows == (("0", "a", "1"), ("1", "b", "2"))
    table = read_table(written(tmp_path, "\n\nfile;age\na;1,5\n"))
    assert (table.column("age"), table.numbers) == (["1.5"], (4,))
    with pytest.raises(DataError, match=r"a first line that names a file, a\.png; write the names"):
        read_table(written(tmp_path, "a.png,1\nb.png,2\n"))
    (tmp_path / "latin.csv").write_bytes("file,note\na,caf\xe9\n".encode("latin-1"))
    with pytest.raises(DataError, match="save it as UTF-8"):
        read_table(tmp_path / "latin.csv")


def test_lists_are_cut() -> None:
    assert listed(map(str, range(3)), most=2) == "0, 1, and 1 more"
