"""What README and CONTRIBUTING name must be there: commands, targets, files, public names."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pandas as pd
import pytest

import sfg_nas
from sfg_nas.report.verdict import interval

ROOT = Path(__file__).resolve().parent.parent
PAGES = ["README.md", "CONTRIBUTING.md"]
RESULTS = "studies/results/README.md"


def read(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def words(page: str) -> str:
    """Return a page as one line, since sentences are broken anywhere."""
    return " ".join(read(page).split())


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def test_python_imports_public_names_and_uses_them() -> None:
    found = blocks(read("README.md"), "python")
    assert found
    for block in found:
        tree = ast.parse(block)
        imports = [n for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)]
        names = {alias.name for n in imports if n.module == "sfg_nas" for alias in n.names}
        assert names <= set(sfg_nas.__all__)
        loaded = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
        assert names <= loaded
        stored = {
            n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
        }
        assert loaded <= names | stored


def test_commands_exist() -> None:
    from sfg_nas.cli.app import app

    known = {entry.name for entry in [*app.registered_commands, *app.registered_groups]}
    named = set(re.findall(r"^sfg-nas ([a-z]+)", read("README.md"), flags=re.MULTILINE))
    named |= set(re.findall(r'/sfg-nas" ([a-z]+)', read("Makefile")))
    assert {"search", "export", "retrain"} <= named
    assert named <= known


@pytest.mark.parametrize("page", PAGES)
def test_make_targets_exist(page: str) -> None:
    targets = set(re.findall(r"^([a-z]+):", read("Makefile"), flags=re.MULTILINE))
    named = set(re.findall(r"^\s*make ([a-z]+)", read(page), flags=re.MULTILINE))
    named |= set(re.findall(r"`make ([a-z]+)`", read(page)))
    assert named
    assert named <= targets


@pytest.mark.parametrize("page", PAGES)
def test_links_and_studies_exist(page: str) -> None:
    text = read(page)
    links = [t for t in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in t]
    studies = re.findall(r"studies/[\w.]+\.yaml", text)
    missing = [path for path in [*links, *studies] if not (ROOT / path).exists()]
    assert missing == []


def test_stages_of_the_guide_are_those_of_the_package() -> None:
    table = re.findall(r"^\| `([\w.]+)/?` \|", read("CONTRIBUTING.md"), flags=re.MULTILINE)
    stages = {name.removesuffix(".py") for name in table}
    there = {
        path.stem
        for path in (ROOT / "sfg_nas").iterdir()
        if path.suffix == ".py" or (path / "__init__.py").is_file()
    }
    assert there - {"__init__", "__main__"} <= stages


def test_the_table_of_the_first_screen_is_that_of_the_stored_results() -> None:
    frame = pd.read_csv(ROOT / "studies/results/utkface_compare_24.csv").query("scale == 'own'")
    methods = {
        "two single-task networks": "single-task",
        "Cross-Stitch, joined single-task networks": "cross-stitch",
        "hard sharing": "hard-sharing",
        "the paper's stochastic filter groups, as stated": "sfg-corrected (hard)",
        "a plain tree that parts after layer 4": "tree-split-4",
        "a plain tree that parts after layer 2": "tree-split-2",
        "hard sharing, narrowed to the found network's MACs": "hard-sharing-at-found",
        "**found**, retrained from scratch": "found",
        "the found network's filters in another order": "random-allocation",
        "constant thirds, nothing learned": "constant-mask",
    }
    rows = re.findall(
        r"^\| (.*?) \| (\d\.\d\d) \| (.*?) \| (.*?) \| (.*?) % \|$", read("README.md"), re.MULTILINE
    )
    assert [name for name, *_ in rows] == list(methods)
    hard = frame[frame["method"] == "hard-sharing"]["macs"].mean()
    for name, macs, *shown, gain in rows:
        own = frame[frame["method"] == methods[name]]
        assert macs == f"{own['macs'].mean() / hard:.2f}"
        for text, metric, digits in zip(shown, ("age/mae", "gender/accuracy"), (2, 3), strict=True):
            values = own[own["metric"] == metric]["test"]
            assert text == f"{values.mean():.{digits}f} ± {values.std(ddof=1):.{digits}f}"
        delta = 100 * own[own["metric"] == "delta"]["test"].mean()
        assert float(gain) == pytest.approx(delta, abs=0.0051)


def test_the_verdict_of_the_first_screen_is_that_of_the_stored_results() -> None:
    text = words("README.md")
    frame = pd.read_csv(ROOT / "studies/results/utkface_compare_24_paired.csv")
    rows = frame.query("metric == 'delta'").set_index("method")
    assert (rows["seeds"] == 3).all()
    for name, form in (
        ("found", "at Δ {:+.2f} %, 95 % interval {:+.2f} to {:+.2f}."),
        ("cross-stitch", "Cross-Stitch ({:+.2f} %, {:+.2f} to {:+.2f})"),
        ("tree-split-4", "the tree after layer 4 ({:+.2f} %, {:+.2f} to {:+.2f})"),
        ("constant-p (expected)", "probabilities ({:+.2f} %, {:+.2f} to {:+.2f})"),
        ("sfg-iccv2019 (hard)", "far from trained ({:+.2f} %, {:+.2f} to {:+.2f})"),
        ("sfg-corrected (hard)", "{:+.2f} % ({:+.2f} to {:+.2f}) by its most probable network"),
        ("sfg-corrected (Monte-Carlo)", "{:+.2f} % ({:+.2f} to {:+.2f}) by the mean of ten draws"),
    ):
        question = "at-found" if name == "found" else "single-task"
        row = rows[rows["question"] == question].loc[name]
        assert form.format(*(100 * row[["mean", "low", "high"]])) in text, name
    pair = 100 * rows[rows["question"] == "at-found"].loc["found", ["mean", "low", "high"]]
    said = "(Δ {:+.2f} %, 95 % interval {:+.2f} to {:+.2f})".format(*pair)
    assert said in read("notebooks/05_reproduce_the_paper.ipynb")
    single = rows[rows["question"] == "single-task"]
    elsewhere = {"shuffled-allocation", "hard-sharing-scaled-0.75"}
    assert set(single.index[single["high"] >= 0]) == {"cross-stitch", "tree-split-4", *elsewhere}
    assert f"all {len(single)} comparisons together" in text
    assert not (single["low"] > 0).any()
    together = {"constant-mask", "sfg-corrected (Monte-Carlo)", "constant-p (expected)"}
    together |= {"constant-p (Monte-Carlo)", "sfg-iccv2019 (hard)", "sfg-iccv2019 (Monte-Carlo)"}
    assert set(single.index[single["high_all"] < 0]) == together
    rise = pd.read_csv(ROOT / "studies/results/utkface_compare_24.csv")["flatness"]
    assert f"still rose by {rise.median():.3f} in the last quarter" in text


@pytest.mark.parametrize(
    "study", ["utkface_compare", "utkface_compare_10pct", "utkface_compare_10pct_48"]
)
def test_no_method_beats_hard_sharing_at_equal_macs_on_the_faces(study: str) -> None:
    """The index of the results says so; `better` is the sign of a better value."""
    frame = pd.read_csv(ROOT / f"studies/results/{study}_paired.csv")
    rows = frame.query(
        "question == 'equal-macs' and metric == 'delta' and against == 'hard-sharing'"
    )
    assert {"found", "single-task", "constant-mask", "all-separate"} <= set(rows["method"])
    assert (rows["better"] == 1).all()
    assert (rows["low"] <= 0).all()


def test_a_tenth_of_the_faces_is_as_its_table_says() -> None:
    text = words("README.md")
    frame = pd.read_csv(ROOT / "studies/results/utkface_compare_10pct_48_paired.csv")
    rows = frame.query("question == 'single-task' and metric == 'delta'").set_index("method")
    for name, form in (
        ("cross-stitch", "Cross-Stitch ({:+.2f} %, {:+.2f} to {:+.2f})"),
        ("hard-sharing", "hard sharing ({:+.2f} %, {:+.2f} to {:+.2f})"),
        ("sfg-corrected (hard)", "({:+.2f} %, {:+.2f} to {:+.2f}; not for all"),
    ):
        assert form.format(*(100 * rows.loc[name, ["mean", "low", "high"]])) in text, name
    assert (rows.loc[["cross-stitch", "hard-sharing"], "high"] >= 0).all()
    stated = rows.loc["sfg-corrected (hard)"]
    assert stated["high"] < 0 < stated["high_all"]
    assert f"not for all {stated['comparisons']:.0f} comparisons together" in text


def test_nor_does_any_that_ran_later_on_a_tenth_of_them() -> None:
    frame = pd.read_csv(ROOT / "studies/results/utkface_compare_10pct_32_paired.csv")
    rows = frame.query("question == 'equal-macs' and metric == 'delta'").set_index("method")
    assert {"tree-split-1", "tree-split-7", "sfg-iccv2019 (hard)"} <= set(rows.index)
    assert (rows["against"] == "hard-sharing").all()
    assert (rows["low"] <= 0).all()
    assert set(rows.index[rows["high"] < 0]) == {"sfg-iccv2019 (hard)"}


def test_the_index_of_the_results_has_every_table_and_its_found_network() -> None:
    text = read(RESULTS)
    pages = {path.stem for path in (ROOT / "studies/results").glob("*.md")} - {"README"}
    rows = dict(re.findall(r"^\| \[(\w+)\]\(\1\.md\) \| (.*) \|$", text, re.MULTILINE))
    assert set(rows) == pages
    for path in sorted((ROOT / "studies/results").glob("*_paired.csv")):
        frame = pd.read_csv(path)
        if "question" not in frame:
            continue
        page = re.sub(r"(_\d)?_paired$", "", path.stem)
        for _, row in frame.query("question == 'at-found' and metric == 'delta'").iterrows():
            shown = "{:+.2f} ({:+.2f} to {:+.2f})".format(*(100 * row[["mean", "low", "high"]]))
            settled = row["low"] > 0 or row["high"] < 0
            assert (f"**{shown}**" if settled else shown) in rows[page], path.stem
            assert f"{row['seeds']}" in rows[page].split(" | ")[1]


def test_the_papers_systems_on_all_faces_are_as_their_table_says() -> None:
    frame = pd.read_csv(ROOT / "studies/results/utkface_compare_systems_paired.csv")
    rows = frame.query("question == 'single-task' and metric == 'delta'").set_index("method")
    assert (rows["seeds"] == 3).all()
    text = words(RESULTS)
    for method, form in (
        ("sfg-corrected (hard)", "the stated model is at Δ {:+.2f} % ({:+.2f} to {:+.2f})"),
        ("hard-sharing", "hard sharing at {:+.2f} % ({:+.2f} to {:+.2f})"),
        ("cross-stitch", "at {:+.2f} % ({:+.2f} to {:+.2f})"),
        ("constant-mask", "constant thirds at {:+.2f} % ({:+.2f} to {:+.2f})"),
    ):
        row = rows.loc[method]
        assert form.format(*(100 * row[["mean", "low", "high"]])) in text, method
    assert (rows["high_all"] > 0).all()
    assert (rows["low_all"] < 0).all()
    assert set(rows.index[rows["high"] >= 0]) == {"cross-stitch"}


def test_the_papers_systems_with_a_hundred_epochs_are_as_their_table_says() -> None:
    frame = pd.read_csv(ROOT / "studies/results/utkface_compare_10pct_systems_paired.csv")
    rows = frame.query("question == 'single-task' and metric == 'delta'").set_index("method")
    text = words(RESULTS)
    for name, row in rows.iterrows():
        numbers = [100 * row[key] for key in ("mean", "low", "high")]
        forms = ("{:+.2f} % ({:+.2f} to {:+.2f})", "{:+.2f} %, {:+.2f} to {:+.2f}")
        assert any(form.format(*numbers) in text for form in forms), name
    own = pd.read_csv(ROOT / "studies/results/utkface_compare_10pct_systems.csv")
    stated = own["method"].str.startswith("sfg-corrected")
    rises = [own[chosen]["flatness"].max() for chosen in (stated, ~stated)]
    form = "by up to {:.3f} in the last quarter, the others by {:.3f} at most"
    assert form.format(*rises) in text
    assert set(rows.index[rows["high"] < 0]) == {"hard-sharing"}
    assert not (rows["low"] > 0).any()


def test_what_stands_off_hard_sharing_in_32_bits_is_what_the_index_says() -> None:
    frame = pd.read_csv(ROOT / "studies/results/utkface_compare_32_paired.csv")
    rows = frame.query("question == 'equal-macs' and metric == 'delta'").set_index("method")
    trees = {f"tree-split-{layer}" for layer in (1, 3, 5, 6)}
    assert set(rows.index) == {*trees, "sfg-corrected (hard)", "sfg-iccv2019 (hard)"}
    assert set(rows.index[rows["low"] > 0]) == {"tree-split-6"}
    below = {"sfg-corrected (hard)", "sfg-iccv2019 (hard)"}
    assert set(rows.index[rows["high"] < 0]) == below
    assert (rows["low_all"] <= 0).all()
    assert set(rows.index[rows["high_all"] < 0]) == {"sfg-iccv2019 (hard)"}
    for name in ("tree-split-6", *sorted(below)):
        row = rows.loc[name]
        shown = "{:+.2f} % ({:+.2f} to {:+.2f}".format(*(100 * row[["mean", "low", "high"]]))
        assert shown in words(RESULTS)


def test_the_intervals_of_the_first_screen_are_the_stored_ones() -> None:
    text = words("README.md")
    for name, shown in {
        "utkface_compare_advantage": "Δ {:+.2f} %, 95 % interval {:+.2f} to {:+.2f}",
        "utkface_compare_long": "Δ {:+.2f} %, 95 % interval {:+.2f} to {:+.2f}",
        "utkface_compare_10pct_48": "Δ {:+.2f} %, 95 % interval {:+.2f} to {:+.2f}",
        "utkface_compare_10pct_advantage": "Δ {:+.2f} %, 95 % interval {:+.2f} to {:+.2f}",
        "utkface_compare_10pct_advantage_1": "{:+.2f} % ({:+.2f} to {:+.2f})",
        "utkface_compare_10pct_advantage_2": "{:+.2f} % ({:+.2f} to {:+.2f})",
        "multimnist_compare_advantage_0": "Δ {:+.2f} % (95 % interval {:+.2f} to {:+.2f})",
        "multimnist_compare_advantage_1": "{:+.2f} % ({:+.2f} to {:+.2f})",
        "multimnist_compare_advantage_2": "{:+.2f} % ({:+.2f} to {:+.2f})",
        "multimnist_compare_advantage_3": "{:+.2f} % ({:+.2f} to {:+.2f})",
        "multimnist_compare_again": "{:+.2f} % ({:+.2f} to {:+.2f})",
        "multimnist_compare_again_1": "{:+.2f} % ({:+.2f} to {:+.2f})",
        "multimnist_compare_again_2": "{:+.2f} % ({:+.2f} to {:+.2f})",
    }.items():
        frame = pd.read_csv(ROOT / f"studies/results/{name}_paired.csv")
        row = frame.query("question == 'at-found' and metric == 'delta'").iloc[0]
        assert shown.format(*(100 * row[["mean", "low", "high"]])) in text


def test_what_24_epochs_gave_is_what_the_first_screen_says() -> None:
    text = words("README.md")
    frame = pd.read_csv(ROOT / "studies/results/utkface_compare_long.csv")
    deltas = frame.query("metric == 'delta' and scale == 'own'")
    by_seed = 100 * deltas.pivot_table(index="seed", columns="method", values="test")
    apart = by_seed["tree-split-2"] - by_seed["found"]
    least, most = interval(apart.mean(), apart.std(), len(apart))
    assert f"above the found network by {apart.mean():.2f} % ({least:+.2f} to {most:+.2f})" in text


def test_what_was_found_on_a_tenth_of_the_faces_is_no_better_than_a_plain_tree() -> None:
    frame = pd.read_csv(ROOT / "studies/results/utkface_compare_10pct_advantage.csv")
    deltas = frame.query("metric == 'delta' and scale == 'own'")
    by_seed = 100 * deltas.pivot_table(index="seed", columns="method", values="test")
    apart = by_seed["found"] - by_seed["tree-split-2"]
    low, high = interval(apart.mean(), apart.std(), len(apart))
    shown = f"({apart.mean():+.2f} %, {low:+.2f} to {high:+.2f})"
    assert shown in words("README.md")


@pytest.mark.parametrize(
    ("name", "searches"),
    [
        ("multimnist_compare_advantage", ("_0", "_1", "_2", "_3")),
        ("utkface_compare_10pct_advantage", ("", "_1", "_2")),
    ],
)
def test_the_mean_over_searches_is_that_of_the_stored_ones(
    name: str, searches: tuple[str, ...]
) -> None:
    means = []
    for which in searches:
        frame = pd.read_csv(ROOT / f"studies/results/{name}{which}_paired.csv")
        row = frame.query("question == 'at-found' and metric == 'delta'").iloc[0]
        means.append(100 * row["mean"])
    found = pd.Series(means)
    low, high = interval(found.mean(), found.std(), len(found))
    text = words(f"studies/results/{name}.md")
    assert f"{found.mean():+.2f} %" in text
    assert f"{low:+.2f} to {high:+.2f}" in text
