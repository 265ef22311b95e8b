"""README.rst: its chat works, CI runs its commands, it renders on a package index."""

import re
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest
from docutils.core import publish_string
from websockets.sync.client import connect

import wsframe
from tests.documents import ROOT, code_blocks
from tests.examples.running import program_running
from tests.patience import PATIENCE

README = ROOT / "README.rst"


@pytest.fixture
def chat(tmp_path: Path) -> Path:
    """Give the chat of the README as a file."""
    (block,) = code_blocks(README, "python")
    path = tmp_path / "readme_chat.py"
    path.write_text(block.code)
    return path


@pytest.mark.parametrize("more", [[], ["--workers", "2"]], ids=["one process", "workers"])
def test_the_chat_works_for_several_clients(chat: Path, more: list[str]) -> None:
    command = [sys.executable, "-m", "wsframe", "serve", str(chat), "--port", "0", "--log-level", "error", *more]

    def open_tab() -> Any:
        return connect(f"ws{address.removeprefix('http')}/chat", open_timeout=PATIENCE, proxy=None)

    with program_running(*command) as address, open_tab() as ann, open_tab() as bob:
        anns_name, bobs_name = (f"user-{tab.local_address[1]}" for tab in (ann, bob))
        assert ann.recv(PATIENCE) == f"{anns_name} joined"
        assert ann.recv(PATIENCE) == bob.recv(PATIENCE) == f"{bobs_name} joined"
        with open_tab() as cleo:
            cleos_name = f"user-{cleo.local_address[1]}"
            tabs = [ann, bob, cleo]
            assert [tab.recv(PATIENCE) for tab in tabs] == [f"{cleos_name} joined"] * 3
            bob.send("hello")
            assert [tab.recv(PATIENCE) for tab in tabs] == [f"{bobs_name}: hello"] * 3
        assert ann.recv(PATIENCE) == bob.recv(PATIENCE) == f"{cleos_name} left"


def test_the_chat_serves_itself_when_run(chat: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options: dict[str, Any] = {}
    monkeypatch.setattr(wsframe, "run", options.update)
    try:
        runpy.run_path(str(chat), run_name="__main__")
        assert wsframe.find_global_resource("/chat") is not None
    finally:
        wsframe.unregister_global_resource("/chat")
    assert options.pop("port") == 8000
    assert list(options) == ["started"]


def test_the_commands_stand_where_they_are_looked_for() -> None:
    text = README.read_text()
    test_command = text.partition("\n.. test-command\n")[2].partition("\n.. test-command-end\n")[0]
    assert ".venv/bin/pytest" in test_command
    demo, tests = [block.code for block in code_blocks(README, "shell")]
    assert demo.strip().endswith(".venv/bin/python examples/chat.py")
    assert tests.strip() in test_command


def test_it_renders_without_a_warning() -> None:
    # A package index knows plain docutils only, and refuses text with warnings.
    publish_string(README.read_text(), writer="html5", settings_overrides={"halt_level": 2, "report_level": 2})


def test_it_is_short_and_its_links_lead_somewhere() -> None:
    text = README.read_text()
    assert len(text.splitlines()) <= 120
    for target in re.findall(r"^\.\. _[^:]+: (?!https://)(\S+)$", text, re.MULTILINE):
        assert (ROOT / target).is_file(), target
