"""An accepted socket until it has its answer."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from typing import Any, cast

import pytest
import trio

from wsframe.http.responses import Response
from wsframe.net.transport import Transport
from wsframe.server.newcomers.newcomer import Gone, Newcomer, note_gone


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    yield ours, theirs
    ours.close()
    theirs.close()


Pair = tuple[socket.socket, socket.socket]


def newcomer(sock: socket.socket) -> Newcomer:
    """Make a newcomer as far as these tests need it."""
    one = object.__new__(Newcomer)
    one.sock, one.transport, one.host, one.port = sock, Transport(sock), "192.0.2.1", 4711
    one.gone = one.reset = one.head_received = False
    one.scope = trio.CancelScope()
    return one


async def test_a_peer_that_has_left_has_gone(pair: Pair) -> None:
    one = newcomer(pair[0])
    one.check_there()
    pair[1].close()
    with pytest.raises(Gone):
        one.check_there()


async def test_a_peer_that_left_while_it_was_asked_about_has_gone_and_cancels_that(pair: Pair) -> None:
    one = newcomer(pair[0])
    one.leave()
    assert one.scope.cancel_called
    with pytest.raises(Gone):
        one.check_there()


async def test_the_content_of_a_response_is_sent(pair: Pair) -> None:
    await newcomer(pair[0]).send_content(Response(body="page"))
    assert pair[1].recv(100) == b"page"


async def test_a_goodbye_waits_until_the_peer_has_ended(pair: Pair) -> None:
    ours, theirs = pair
    theirs.send(b"late")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(newcomer(ours).say_goodbye)
        await trio.testing.wait_all_tasks_blocked()
        assert theirs.recv(1) == b""
        theirs.shutdown(socket.SHUT_WR)


@pytest.mark.parametrize(("whole", "text"), [(True, "before it was answered"), (False, "before its request was whole")])
async def test_the_log_says_how_far_a_peer_came_that_has_gone(
    whole: bool, text: str, pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "wsframe")
    one = newcomer(pair[0])
    one.head_received = whole
    cast(Any, note_gone)(one)
    assert caplog.messages == [f"192.0.2.1:4711: gone {text}"]
