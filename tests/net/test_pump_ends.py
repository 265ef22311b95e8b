"""The ends of a pump: half-closes, resets and losses arrive at the other side as such."""

from __future__ import annotations

import select
import socket

import pytest

from tests.net.pump_rig import STALL, Rig
from tests.patience import PATIENCE
from tests.resets import reset, reset_on_close
from wsframe.net.poller import READ
from wsframe.net.pump import UNWATCHED
from wsframe.net.socket_options import close_for_good
from wsframe.net.transport import FAREWELL


def quiet(sock: socket.socket) -> bool:
    """Return whether nothing has come, no byte and no end."""
    try:
        sock.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return True
    return False


# Rule 4: half-closes


async def test_the_clients_end_is_a_half_close_after_its_bytes(rig: Rig) -> None:
    rig.client.send(b"last words")
    rig.client.shutdown(socket.SHUT_WR)
    assert rig.received(rig.owner, 10) == b"last words"
    assert rig.end_of(rig.owner) == "end"
    rig.owner.send(b"and the answer")
    assert rig.received(rig.client, 14) == b"and the answer"
    rig.rest()
    assert not rig.pump.over


async def test_the_owners_end_is_a_half_close_after_its_bytes(rig: Rig) -> None:
    rig.owner.send(b"last words")
    rig.owner.shutdown(socket.SHUT_WR)
    assert rig.received(rig.client, 10) == b"last words"
    assert rig.end_of(rig.client) == "end"
    rig.client.send(b"and the answer")
    assert rig.received(rig.owner, 14) == b"and the answer"
    rig.rest()
    assert not rig.pump.over


@pytest.mark.parametrize("first", ["client", "owner"])
async def test_both_ends_are_the_end_of_the_pump(rig: Rig, first: str) -> None:
    ends = [rig.client, rig.owner] if first == "client" else [rig.owner, rig.client]
    for end, other in (ends, reversed(ends)):
        end.shutdown(socket.SHUT_WR)
        assert rig.end_of(other) == "end"
    rig.wait(1)
    assert rig.pump.over
    assert rig.pump.reason == ""


async def test_a_client_that_has_ended_and_takes_its_answer_late_gets_it_whole(rig: Rig) -> None:
    rig.client.shutdown(socket.SHUT_WR)
    rig.run(lambda: not quiet(rig.owner))
    sent = rig.fill(rig.owner)
    close_for_good(rig.owner)
    rig.wait(STALL * 0.9)
    assert not rig.pump.over
    rig.received(rig.client, sent)
    assert rig.end_of(rig.client) == "end"
    rig.wait(1)
    assert rig.pump.over


async def test_a_client_that_has_ended_and_takes_nothing_is_reset(rig: Rig) -> None:
    rig.client.shutdown(socket.SHUT_WR)
    rig.run(lambda: not quiet(rig.owner))
    rig.fill(rig.owner)
    close_for_good(rig.owner)
    rig.wait(3 * STALL)
    assert rig.pump.over
    assert rig.end_of(rig.client) == "reset"


async def test_an_owner_that_closes_after_its_end_leaves_the_client_an_end(rig: Rig) -> None:
    rig.owner.send(b"bye")
    rig.owner.shutdown(socket.SHUT_WR)
    assert rig.received(rig.client, 3) == b"bye"
    rig.rest()
    rig.owner.close()
    rig.rest()
    assert rig.end_of(rig.client) == "end"
    rig.client.send(b"nobody reads this")
    rig.wait(FAREWELL + 1)
    assert rig.pump.over
    assert rig.pump.reason == ""


async def test_an_end_is_noted_while_the_client_takes_nothing(rig: Rig) -> None:
    sent = rig.fill(rig.owner)
    rig.owner.shutdown(socket.SHUT_WR)
    rig.rest()
    rig.owner.close()
    rig.rest()
    assert not rig.pump.over
    rig.received(rig.client, sent)
    assert rig.end_of(rig.client) == "end"


