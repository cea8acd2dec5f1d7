"""The report as a file, and in a real browser."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sfg_nas.errors import TrainingError
from sfg_nas.report import page
from sfg_nas.report.comparison import DELTA, plot_compared
from sfg_nas.report.page import SECTIONS, _commands, report_page
from sfg_nas.study import Run
from tests.report.conftest import Small

if TYPE_CHECKING:
    from selenium.webdriver import Chrome as WebDriver

EVIL = "<img src=x onerror=alert(1)>"
PICTURES = 1 + sum(len(names) for _, names in SECTIONS)
VOID = {"meta", "link", "img", "br", "hr", "input"}


class Tags(HTMLParser):
    """Counts tags and checks that they close in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.counts: dict[str, int] = {}
        self.outside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.counts[tag] = self.counts.get(tag, 0) + 1
        self.outside += [
            str(value)
            for key, value in attrs
            if key.endswith(("src", "href")) and not str(value).startswith(("#", "data:"))
        ]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def tags_of(text: str) -> Tags:
    tags = Tags()
    tags.feed(text)
    tags.close()
    assert tags.open == []
    return tags


@pytest.fixture(scope="module")
def text(small_runs: Mapping[str, Small]) -> str:
    return report_page(small_runs["two"].run)


def test_everything_is_there_and_the_verdict_comes_first(text: str) -> None:
    assert tags_of(text).counts["svg"] == PICTURES
    places = [text.index(f'id="{name}"') for name in ("verdict", "table", "network", "ledger")]
    places += [text.index(f'id="{name}"') for name in ("trials", "again")]
    assert places == sorted(places)
    assert "could not be drawn" not in text


def test_the_page_needs_nothing_else(text: str) -> None:
    tags = tags_of(text)
    assert tags.outside == []
    assert "script" not in tags.counts
    assert not re.search(r"@import|url\((?!#)", text)


def test_how_to_reproduce(text: str, small_runs: Mapping[str, Small], tmp_path: Path) -> None:
    run = small_runs["two"].run
    for key in ("data_fingerprint", "torch", "version"):
        assert str(run.provenance[key]) in text
    assert "sfg-nas search study.yaml --runs NEW" in text
    assert str(run.path.parent) not in text
    search = run.config.search.model_copy(update={"trials": 3})
    longer = replace(run, config=run.config.model_copy(update={"search": search}))
    assert _commands(longer)[0] == "sfg-nas search study.yaml --trials 8 --runs NEW"
    unsearched = replace(run, path=tmp_path)
    (tmp_path / "transferred").mkdir()
    for name in ("a-run-0", "a-run-12", "b-3"):
        (tmp_path / "transferred" / f"{name}.json").touch()
    calls = [f"sfg-nas search study.yaml --from RUNS/{name} --runs NEW" for name in ("a-run", "b")]
    assert _commands(unsearched)[:2] == calls


def test_folders_of_the_machine_are_not_told(
    small_runs: Mapping[str, Small], tmp_path: Path
) -> None:
    path = tmp_path / "run"
    shutil.copytree(small_runs["two"].run.path, path)
    study = (path / "study.yaml").read_text(encoding="utf-8")
    assert "\n  folder: null\n" in study
    placed = study.replace("folder: null", f"folder: {tmp_path}")
    (path / "study.yaml").write_text(placed, encoding="utf-8")
    page = report_page(Run.load(path))
    assert str(tmp_path) not in page
    assert "fingerprint" in page
    assert "constant_p:" in page  # the study itself is there
    assert "data_fingerprint" not in page


def hostile(run: Run, folder: Path) -> Run:
    """Return a copy of a run in which every name that can be hostile is."""
    path = folder / "run"
    shutil.copytree(run.path, path)
    for file in [*path.glob("trials/*/a*.json"), *path.glob("trials/*/ledger.json")]:
        inside = json.dumps(EVIL)[1:-1]
        file.write_text(file.read_text(encoding="utf-8").replace("left", inside), encoding="utf-8")
    for file in path.glob("retrained/*.csv"):
        inside = file.read_text(encoding="utf-8").replace("left", EVIL).replace("found", EVIL)
        file.write_text(inside, encoding="utf-8")
    state: dict[str, Any] = {"state": "failed", "values": [], "reason": f"{EVIL}</dd><script>"}
    (path / "trials" / "9").mkdir()
    (path / "trials" / "9" / "state.json").write_text(json.dumps(state), encoding="utf-8")
    values = json.dumps({"data.augment": EVIL})
    (path / "trials" / "9" / "candidate.json").write_text(values, encoding="utf-8")
    study = (path / "study.yaml").read_text(encoding="utf-8")
    study = study.replace("- left", f"- '{EVIL}'").replace("data: digits", f"data: '{EVIL}'")
    (path / "study.yaml").write_text(study, encoding="utf-8")
    return Run.load(path)


def test_names_cannot_become_markup(small_runs: Mapping[str, Small], tmp_path: Path) -> None:
    run = hostile(small_runs["two"].run, tmp_path)
    text = report_page(run)
    assert "could not be drawn" not in text
    assert EVIL not in text
    counts = tags_of(text).counts
    assert "img" not in counts
    assert "script" not in counts
    assert text.count("&lt;img src=x onerror=alert(1)&gt;") > 10


