"""Folders with targets in them."""

import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.program import TARGET
from wsframe.resources.routing.registry import global_registry

REGISTERING = """import trio
import wsframe

wsframe.register_global_resource("/", wsframe.Resource())
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder with a target in it."""
    (tmp_path / "hello_target.py").write_text(TARGET)
    (tmp_path / "sibling.py").write_text("GREETING = 'hello'")
    (tmp_path / "running_target.py").write_text(REGISTERING + "wsframe.run(port=0)\n")
    (tmp_path / "opening_target.py").write_text(REGISTERING + "trio.run(wsframe.serve)\n")
    (tmp_path / "local_target.py").write_text(
        "import wsframe\nchats = wsframe.Registry()\nchats.register('/chat', wsframe.Resource())\n"
    )
    (tmp_path / "plain_target.py").write_text(REGISTERING)
    (tmp_path / "empty_target.py").write_text("import wsframe")
    (tmp_path / "syntax_target.py").write_text("def f(:\n")
    (tmp_path / "failing_target.py").write_text("x = 1\nraise LookupError('no\\nluck')")
    (tmp_path / "needing_target.py").write_text("import not_installed_anywhere")
    (tmp_path / "exiting_target.py").write_text("import sys\nsys.exit(3)")
    return tmp_path


@pytest.fixture
def in_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Go to the folder of the target, and undo all that importing and serving leave behind."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(logging, "basicConfig", lambda **options: None)
    modules = set(sys.modules)
    yield folder
    for path in global_registry.paths():
        global_registry.unregister(path)
    for name in set(sys.modules) - modules:
        del sys.modules[name]


@pytest.fixture
def no_stale_bytecode(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have programs compile their target each time: one that changes twice in a second can look the same."""
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
