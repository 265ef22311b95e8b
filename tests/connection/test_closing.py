"""The end of a connection: the side that closes first, the order, and peers that do not play along."""

from collections.abc import Callable

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import wsframe
from tests.hostile.place import Place, Recorder, until
from tests.wire import CLOSE, PING, TEXT, close_payload, frame
from wsframe.testing import open_client, open_kit

Lines = Callable[[], list[str]]


class Closing(Recorder):
    """Obeys the messages of a client."""

    async def received_text(self, client: wsframe.Client, message: str) -> None:
        if message == "close":
            client.send_text("goodbye")
            client.close(4000, "enough")
            client.send_text("too late")
        elif message == "abort":
            client.send_text("never leaves")
            client.abort()
        elif message == "reject":
            client.send_text("never leaves")
            client.reject(4001)
        else:
            await super().received_text(client, message)


async def test_our_close_goes_out_behind_what_was_queued_and_is_answered(place: Place, info: Lines) -> None:
    resource = Closing()
    async with place.serve(resource) as served:
        peer = await served.open()
        await peer.text("close")
        assert await peer.rest.until_close() == (["goodbye"], 4000)
        await peer.close(4000)
        assert await peer.end() == "fin"
        peer.hang_up()
        await resource.until(lambda: "-4000" in resource.log)
        assert resource.arrived[0].closed_cleanly is True
        await served.idle()
        assert info() == []


async def test_data_behind_our_close_is_discarded_until_the_peers_close(place: Place) -> None:
    resource = Closing()
    async with place.serve(resource) as served:
        peer = await served.open()
        await peer.text("close", "late", "later")
        assert await peer.rest.until_close() == (["goodbye"], 4000)
        await peer.send(frame(TEXT, "x" * 70000), frame(PING), frame(CLOSE, close_payload(4000)))
        assert await peer.end() == "fin"
        await resource.until(lambda: "-4000" in resource.log)
        assert not [entry for entry in resource.log if entry.startswith("x")]


async def test_our_close_not_answered_is_cut_off(autojump_clock: MockClock, info: Lines) -> None:
    resource = Closing()
    async with open_client(resource) as client:
        client.answer_close = False
        client.send_text("close")
        start = trio.current_time()
        assert (await client.closed(), client.end) == ((4000, "enough"), "reset")
        assert trio.current_time() - start == pytest.approx(5)
        assert client.received() == ["goodbye"]
        await resource.until(lambda: "-1006" in resource.log)
        assert info() == ["127.0.0.1:50001 /: closed 1006 (close timeout)"]


async def test_our_close_answered_by_fin_alone_is_unclean(place: Place) -> None:
    resource = Closing()
    async with place.serve(resource) as served:
        peer = await served.open()
        await peer.text("close")
        await peer.rest.until_close()
        peer.half_close()
        assert await peer.end() == "fin"
        await resource.until(lambda: "-1006" in resource.log)


@pytest.mark.parametrize("code", [1000, 1001, 3000, 4999, None])
async def test_peers_close_is_answered_behind_the_replies(place: Place, code: int | None) -> None:
    resource = Recorder()
    async with place.serve(resource) as served:
        peer = await served.open()
        payload = b"" if code is None else close_payload(code, "bye")
        await peer.send(frame(TEXT, "one"), frame(TEXT, "two"), frame(CLOSE, payload), frame(TEXT, "after"))
        assert await peer.rest.until_close() == (["one", "two"], code)
        assert await peer.end() == "fin"
        assert resource.log == ["+", "one", "two", f"-{code or 1005}"]
        assert resource.arrived[0].close_reason == ("bye" if code else "")


async def test_peers_close_is_answered_by_the_timer_when_the_hooks_are_stuck(autojump_clock: MockClock) -> None:
    resource = Recorder()
    async with open_kit(resource) as kit:
        client = await kit.connect()
        client.send_text("wait")
        await resource.until(lambda: "wait" in resource.log)
        start = trio.current_time()
        client.close()
        assert (await client.closed(), client.end) == ((1000, ""), "eof")
        assert trio.current_time() - start == pytest.approx(5)
        await wait_all_tasks_blocked()
        assert kit.server.statistics()[:2] == (0, 1), "its place is kept until disconnected has run"
        resource.gate.set()
        await resource.until(lambda: "-1000" in resource.log)
        await wait_all_tasks_blocked()
        assert kit.server.statistics().reserved == 0


