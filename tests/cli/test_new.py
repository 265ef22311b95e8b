"""``wsframe new``: the project it writes works at once, and it never overwrites."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from urllib.request import ProxyHandler, build_opener

import pytest

from tests.cli.program import serving
from tests.patience import PATIENCE
from wsframe.cli import main

FILES = ["app.html", "app.py", "pyproject.toml", "test_app.py"]


def run_pytest(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COV"))}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def test_the_test_of_a_new_project_passes_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["new", "chat"]) == 0
    done = run_pytest(tmp_path / "chat")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


def test_a_new_project_is_served_with_its_page(tmp_path: Path) -> None:
    main(["new", str(tmp_path / "chat")])
    with serving(tmp_path / "chat", "app:registry", "--port", "0") as program:
        page = f"http{program.address.removeprefix('ws')}/"
        with build_opener(ProxyHandler({})).open(page, timeout=PATIENCE) as answer:
            assert b"<title>chat</title>" in answer.read()
        with program.open("/room?name=ann") as ann:
            assert ann.recv(timeout=60) == '{"note":"ann came","here":1}'


def test_the_output_names_the_files_and_the_next_commands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["new", "my chats/chat"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:4] == [f"wrote {Path('my chats/chat') / file}" for file in FILES]
    assert "  cd 'my chats/chat'" in lines
    assert sorted(path.name for path in (tmp_path / "my chats/chat").iterdir()) == FILES


def test_a_folder_that_holds_something_is_left_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "chat").mkdir()
    assert main(["new", str(tmp_path / "chat")]) == 0, "an empty folder is fine"
    (tmp_path / "chat/app.py").write_text("mine")
    assert main(["new", str(tmp_path / "chat")]) == 2
    assert "exists and is not an empty folder" in capsys.readouterr().err
    assert (tmp_path / "chat/app.py").read_text() == "mine"
    (tmp_path / "file").write_text("mine")
    assert main(["new", str(tmp_path / "file")]) == 2


@pytest.mark.parametrize(
    ("name", "better"), [("my chat", "my-chat"), ("_chat", "chat"), ("Größe", "Gr--e"), ("a{b}", "a-b"), ("..", "chat")]
)
def test_a_name_that_a_project_cannot_have_is_refused_with_a_better_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, better: str
) -> None:
    assert main(["new", str(tmp_path / name)]) == 2
    assert repr(better) in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert main(["new", str(tmp_path / "file/chat")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "cannot write" in line
