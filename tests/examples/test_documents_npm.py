"""Collaborative documents with npm's ``y-websocket``, unchanged, in Node and in Chromium."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from pycrdt import Doc, Text
from selenium.webdriver import Chrome

from tests.examples.npm_packages import NPM, npm_modules
from tests.examples.pages import keep_picture, open_page
from tests.examples.running import example_running
from tests.requirements import require


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "documents"


@pytest.fixture
def address(folder: Path) -> Iterator[str]:
    npm = str(npm_modules())
    with example_running("documents.py", "--port", "0", "--folder", str(folder), "--npm", npm) as address:
        yield address


def saved_text(file: Path) -> str:
    doc: Doc[Text] = Doc()
    doc["text"] = Text()
    doc.apply_update(file.read_bytes())
    return str(doc["text"])


def test_y_websocket_converges_in_node_and_the_document_is_saved(folder: Path) -> None:
    npm_modules()
    with example_running("documents.py", "--port", "0", "--folder", str(folder)) as address:
        command = [require("node"), "documents.mjs", f"ws{address.removeprefix('http')}"]
        done = subprocess.run(command, cwd=NPM, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
    assert saved_text(folder / "plan.yjs") == done.stdout.strip()
    assert len(done.stdout.strip()) == 13


def test_two_pages_write_one_text_and_it_outlives_them(browser: Chrome, address: str) -> None:
    value = "return document.querySelector('#text').value"
    with (
        open_page(browser, f"{address}/?name=ann#picnic") as ann,
        open_page(browser, f"{address}/?name=bob#picnic") as bob,
    ):
        for page in (ann, bob):
            page.wait_for("#status", "connected")
            page.wait(lambda page=page: page.texts(".person") and len(page.texts(".person")) == 2)  # type: ignore[misc]
        ann.type("#text", "Picnic on Saturday\n\nann brings bread and cheese", enter=False)
        bob.wait(lambda: "cheese" in str(bob.run(value)))
        bob.type("#text", "\nbob brings the rain", enter=False)
        ann.wait(lambda: "the rain" in str(ann.run(value)))
        assert ann.run(value) == bob.run(value)
        keep_picture("documents", ann.picture(), bob.picture())
        written = ann.run(value)
    with open_page(browser, f"{address}/#picnic") as later:
        later.wait(lambda: later.run(value) == written)