@pytest.mark.parametrize("message", ["abort", "reject"])
async def test_abort_resets_and_reject_closes_and_both_drop_what_is_queued(place: Place, message: str) -> None:
    resource = Closing()
    async with place.serve(resource) as served:
        peer = await served.open()
        await peer.text("1", message, "2")
        if message == "abort":
            assert await peer.end() == "reset"
        else:
            before, code = await peer.rest.until_close()
            assert before in ([], ["1"])
            assert code == 4001
        await peer.stream.aclose() if message == "abort" else await peer.close(4001)
        await resource.until(lambda: resource.log and resource.log[-1].startswith("-"))
        assert resource.log == ["+", "1", "-1006" if message == "abort" else "-4001"]


async def test_socket_lingers_until_the_peer_has_ended_too(plain: Place) -> None:
    """Closing earlier could reset the connection, and the reset overtake the close frame."""
    async with plain.serve(Recorder()) as served:
        peer = await served.open()
        await peer.close()
        assert await peer.rest.until_close() == ([], 1000)
        assert await peer.receive() is None, "our side is shut"
        assert served.server.clients == 1
        for _ in range(50):
            await peer.send(bytes(10_000))
        peer.half_close()
        assert await peer.end() == "fin"
        await served.idle()


async def test_peer_that_never_ends_tcp_is_dropped(autojump_clock: MockClock) -> None:
    async with open_kit(Recorder()) as kit:
        client = await kit.connect()
        client.end_tcp = False
        client.close()
        assert (await client.closed(), client.end) == ((1000, ""), "eof")
        await trio.sleep(4.9)
        assert kit.server.clients == 1
        await trio.sleep(0.2)
        assert kit.server.clients == 0


@pytest.mark.parametrize("stage", ["before our close", "after our close", "lingering"])
async def test_reset_at_any_stage_of_the_ending_is_one_disconnect(place: Place, stage: str) -> None:
    resource = Closing()
    async with place.serve(resource) as served:
        peer = await served.open()
        if stage == "after our close":
            await peer.text("close")
            await peer.rest.until_close()
        elif stage == "lingering":
            await peer.close()
            await peer.rest.until_close()
        peer.reset()
        await resource.until(lambda: resource.log and resource.log[-1].startswith("-"))
        assert resource.log == ["+", "-1000" if stage == "lingering" else "-1006"]
        await until(lambda: not served.server.clients)


async def test_close_frame_waits_behind_a_big_message_for_a_slow_reader(autojump_clock: MockClock) -> None:
    """The deadline of the closing handshake is put off for as long as the peer takes something."""

    class Big(Recorder):
        async def received_text(self, client: wsframe.Client, message: str) -> None:
            client.send_text("x" * 4_000_000)
            client.close(1000)

    limits = wsframe.Limits(max_outbox=4_000_100)
    async with open_client(Big(), limits=limits, patience=1000) as client:
        client.slow_down(50_000)
        client.send_text("go")
        start = trio.current_time()
        assert (await client.closed(), client.end) == ((1000, ""), "eof")
        assert trio.current_time() - start == pytest.approx(80, abs=1)
        assert [len(message) for message in client.received()] == [4_000_000]


async def test_drained_is_told_the_outcome(plain: Place) -> None:
    class Big(Recorder):
        async def received_text(self, client: wsframe.Client, message: str) -> None:
            client.send_text("x" * 8_000_000)

    resource = Big()
    async with plain.serve(resource) as served:
        for gone in (False, True):
            peer = await served.open(receive_buffer=8192)
            await peer.text("go")
            outcomes: list[bool] = []

            async def drained(outcomes: list[bool] = outcomes) -> None:
                client = resource.arrived[-1]
                await until(lambda: client.statistics().bytes_waiting)
                outcomes.append(await client.drained())

            async with trio.open_nursery() as nursery:
                nursery.start_soon(drained)
                await wait_all_tasks_blocked(0.01)
                assert outcomes == []
                if gone:
                    peer.reset()
                else:
                    assert len(await peer.message()) == 8_000_000
            assert outcomes == [not gone]