def test_a_run_in_trouble_has_a_page_that_says_so(
    small_runs: Mapping[str, Small], tmp_path: Path
) -> None:
    source = small_runs["three"].run
    path = tmp_path / "three"
    shutil.copytree(source.path, path)
    (path / f"trials/{source.best.number}/probabilities.npz").unlink()
    text = report_page(Run.load(path))
    assert "could not be drawn" in text
    for state in path.glob("trials/*/state.json"):
        state.write_text('{"state": "failed", "reason": "loss is not finite"}', encoding="utf-8")
    text = report_page(Run.load(path))
    assert "No verdict: no trial is complete yet." in text
    assert text.count("loss is not finite") == len(Run.load(path).all)
    assert "<svg" not in text
    shutil.rmtree(path / "trials")
    assert "No trial was started yet." in report_page(Run.load(path))


def test_every_section_names_known_figures() -> None:
    names = [name for _, group in SECTIONS for name in group]
    assert set(names) <= set(page.FIGURES)
    left_out = set(page.FIGURES) - set(names)
    assert left_out == {"architecture", "activations"}  # drawn apart; needs the data


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[WebDriver]:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    flags += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    for flag in [*flags, f"--user-data-dir={tmp_path / 'profile'}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    yield driver
    driver.quit()


@pytest.mark.ci
def test_in_a_browser(browser: WebDriver, small_runs: Mapping[str, Small], tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    runs = [small_runs["two"].run, small_runs["lattice"].run]
    runs.append(hostile(small_runs["two"].run, tmp_path))
    for run in runs:
        path.write_text(report_page(run), encoding="utf-8")
        for width in (1200, 360):
            size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600}
            browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
            browser.get(path.as_uri())
            assert browser.get_log("browser") == []
            boxes = browser.execute_script(
                "return [...document.querySelectorAll('svg')].map(s => "
                "[s.getBoundingClientRect().width, s.getBoundingClientRect().height, s.getBBox().width])"
            )
            assert len(boxes) == PICTURES
            assert all(min(box) > 40 for box in boxes)
            assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    colours = set()
    for scheme in ("light", "dark"):
        feature = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", feature)
        script = "return [getComputedStyle(document.body).color, getComputedStyle(document.querySelector('svg text')).fill]"
        body, ink = browser.execute_script(script)
        assert body == ink  # pictures follow the page
        colours.add(ink)
    assert len(colours) == 2
    size = {"width": 720, "height": 1000, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 720


def test_a_comparison_is_shown_with_all_its_points(
    small_runs: Mapping[str, Small], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(next(iter(small_runs.values())).run.path, tmp_path / "run"))
    rows = [
        f"{method},own,{seed},{metric},{0.5 + 0.01 * seed},{macs}"
        for method, macs in (("single-task", 200), ("hard-sharing", 100), ("found", 60))
        for seed in range(3)
        for metric in ("delta", "a/accuracy", "a/balanced_accuracy")
    ]
    table = folder / "compare.csv"
    table.write_text("method,scale,seed,metric,test,macs\n" + "\n".join(rows) + "\n")
    (folder / "compare_paired.csv").write_text("metric\ndelta\na/accuracy\n")
    (folder / "compare.md").write_text(
        "# x\n\n- ten epochs\n\n## Notes\n\n- nddr: left <out>\n\n## Costs\n\n| method | MAE |\n| :- | -: |\n| found | **1.0 ± 0.1** |\n\n## Verdict\n\nNone.\n"
    )
    run = Run.load(folder)
    figure = plot_compared(run)
    assert [axes.get_ylabel() for axes in figure.axes] == [DELTA, "a: accuracy"]
    assert sum(len(c.get_offsets()) for c in figure.axes[1].collections) == 9 + 3
    text = report_page(run)
    assert "<strong>1.0 ± 0.1</strong>" in text
    assert "**" not in text
    assert "small points are seeds" in text
    assert "<li>ten epochs</li>" in text
    assert '<h3>Notes and failures</h3>\n<ul><li class="reason">nddr: left &lt;out&gt;</li>' in text
    assert "sfg-nas compare study.yaml --runs NEW" in text
    page = folder / "compare.md"
    bad = "sfg-nas compare x.yaml --methods 'a\n"
    page.write_text(f"{page.read_text()}\n## How to reproduce\n\n```sh\n{bad}```\n")
    assert "sfg-nas compare study.yaml --runs NEW" in report_page(run)
    good = (
        "sfg-nas compare x.yaml --set a=b --seeds 3 --from one --set c=d --device cpu --runs RUNS\n"
    )
    page.write_text(page.read_text().replace(bad, good))
    text = report_page(run)
    short = "sfg-nas compare study.yaml --seeds 3 --from RUNS/one --device cpu --runs NEW"
    assert short in text
    assert "sfg-nas search study.yaml" in text
    earlier = "sfg-nas compare x.yaml --set 'compare.methods=[\"nddr\"]' --set a=b\n"
    page.write_text(page.read_text().replace(good, earlier + good))
    first = """sfg-nas compare study.yaml --set 'compare.methods=["nddr"]' --runs NEW"""
    assert [call for call in _commands(run) if " compare " in call] == [first, short]
    unsearched = replace(run, path=tmp_path / "unsearched")
    shutil.copytree(folder, unsearched.path, ignore=shutil.ignore_patterns("trials"))
    assert short in report_page(unsearched)
    assert "sfg-nas search study.yaml" not in report_page(unsearched)
    table.write_text("method,scale\nx,own\n")
    assert "This picture could not be drawn" in report_page(run)
    table.unlink()
    with pytest.raises(TrainingError, match="sfg-nas compare"):
        plot_compared(run)
