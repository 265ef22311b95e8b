"""The program ``wsframe``: how each way to end becomes an exit code."""

from __future__ import annotations

import errno
from argparse import Namespace
from collections.abc import Collection

import pytest

import wsframe
from wsframe.cli.errors import Failure, Mistake
from wsframe.cli.program import COMMANDS, commands_for, main, make_parser, run_command


def ends(error: BaseException | None) -> int:
    def command(args: Namespace) -> int | None:
        if error is not None:
            raise error
        return None

    return run_command(Namespace(command=command))


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (None, 0),
        (Mistake("wrong"), 2),
        (Failure("failed"), 1),
        (KeyboardInterrupt(), 130),
        (BaseExceptionGroup("group", [KeyboardInterrupt()]), 130),
    ],
)
def test_each_end_has_its_exit_code(error: BaseException | None, code: int) -> None:
    assert ends(error) == code


def test_a_full_disk_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert ends(OSError(errno.ENOSPC, "No space left on device")) == 1
    assert capsys.readouterr().err == "wsframe: cannot write the output: No space left on device\n"


def test_any_other_error_of_the_system_is_a_bug() -> None:
    with pytest.raises(PermissionError):
        ends(PermissionError(errno.EPERM, "no"))


def test_a_wrong_command_line_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["no-such-command"])
    assert ended.value.code == 2
    line = capsys.readouterr().err
    assert line.endswith("; see wsframe --help\n")
    assert line.count("\n") == 1


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"wsframe {wsframe.__version__}\n"


def test_each_command_says_what_it_does(capsys: pytest.CaptureFixture[str]) -> None:
    text = make_parser().format_help()
    for name in COMMANDS:
        assert name in text


@pytest.mark.parametrize(
    ("given", "needed"),
    [
        ([], COMMANDS),
        (["--version"], COMMANDS),
        (["no-such-command"], COMMANDS),
        (["completion", "bash"], COMMANDS),
        (["serve", "chat.py"], ["serve"]),
        (["top"], ["top"]),
    ],
)
def test_a_command_needs_itself_and_completion_all(given: list[str], needed: Collection[str]) -> None:
    assert commands_for(given) == needed


def test_a_command_that_is_parsed_alone_complains_as_beside_all(capsys: pytest.CaptureFixture[str]) -> None:
    lines = []
    for parser in (make_parser(), make_parser(["serve"])):
        with pytest.raises(SystemExit):
            parser.parse_args(["serve", "--workers", "none"])
        lines.append(capsys.readouterr().err)
    assert lines[0] == lines[1] != ""
