"""``wsframe completion``: the offers of a shell."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.patience import PATIENCE
from tests.requirements import require
from wsframe import cli

BASH = r"""
source ./script
line=$1
COMP_WORDS=($line) COMP_LINE=$line COMP_POINT=${#line}
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
last=${COMP_WORDS[COMP_CWORD]}
$(complete -p wsframe | sed 's/.*-F \([^ ]*\).*/\1/') wsframe "$last" ""
printf '%s\n' "${COMPREPLY[@]}"
"""

FISH = """
source ./script
complete -C $argv[1]
"""

# A shell at a terminal of its own, in which somebody types the line and tab, and then sends it as an argument.
ZSH = r"""
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell "fpath=($PWD \$fpath)"' PS1=; autoload -Uz compinit; compinit -u -D
wsframe() { print -r -- "<$@>" }; print re""ady'
zpty -r shell answer '*ready*'
zpty -w shell "$1"$'\t'
zpty -r shell answer '*>*'
print -r -- ${${answer##*<}%%>*}
"""


def offered(shell: str, folder: Path, line: str) -> str:
    """Return the offers of a shell for the last word of a line; for zsh the completed line, if there is one."""
    program = require(shell)
    command = {
        "bash": [program, "--norc", "-c", BASH, "bash", line],
        "fish": [program, "--no-config", "-c", FISH, line],
        "zsh": [program, "-f", "-c", ZSH, "zsh", line],
    }[shell]
    (folder / "config").mkdir(exist_ok=True)
    environment = {**os.environ, "HOME": str(folder / "config"), "TERM": "dumb"}
    return subprocess.run(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True,
        timeout=PATIENCE,
    ).stdout  # fmt: skip


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_commands_options_and_choices_are_completed(
    shell: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["completion", shell]) == 0
    (tmp_path / ("_wsframe" if shell == "zsh" else "script")).write_text(capsys.readouterr().out)
    for line, completed in [
        ("wsframe rou", "routes"),
        ("wsframe serve app.py --ping-i", "--ping-interval"),
        ("wsframe serve app.py --log-level cri", "critical"),
    ]:
        assert completed in offered(shell, tmp_path, line).split()


def test_it_needs_shtab(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert cli.main(["completion", "bash"]) == 2
    assert capsys.readouterr().err == (
        "wsframe: wsframe completion needs the extra 'cli': pip install 'wsframe[cli]'\n"
    )


def test_an_unknown_shell_is_a_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match=r"^2$"):
        cli.main(["completion", "cmd"])
    assert capsys.readouterr().err.count("\n") == 1
