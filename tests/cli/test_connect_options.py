"""The options of the commands that connect, and the line that each failure becomes."""

from __future__ import annotations

import argparse
import ssl

import pytest

from wsframe import CloseFrame, ConnectionClosed, Limits
from wsframe.cli.connect_options import add_remote_options, connect_options, mistakes_told
from wsframe.cli.errors import Mistake


def options_of(*words: str) -> dict[str, object]:
    parser = argparse.ArgumentParser()
    add_remote_options(parser)
    return dict(connect_options(parser.parse_args(["ws://server.example/", *words])))


def test_each_argument_is_an_option_of_connect() -> None:
    options = options_of("--header", "Origin: https://a.example", "--subprotocol", "chat", "--max-message", "2K")
    assert options["headers"] == [("Origin", "https://a.example")]
    assert options["subprotocols"] == ["chat"]
    assert options["limits"] == Limits(max_message=2048)
    assert options["deflate"] is None
    assert "ssl_context" not in options
    assert isinstance(options_of("--insecure")["ssl_context"], ssl.SSLContext)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--header", "no colon"], "--header must be 'NAME: VALUE', got 'no colon'"),
        (["--max-message", "0"], "--max-message must be at least 1, not 0"),
        (["--subprotocol", "a b"], "a b"),
    ],
)
def test_a_mistake_is_one_line(words: list[str], text: str) -> None:
    with pytest.raises(Mistake, match=text):
        options_of(*words)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ConnectionRefusedError(111, "text with an address"), "cannot connect: Connection refused"),
        (ConnectionClosed(CloseFrame(4000, ""), None, peer_first=True), "the connection has ended: the peer closed"),
        (ssl.SSLCertVerificationError("self-signed"), "--insecure"),
        (ExceptionGroup("group", [TimeoutError("too slow")]), "cannot connect: too slow"),
    ],
)
def test_a_failure_is_one_line(error: Exception, text: str) -> None:
    with pytest.raises(Mistake, match=text), mistakes_told():
        raise error


def test_a_bug_of_ours_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError), mistakes_told():
        raise ZeroDivisionError
