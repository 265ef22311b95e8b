"""``wsframe completion``: what a shell offers."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.outside import require
from wsframe import cli

COMPLETE = """
source wsframe.bash
COMP_WORDS=({words} "{last}")
COMP_CWORD={count}
COMP_LINE="{words} {last}" COMP_POINT=${{#COMP_LINE}}
$(complete -p wsframe | sed 's/.*-F \\([^ ]*\\).*/\\1/') wsframe "{last}" ""
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


def offered(folder: Path, words: str, last: str) -> list[str]:
    """Return what bash offers for the last word of a line."""
    script = COMPLETE.format(words=words, last=last, count=len(words.split()))
    return subprocess.run(
        [require("bash"), "--norc", "-c", script], cwd=folder, capture_output=True, text=True, check=True
    ).stdout.split()


def test_bash_completes_commands_and_flags(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["completion", "bash"]) == 0
    (tmp_path / "wsframe.bash").write_text(capsys.readouterr().out)
    assert offered(tmp_path, "wsframe", "rou") == ["routes"]
    assert "--ping-interval" in offered(tmp_path, "wsframe serve", "--ping")
    assert offered(tmp_path, "wsframe serve --log-level", "cri") == ["critical"]


@pytest.mark.parametrize(("shell", "beginning"), [("zsh", "#compdef wsframe"), ("fish", "# AUTOMATICALLY GENERATED")])
def test_other_shells_have_a_script_too(shell: str, beginning: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert script.startswith(beginning)
    assert "ping-interval" in script


def test_it_needs_shtab(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert cli.main(["completion", "bash"]) == 2
    assert capsys.readouterr().err == (
        "wsframe: wsframe completion needs more than is installed: pip install 'wsframe[cli]'\n"
    )


def test_an_unknown_shell_is_a_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match=r"^2$"):
        cli.main(["completion", "cmd"])
    assert capsys.readouterr().err.count("\n") == 1
