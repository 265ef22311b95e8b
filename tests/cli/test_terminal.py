"""A conversation at a terminal, as far as it needs none."""

from __future__ import annotations

import pytest

from wsframe import CloseFrame, ConnectionClosed
from wsframe.cli import terminal
from wsframe.cli.terminal import ERASE, PROMPT, Terminal


def test_a_message_appears_above_the_line_that_is_typed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = Terminal()
    monkeypatch.setattr(terminal, "typed_so_far", lambda: "half a li")

    def typing(prompt: str) -> str:
        shown.message("hello\nthere")
        return "half a line"

    monkeypatch.setattr("builtins.input", typing)
    assert shown.read_line() == "half a line"
    assert capsys.readouterr().out == f"{ERASE}< hello\n  there\n{PROMPT}half a li"
    shown.message("later")
    assert capsys.readouterr().out == f"{ERASE}< later\n", "nothing is typed now"


def test_the_terminal_obeys_nothing_that_a_server_sends(capsys: pytest.CaptureFixture[str]) -> None:
    Terminal().message("\x1b[2J")
    assert "\x1b" not in capsys.readouterr().out.removeprefix(ERASE)


def test_binary_messages_and_ends_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    shown = Terminal()
    shown.message(b"\0" * 1000)
    shown.pong(0.0123)
    shown.closed(ConnectionClosed(CloseFrame(1000, ""), None, peer_first=True))
    lines = capsys.readouterr().out.split("\n")[:-1]
    assert len(lines) == 3
    assert lines[0].startswith(f"{ERASE}< binary, 1000 bytes: 0000")
    assert lines[0].endswith("...")
    assert lines[1] == f"{ERASE}pong after 12.3 ms"
    assert lines[2] == f"{ERASE}disconnected: the peer closed with code 1000"
