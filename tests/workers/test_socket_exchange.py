"""A conversation of two processes: its messages, its descriptors, and the one moment of its end."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from typing import NamedTuple
from unittest.mock import patch

import pytest
import trio

from wsframe.workers.socket_exchange import LONGEST, OtherSideGone, SocketExchange, make_exchange

if not hasattr(socket, "SOCK_SEQPACKET"):
    pytest.skip("this system has no SOCK_SEQPACKET", allow_module_level=True)


class Pair(NamedTuple):
    """Both sides."""

    giver: SocketExchange
    taker: SocketExchange


@pytest.fixture
async def pair() -> Iterator[Pair]:  # type: ignore[misc]
    giver, sock = make_exchange()
    pair = Pair(giver, SocketExchange(sock))
    yield pair
    for one in pair:
        one.close()


async def test_messages_keep_their_order_and_their_bounds(pair: Pair) -> None:
    for number in range(3):
        await pair.giver.send({"number": number})
    assert [(await pair.taker.receive()).document["number"] for _ in range(3)] == [0, 1, 2]
    assert pair.taker.receive_now() is None


async def test_descriptors_come_with_their_message_and_are_not_inherited(pair: Pair) -> None:
    first, second = socket.socketpair()
    with first, second:
        await pair.giver.send("here", [first.fileno(), second.fileno()])
        received = await pair.taker.receive()
        assert len(received.descriptors) == 2
        assert not any(map(os.get_inheritable, received.descriptors))
        with socket.socket(fileno=received.descriptors[0]) as ours:
            os.close(received.descriptors[1])
            ours.send(b"the same connection")
            assert second.recv(100) == b"the same connection"


async def test_a_full_conversation_refuses_and_never_blocks(pair: Pair) -> None:
    sent = 0
    while pair.giver.send_now("x" * 10_000):
        sent += 1
    assert sent
    with trio.move_on_after(0.05) as scope:
        await pair.giver.send("one more")
    assert scope.cancelled_caught
    for _ in range(sent):
        await pair.taker.receive()
    await pair.giver.send("one more")
    assert (await pair.taker.receive()).document == "one more"


async def test_workers_2_a_cut_decides_for_both_sides_which_message_was_the_last(pair: Pair) -> None:
    assert pair.taker.send_now("mine")
    pair.giver.cut()
    with pytest.raises(OtherSideGone):
        pair.taker.send_now("too late")
    assert (await pair.giver.receive()).document == "mine"
    with pytest.raises(OtherSideGone):
        await pair.giver.receive()


async def test_messages_of_a_side_that_has_gone_are_still_received(pair: Pair) -> None:
    await pair.giver.send("not read by the taker")
    await pair.taker.send("mine")
    pair.taker.close()
    assert (await pair.giver.receive()).document == "mine"
    with pytest.raises(OtherSideGone):
        await pair.giver.receive()
    with pytest.raises(OtherSideGone):
        await pair.giver.send("anybody there?")


async def test_a_task_that_waits_learns_that_the_other_side_has_gone(pair: Pair) -> None:
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def wait() -> None:
            with pytest.raises(OtherSideGone):
                await pair.giver.receive()

        await trio.testing.wait_all_tasks_blocked()
        pair.taker.close()


async def test_other_messages_end_the_conversation_and_leak_no_descriptor() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    exchange = SocketExchange(theirs)
    one, other = socket.socketpair()
    with ours, one:
        socket.send_fds(ours, [b"no JSON"], [other.fileno()])
        other.close()
        with pytest.raises(OtherSideGone):
            exchange.receive_now()
        assert one.recv(10) == b"", "the passed end is closed"
    exchange.close()


async def test_a_message_is_short(pair: Pair) -> None:
    with pytest.raises(ValueError, match=f"at most {LONGEST} bytes"):
        pair.giver.send_now("x" * LONGEST)


@pytest.mark.skipif(not hasattr(socket, "SO_PEERCRED"), reason="the kernel does not tell whose a socket is")
async def test_a_process_of_another_user_is_not_spoken_to() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with (
        ours,
        theirs,
        patch("os.geteuid", return_value=os.geteuid() + 1),
        pytest.raises(OtherSideGone, match="of user"),
    ):
        SocketExchange(theirs)
