"""One life of a resource: turns, pausing and resuming its clients, settings it inherits, its end."""

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import wsframe
from tests.recorder import Echo, Recorder
from tests.rooms import NO_SERVER
from tests.wire import BINARY, BOUND, PONG, close, connected, frame, serving, text
from wsframe import Limits, Timeouts
from wsframe.connection.counters import PathCounters
from wsframe.connection.flusher import Flusher
from wsframe.hooks.caller import BATCH
from wsframe.hooks.listener import Listener, Surroundings
from wsframe.limits import DEFAULT_LIMITS, DEFAULT_TIMEOUTS


def make(resource: wsframe.Resource) -> Listener:
    around = Surroundings(server=NO_SERVER, limits=DEFAULT_LIMITS, timeouts=DEFAULT_TIMEOUTS, flusher=Flusher())
    return Listener(resource, PathCounters(), around)


async def test_fields_left_at_inherit_are_the_servers() -> None:
    class Own(wsframe.Resource):
        limits = Limits(max_message=17)
        timeouts = Timeouts(close=1, ping_interval=None)

    listener = make(Own())
    assert (listener.limits.max_message, listener.limits.max_outbox) == (17, DEFAULT_LIMITS.max_outbox)
    assert (listener.timeouts.close, listener.timeouts.ping_interval) == (1, None)
    assert listener.timeouts.write_stall == DEFAULT_TIMEOUTS.write_stall


async def test_limits_that_contradict_the_servers_are_a_value_error() -> None:
    class Own(wsframe.Resource):
        limits = Limits(max_frame=DEFAULT_LIMITS.max_message + 1)

    resource = Own()
    with pytest.raises(ValueError, match="max_frame"):
        make(resource)
    assert resource._listener is None, "it may be served with other limits"


async def test_resource_has_one_listener_at_a_time() -> None:
    resource = wsframe.Resource()
    make(resource)
    with pytest.raises(RuntimeError, match=r"Resource .* is running in another server already"):
        make(resource)


async def test_listener_ends_when_retired_and_its_last_member_has_gone() -> None:
    resource = wsframe.Resource()
    listener = make(resource)
    ended = trio.Event()

    async def run() -> None:
        await listener.run()
        ended.set()

    with trio.fail_after(BOUND):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run)
            listener.join()
            await wait_all_tasks_blocked()
            listener.retire()
            await wait_all_tasks_blocked()
            seen = [(ended.is_set(), listener.usable)]
            listener.leave()
            await ended.wait()
    seen.append((ended.is_set(), listener.usable))
    assert seen == [(False, True), (True, False)]
    assert resource._listener is None


async def test_messages_of_one_segment_are_all_answered_though_the_share_is_small() -> None:
    """More than the client's share of the mailbox in one read, and then the peer waits."""
    count = 100
    async with serving(Echo(), limits=Limits(max_queued_messages=4)) as server, connected(server) as peer:
        await peer.send(*(text(str(number)) for number in range(count)))
        assert [await peer.receive_text() for _ in range(count)] == [str(number) for number in range(count)]


async def test_messages_and_pongs_of_one_segment_are_all_taken() -> None:
    room = Recorder()
    async with serving(room, limits=Limits(max_queued_messages=3)) as server, connected(server) as peer:
        await peer.send(*(text(str(number)) + frame(PONG, b"%d" % number) for number in range(50)))
        await room.journal.until("pong b'49'")
    taken = [note.split()[-1].strip("b'") for note in room.notes[1:101]]
    assert taken == [str(number // 2) for number in range(100)]


async def test_bytes_of_taken_messages_are_given_back() -> None:
    """Also where the last thing taken was a pong: else the share shrinks for good."""
    room = Recorder()
    async with serving(room, limits=Limits(max_queued_bytes=1000)) as server, connected(server) as peer:
        await peer.send(text("x" * 600) + frame(PONG, b"1"))
        await room.journal.until("pong b'1'")
        await wait_all_tasks_blocked()
        inbox = room.only._link.inbox
        assert (inbox.waiting, inbox.byte_count) == (0, 0)


async def test_client_is_read_again_once_its_share_is_empty() -> None:
    room = Recorder()
    async with serving(room, limits=Limits(max_queued_messages=2)) as server, connected(server) as peer:
        await peer.send(text("hold"), text("2"), text("3"))
        await room.journal.until("text hold")
        await wait_all_tasks_blocked()
        await peer.send(text("4"))
        await wait_all_tasks_blocked(0.01)
        assert room.only.statistics().messages_waiting <= 2
        room.release.set()
        await room.journal.until("text 4")
    assert room.notes[1:5] == ["text hold", "text 2", "text 3", "text 4"]


async def test_busy_resource_gives_others_their_turn() -> None:
    """A batch is bounded: a flood at one resource does not hold up another."""
    busy, other = Recorder(), Echo()
    count = 8 * BATCH
    async with (
        serving({"/busy": busy, "/other": other}, limits=Limits(max_queued_messages=count)) as server,
        connected(server, "/busy") as flood,
        connected(server, "/other") as peer,
    ):
        await busy.journal.until("connected")
        done: list[int] = []
        other.journal.add = lambda note: done.append(len(busy.notes))  # type: ignore[method-assign]
        await flood.send(text("hold"))
        await busy.journal.until("text hold")
        await flood.send(frame(BINARY) * count)
        while busy.only.statistics().messages_waiting < count:
            await trio.lowlevel.checkpoint()
        await peer.send(text("x"))
        busy.release.set()
        assert await peer.receive_text() == "x"
        assert done[-1] < count
        await busy.journal.until("binary b''", count)


async def test_resource_without_received_pong_has_none_queued() -> None:
    class NoPongs(wsframe.Resource):
        async def received_text(self, client: wsframe.Client, message: str) -> None:
            client.send(str(client.statistics().messages_received))

    async with serving(NoPongs()) as server, connected(server) as peer:
        await peer.send(frame(PONG, b"unasked") * 10, text("x"))
        assert await peer.receive_text() == "1"


@pytest.mark.parametrize("ordering", ["resource", "client"])
async def test_drain_that_is_over_cuts_hooks_off_and_still_says_goodbye(ordering: str) -> None:
    room = type("Room", (Recorder,), {"ordering": ordering})()
    async with (
        serving(room, timeouts=Timeouts(drain=0.1, close=0.1)) as server,
        connected(server, trailing=text("hold")) as peer,
        connected(server),
    ):
        await room.journal.until("text hold")
        server.close()
        await server.closed()
        assert await peer.end() in ("fin", "reset")
    goodbyes = [note for note in room.notes if note.startswith("disconnected")]
    assert len(goodbyes) == room.notes.count("connected")


async def test_goodbye_that_awaits_is_cut_off_in_the_end() -> None:
    class Slow(Recorder):
        async def disconnected(self, client: wsframe.Client) -> None:
            await super().disconnected(client)
            await trio.sleep_forever()

    room = Slow()
    async with serving(room, timeouts=Timeouts(drain=0.1, close=0.1)) as server, connected(server) as peer:
        await room.journal.until("connected")
        await peer.send(close())
        await room.journal.until("disconnected 1000")
        server.close()
        await server.closed()
    assert room.notes.count("disconnected 1000") == 1
