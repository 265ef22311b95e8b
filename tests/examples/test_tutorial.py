"""The tutorial: each of its programs works, its tests pass, and its pages look as in the pictures.

Each step is copied to a folder under the name that the reader gives it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import Chrome
from websockets.sync.client import ClientConnection, connect

import wsframe
from tests.documents import ROOT
from tests.examples.pages import Page, keep_picture, open_page
from tests.examples.running import program_running
from tests.patience import PATIENCE
from wsframe.resources.routing.registry import global_registry

STEPS = ROOT / "docs/steps"
PAGES = [ROOT / "docs/index.rst", *ROOT.glob("docs/tutorial/*.rst")]

NAMES = {
    "hello": "chat", "room": "chat", "names": "chat", "page": "chat",
    "hall": "rooms", "members": "rooms", "history": "rooms",
    "ticker": "ticker", "greenhouse": "greenhouse",
}  # fmt: skip
"""The programs, and the names under which the reader saves them."""

BESIDE = {
    "members": ["store.py", "login.py", "login.html", "rooms.html"],
    "history": ["store.py", "login.py", "login.html", "rooms.html", "test_rooms.py", "pytest.ini"],
    "page": ["test_chat.py", "pytest.ini"],
    "greenhouse": ["greenhouse.html", "test_greenhouse.py", "pytest.ini"],
}
"""The files that the reader has beside a program."""


def write(step: str, folder: Path) -> Path:
    """Write the files of a step, and return its program."""
    for name in BESIDE.get(step, []):
        shutil.copy(STEPS / name, folder)
    return Path(shutil.copy(STEPS / f"{step}.py", folder / f"{NAMES[step]}.py"))


@contextmanager
def served(step: str, folder: Path) -> Iterator[str]:
    program = write(step, folder)
    command = [sys.executable, "-m", "wsframe", "serve", program.name, "--port", "0", "--log-level", "error"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
        with program_running(*command) as address:
            yield address


class Visitors:
    """Two clients of a step."""

    def __init__(self, address: str, path: str, stack: ExitStack) -> None:
        self.address = address
        url = f"ws{address.removeprefix('http')}{path}"
        self.ann, self.bob = (stack.enter_context(connect(url, open_timeout=PATIENCE, proxy=None)) for _ in range(2))

    def expect(self, client: ClientConnection, *lines: str) -> None:
        assert [client.recv(PATIENCE) for _ in lines] == list(lines)


def check_hello(visitors: Visitors) -> None:
    visitors.ann.send("hello")
    visitors.expect(visitors.ann, "welcome", "you said: hello")
    visitors.expect(visitors.bob, "welcome")


def check_room(visitors: Visitors) -> None:
    visitors.ann.send("hello")
    visitors.expect(visitors.ann, "hello")
    visitors.expect(visitors.bob, "hello")


def check_names(visitors: Visitors) -> None:
    visitors.expect(visitors.ann, "user-1 joined", "user-2 joined")
    visitors.bob.send("/nick user-1")
    visitors.bob.send("/nick bob")
    visitors.bob.send("hello")
    visitors.expect(visitors.bob, "user-2 joined", "you cannot be called 'user-1'", "user-2 is now bob", "bob: hello")
    visitors.bob.close()
    visitors.expect(visitors.ann, "user-2 is now bob", "bob: hello", "bob left")


def check_hall(visitors: Visitors) -> None:
    visitors.expect(visitors.ann, '{"note":"1 in kitchen"}')
    visitors.expect(visitors.bob, '{"note":"2 in kitchen"}')
    visitors.ann.send("hello")
    visitors.expect(visitors.bob, '{"text":"hello"}')


def check_ticker(visitors: Visitors) -> None:
    while ", 2 here" not in str(visitors.ann.recv(PATIENCE)):
        pass


CHECKS: dict[str, tuple[str, Callable[[Visitors], None]]] = {
    "hello": ("/chat", check_hello),
    "room": ("/chat", check_room),
    "names": ("/chat", check_names),
    "page": ("/chat", check_names),
    "hall": ("/rooms/kitchen", check_hall),
    "ticker": ("/ticker", check_ticker),
}
LOOKED_AT = {"members", "history", "greenhouse"}
"""Steps that the tests of their pages check."""


def test_each_step_has_a_check_and_a_place_in_the_tutorial() -> None:
    programs = {path.stem for path in STEPS.glob("*.py")} - {"login", "store"}
    assert {name for name in programs if not name.startswith("test_")} == set(NAMES) == {*CHECKS, *LOOKED_AT}
    text = "".join(page.read_text() for page in PAGES)
    shown = set(re.findall(r"^\.\. literalinclude:: (?:\.\./)?steps/(\S+)", text, re.MULTILINE))
    assert shown == {path.name for path in STEPS.iterdir() if path.is_file()}


@pytest.mark.parametrize("step", sorted(CHECKS))
def test_a_step_works(step: str, tmp_path: Path) -> None:
    path, check = CHECKS[step]
    with served(step, tmp_path) as address, ExitStack() as stack:
        check(Visitors(address, path, stack))


@pytest.mark.parametrize("step", sorted(NAMES))
def test_a_step_serves_itself_when_run(step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = write(step, tmp_path)
    ports: list[Any] = []
    monkeypatch.setattr(wsframe, "run", lambda port: ports.append(port))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    before = global_registry.snapshot()
    try:
        exec(compile(program.read_text(), str(program), "exec"), {"__name__": "__main__", "__file__": str(program)})
    finally:
        global_registry.restore(before)
        for name in ("login", "store"):
            sys.modules.pop(name, None)
    assert ports == [8000]


def run_pytest(folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COV"))}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error"]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def test_the_tests_of_all_parts_pass(tmp_path: Path) -> None:
    for step in ("page", "history", "greenhouse"):
        write(step, tmp_path)
    done = run_pytest(tmp_path)
    assert "4 passed" in done.stdout, done.stdout + done.stderr


def test_the_tests_of_the_parts_find_faults(tmp_path: Path) -> None:
    faults = {"page": "or any(other.data == nickname for other in self.clients)", "greenhouse": ", key=sensor"}
    for step, removed in faults.items():
        program = write(step, tmp_path)
        text = program.read_text()
        assert removed in text
        program.write_text(text.replace(removed, ""))
    done = run_pytest(tmp_path)
    assert "2 failed" in done.stdout, done.stdout
    assert "you cannot be called" in done.stdout
    assert "of 400" in done.stdout


def test_the_log_is_the_one_that_the_tutorial_shows(tmp_path: Path) -> None:
    shown = (ROOT / "docs/tutorial/chat.rst").read_text().partition(".. code-block:: text\n\n")[2].partition("\n\n")[0]
    program = write("hello", tmp_path)
    program.write_text(program.read_text().replace("port=8000", "port=0"))
    with subprocess.Popen([sys.executable, program], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        lines = [process.stderr.readline()]
        url = lines[0].split()[-1] + "/chat"
        with connect(url, open_timeout=PATIENCE, proxy=None) as client:
            client.send("hello")
            assert [client.recv(PATIENCE) for _ in range(2)] == ["welcome", "you said: hello"]
        lines.append(process.stderr.readline())
        process.terminate()
        process.communicate(timeout=PATIENCE)
    for line, wanted in zip(lines, shown.splitlines(), strict=True):
        assert re.sub(r"[\d.,:]+", "0", line.strip()) == re.sub(r"[\d.,:]+", "0", wanted.strip())


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def test_the_chat_looks_as_in_its_picture(browser: Chrome, tmp_path: Path, stack: ExitStack) -> None:
    address = stack.enter_context(served("page", tmp_path))
    ann, bob = (stack.enter_context(open_page(browser, f"{address}/", size=(480, 520))) for _ in range(2))
    ann.wait_for("#log", "user-2 joined")
    for page, text in ((ann, "/nick ann"), (ann, "Is anybody here?"), (bob, "/nick bob"), (bob, "Yes, <b>I</b> am.")):
        page.type("#text", text)
        bob.wait_for("#log", text.removeprefix("/nick "))
    ann.wait_for("#log", "bob: Yes, <b>I</b> am.")
    keep_picture("tutorial-chat", ann.picture(), bob.picture())


class RoomVisitors:
    """People in the browser: cookies belong to a host, so each host name is a person."""

    def __init__(self, browser: Chrome, address: str, stack: ExitStack) -> None:
        self.browser, self.stack = browser, stack
        self.port = address.rpartition(":")[2]

    def enter(self, host: str, name: str, password: str = "secret") -> Page:
        page = self.stack.enter_context(open_page(self.browser, f"http://{host}:{self.port}/#kitchen", size=(480, 520)))
        page.type("[name=name]", name, enter=False)
        page.type("[name=password]", password)
        return page


@pytest.mark.parametrize("step", ["members", "history"])
def test_the_rooms_look_as_in_their_picture(browser: Chrome, tmp_path: Path, stack: ExitStack, step: str) -> None:
    visitors = RoomVisitors(browser, stack.enter_context(served(step, tmp_path)), stack)
    stack.callback(browser.delete_all_cookies)
    ann = visitors.enter("127.0.0.1", "ann")
    ann.wait_for("#status", "connected")
    ann.run("location.hash = 'kitchen'")
    ann.wait_for("nav a[aria-current]", "Kitchen")
    ann.wait_for("#status", "connected")
    ann.type("#text", "There is cake")
    ann.wait_for("#log", "ann: There is cake")
    stranger = visitors.enter("localhost", "ann", "guessed")
    stranger.wait_for("h1", "Log in")
    bob = visitors.enter("localhost", "bob")
    bob.wait_for("#status", "connected")
    bob.run("location.hash = 'kitchen'")
    bob.wait_for("nav a[aria-current]", "Kitchen")
    bob.wait_for("#log", "bob came")
    bob.type("#text", "On my way")
    ann.wait_for("#log", "bob: On my way")
    assert (step == "history") == ("ann: There is cake" in bob.texts("#log li"))
    if step == "history":
        keep_picture("tutorial-rooms", ann.picture(), bob.picture())


def test_the_dashboard_looks_as_in_its_picture(browser: Chrome, tmp_path: Path, stack: ExitStack) -> None:
    address = stack.enter_context(served("greenhouse", tmp_path))
    page = stack.enter_context(open_page(browser, f"{address}/", size=(900, 600)))
    page.wait(lambda: len(page.texts("article")) == 8)
    page.wait(lambda: int(str(page.run("return document.querySelector('polyline').points.length"))) > 90)
    assert page.text("#status") == "live"
    keep_picture("tutorial-dashboard", page.picture())
