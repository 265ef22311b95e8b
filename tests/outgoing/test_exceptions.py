"""The exceptions of outgoing connections name the side that ended them, and the way."""

from __future__ import annotations

import pytest

from wsframe import CloseFrame
from wsframe.outgoing.exceptions import ConnectionClosed, InvalidURL, OpeningTimeout, ProxyFailed

OURS, THEIRS = CloseFrame(1000, ""), CloseFrame(4000, "bye")


@pytest.mark.parametrize(
    ("received", "sent", "peer_first", "reason", "text"),
    [
        (None, None, True, "", "connection lost"),
        (None, None, True, "connection lost", "connection lost"),
        (None, None, True, "ping timeout", "connection lost (ping timeout)"),
        (None, None, False, "aborted", "connection lost (aborted)"),
        (None, OURS, True, "ping timeout", "connection lost (ping timeout); we had sent close code 1000"),
        (None, OURS, False, "connection lost", "connection lost; we had sent close code 1000"),
        (None, CloseFrame(1005, ""), False, "", "connection lost; we had sent a close frame without code"),
        (None, CloseFrame(1002, "protocol error"), True, "protocol error",
         "connection failed (protocol error); we closed with code 1002"),
        (THEIRS, None, True, "", "the peer closed with code 4000 'bye'"),
        (THEIRS, CloseFrame(4000, ""), True, "", "the peer closed with code 4000 'bye'; we answered"),
        (CloseFrame(1005, ""), CloseFrame(1005, ""), True, "", "the peer closed with no code; we answered"),
        (CloseFrame(1001, ""), OURS, True, "", "the peer closed with code 1001; we answered with code 1000"),
        (OURS, OURS, False, "", "we closed with code 1000; the peer answered"),
        (THEIRS, OURS, False, "", "we closed with code 1000; the peer answered with code 4000 'bye'"),
    ],
)  # fmt: skip
def test_the_text_of_an_end_says_who_closed(
    received: CloseFrame | None, sent: CloseFrame | None, peer_first: bool, reason: str, text: str
) -> None:
    assert str(ConnectionClosed(received, sent, peer_first=peer_first, reason=reason)) == text


@pytest.mark.parametrize(
    ("received", "sent", "peer_first", "orderly"),
    [
        (OURS, OURS, True, True),
        (CloseFrame(1001, ""), OURS, True, True),
        (CloseFrame(1005, ""), OURS, True, True),
        (THEIRS, OURS, True, False),
        (THEIRS, OURS, False, True),
        (None, OURS, False, False),
        (OURS, None, True, False),
    ],
)
def test_an_end_is_in_order_if_both_have_closed(
    received: CloseFrame | None, sent: CloseFrame | None, peer_first: bool, orderly: bool
) -> None:
    assert ConnectionClosed(received, sent, peer_first=peer_first).orderly is orderly


def test_a_failure_to_open_is_also_an_error_of_its_kind() -> None:
    assert issubclass(OpeningTimeout, TimeoutError)
    assert issubclass(InvalidURL, ValueError)
    failed = ProxyFailed("refused", 407)
    assert (failed.status, failed.temporary, str(failed)) == (407, False, "refused")
