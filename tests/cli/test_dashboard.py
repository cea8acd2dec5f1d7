"""The dashboard in a real browser: the page opens, shows the trials, and a picture of what one learned."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sfg_nas.cli.dashboard import PICTURES, draw
from sfg_nas.study import Run
from sfg_nas.study.board import Board

ROOT = Path(__file__).resolve().parents[2]


def test_each_trial_gets_its_pictures_once(runs: Path) -> None:
    board = Board(Run.load(runs / "small"))
    for number in board.missing(PICTURES):
        draw(board, number)
    assert board.missing(PICTURES) == []
    count = len(list(board.folder.iterdir()))
    assert count == 2 * len(PICTURES)
    draw(board, 0)
    assert len(list(board.folder.iterdir())) == count
    board.close()


def test_a_port_that_is_taken_is_said(call: Callable, runs: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        answer = call("dashboard", "small", "--runs", runs, "--port", str(taken.getsockname()[1]))
    assert answer.code == 2
    assert "a free port is needed" in answer.err


@pytest.fixture
def served(runs: Path) -> Iterator[str]:
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    code += "from sfg_nas.cli import main; main()"
    command = [sys.executable, "-u", "-c", code, "dashboard", "small", "--runs", str(runs)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [*command, "--port", "0"], stdout=subprocess.PIPE, text=True, env=environment
    )
    assert process.stdout is not None
    with process:
        url = process.stdout.readline().strip()
        assert url.startswith("http://127.0.0.1:")
        yield url
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0


@pytest.mark.ci
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_the_page_opens_with_trials_and_a_picture(served: str, runs: Path, tmp_path: Path) -> None:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    board = Board(Run.load(runs / "small"))
    deadline = time.monotonic() + 90
    while board.missing(PICTURES) and time.monotonic() < deadline:
        time.sleep(0.5)
    assert board.missing(PICTURES) == []
    board.close()
    options = webdriver.ChromeOptions()
    for flag in (
        "headless=new", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run",
        "disable-background-networking", "disable-component-update", "disable-sync",
        "window-size=1600,1200", f"user-data-dir={tmp_path / 'profile'}",
    ):  # fmt: skip
        options.add_argument(f"--{flag}")
    browser = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    try:
        browser.get(served)
        wait = WebDriverWait(browser, 60)
        wait.until(lambda page: "small" in page.find_element(By.TAG_NAME, "body").text)
        browser.get(f"{served}studies/1/trials?numbers=0")
        wait.until(lambda page: "Trial 0" in page.find_element(By.TAG_NAME, "body").text)
        found = "return [...document.images].filter(i => i.src.includes('/artifacts/') && i.naturalWidth > 200).length"
        wait.until(lambda page: page.execute_script(found) >= 1)
    finally:
        browser.quit()
    with urllib.request.urlopen(f"{served}") as page:  # noqa: S310 (our own, on loopback)
        assert page.status == 200