@pytest.mark.parametrize("how", [socket.SHUT_WR, socket.SHUT_RDWR])
async def test_an_answer_that_its_owner_ends_at_once_arrives(rig: Rig, how: int) -> None:
    rig.owner.send(b"HTTP/1.1 503")
    rig.owner.shutdown(how)
    rig.owner.close()
    assert rig.received(rig.client, 12) == b"HTTP/1.1 503"
    assert rig.end_of(rig.client) == "end"


async def test_an_owner_that_has_shut_and_takes_nothing_is_gone_where_no_poller_says_so(rig: Rig) -> None:
    rig.owner.shutdown(socket.SHUT_WR)
    rig.rest()
    rig.owner.close()
    rig.client.send(b"nobody reads this")
    assert select.select([rig.pump.client_fd], [], [], PATIENCE)[0]
    rig.turn(of_client=READ)
    assert rig.pump.wanted[1] == UNWATCHED
    rig.client.send(b"nor this")
    rig.wait(FAREWELL + 1)
    assert rig.pump.over
    assert rig.pump.reason == ""


async def test_an_owner_that_has_shut_long_ago_does_not_keep_its_client(rig: Rig) -> None:
    rig.owner.shutdown(socket.SHUT_WR)
    rig.rest()
    rig.wait(3 * STALL)
    assert rig.pump.over
    assert rig.pump.reason == ""


# Rule 5: resets of the owner


async def test_an_owner_that_closes_without_an_end_resets(rig: Rig) -> None:
    rig.owner.send(b"half a fra")
    rig.rest()
    close_for_good(rig.owner, reset=True)
    assert rig.end_of(rig.client) == "reset"
    assert rig.pump.over


async def test_a_reset_overtakes_what_the_client_does_not_take(rig: Rig) -> None:
    rig.fill(rig.owner)
    close_for_good(rig.owner, reset=True)
    rig.rest()
    assert rig.pump.over
    assert rig.end_of(rig.client) == "reset"


async def test_a_killed_owner_is_a_reset(rig: Rig) -> None:
    rig.owner.close()  # as the kernel does for a process that it ends
    assert rig.end_of(rig.client) == "reset"


async def test_an_owner_that_closes_over_unread_bytes_is_a_reset(rig: Rig) -> None:
    rig.client.send(b"x" * 1000)
    rig.rest()
    rig.owner.close()
    assert rig.end_of(rig.client) == "reset"


async def test_a_reset_of_another_machine_is_one_here(between_machines: Rig) -> None:
    rig = between_machines
    reset(rig.owner)
    assert rig.end_of(rig.client) == "reset"


async def test_an_end_of_another_machine_is_one_here(between_machines: Rig) -> None:
    rig = between_machines
    rig.owner.send(b"bye")
    rig.owner.close()
    assert rig.received(rig.client, 3) == b"bye"
    assert rig.end_of(rig.client) == "end"
    rig.client.close()
    rig.wait(FAREWELL + 1)
    assert rig.pump.over


# Rule 6: loss of the client


async def test_a_reset_of_the_client_is_the_end_of_the_owner(rig: Rig) -> None:
    reset(rig.client)
    assert rig.end_of(rig.owner) == "end"
    assert rig.pump.over


async def test_bytes_before_a_reset_are_delivered(rig: Rig) -> None:
    sent = rig.fill(rig.client)
    reset_on_close(rig.client)
    held = rig.pump.held
    assert held
    rig.client.close()
    rig.rest()
    assert not rig.pump.over
    got = 0
    while True:
        rig.rest()
        data = rig.owner.recv(65536)
        if not data:
            break
        got += len(data)
    assert held < got <= sent


async def test_a_lost_client_is_not_kept_for_an_owner_that_reads_nothing(rig: Rig) -> None:
    rig.fill(rig.client)
    reset(rig.client)
    rig.rest()
    rig.wait(STALL + 1)
    assert rig.pump.over
