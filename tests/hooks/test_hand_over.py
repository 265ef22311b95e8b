"""A life leaves its process: in order, whole, and never awaiting a single client."""

from __future__ import annotations

import socket

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import wsframe
from tests.handing import Goer, GoerByClient, give, hand_over, life_of, take, two_servers
from tests.local_server import local_server_of
from tests.wire import BINARY, CONTINUATION, PING, PONG, TEXT, close, connected, frame, text, until
from wsframe.hooks.hand_over import dismiss

KINDS = [Goer, GoerByClient]


@pytest.mark.parametrize("kind", KINDS)
async def test_workers_7_clients_go_on_and_no_hook_of_coming_or_going_runs(kind: type[Goer]) -> None:
    old, new = kind(), kind()
    async with two_servers(old, new) as servers, connected(servers[0]) as peer, connected(servers[0]) as other:
        await old.journal.until("connected", times=2)
        await peer.send(text("one"))
        assert await peer.receive_text() == "one"
        assert await hand_over(servers, old, new)
        for number in range(3):
            await peer.send(text(str(number)))
            assert await peer.receive_text() == str(number)
        await other.send(text("other"))
        assert await other.receive_text() == "other"
        assert new.count == 5
        await until(lambda: "ends" in old.notes)
        assert local_server_of(servers[0]).reactor.links == {}
        assert servers[0].statistics().reserved == 0
        await peer.finish()
        await until(lambda: len(new.clients) == 1)
    assert old.notes[:6] == ["begins", "connected", "connected", "text one", "hands over 2", "ends"]
    assert new.notes[:4] == ["begins", "takes over, clients: 0", "restored", "restored"]
    assert [note for note in new.notes if "connected" in note][:1] == ["disconnected 1000"]


@pytest.mark.parametrize("kind", KINDS)
async def test_workers_7_what_comes_during_the_hand_over_is_handled_after_it_in_order(kind: type[Goer]) -> None:
    old, new = kind(), kind()
    async with two_servers(old, new) as servers, connected(servers[0]) as peer:
        whole = b"".join(text(str(number)) for number in range(200))
        await peer.send(whole[:500])
        given = await give(servers[0], old)
        assert given is not None
        await peer.send(whole[500:])
        await trio.sleep(0.01)
        assert (await take(servers[1], new, given)).taken
        assert [await peer.receive_text() for _ in range(200)] == [str(number) for number in range(200)]
        assert new.count == 200


async def test_workers_2_the_old_process_sends_nothing_after_the_freeze() -> None:
    old, new = Goer(), Goer()
    async with two_servers(old, new) as servers, connected(servers[0]) as peer:
        await peer.send(text("x"))
        await peer.receive_text()
        (client,) = old.clients
        assert client.send_text("before")
        given = await give(servers[0], old)
        assert given is not None
        assert not client.send_text("after")
        assert not client.close()
        assert client.state is wsframe.State.CLOSED
        assert given.clients[0].frozen.unsent in ((), (b"\x81\x06before",))
        given.clients[0].sock.close()


@pytest.mark.parametrize("kind", KINDS)
async def test_workers_7_a_client_in_mid_message_is_closed_and_the_others_do_not_wait_for_it(
    kind: type[Goer],
) -> None:
    old, new = kind(), kind()
    async with two_servers(old, new) as servers, connected(servers[0]) as peer, connected(servers[0]) as slow:
        await old.journal.until("connected", times=2)
        await slow.send(frame(TEXT, b"half", fin=False))
        await until(lambda: sum(link.bytes_received for link in local_server_of(servers[0]).reactor.links.values()) > 0)
        assert await hand_over(servers, old, new)
        await peer.send(text("on"))
        assert await peer.receive_text() == "on"
        assert await slow.receive_close() == (1012, "service restart")
        await slow.send(close(1012))
        assert await slow.receive() is None
    assert old.notes[:6] == ["begins", "connected", "connected", "disconnected 1012", "hands over 1", "ends"]
    assert "disconnected 1012" not in new.notes


async def test_a_message_that_is_whole_within_the_second_is_waited_for() -> None:
    old, new = Goer(), Goer()
    async with two_servers(old, new) as servers, connected(servers[0]) as peer:
        await peer.send(frame(TEXT, b"ha", fin=False))
        await until(lambda: sum(link.bytes_received for link in local_server_of(servers[0]).reactor.links.values()) > 0)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(hand_over, servers, old, new)
            await trio.sleep(0.1)
            await peer.send(frame(CONTINUATION, b"lf"))
            assert await peer.receive_text() == "half"
        await peer.send(text("on"))
        assert await peer.receive_text() == "on"
        assert (old.count, new.count) == (1, 2)


@pytest.mark.parametrize("kind", KINDS)
async def test_others_are_served_on_while_a_message_is_waited_for(
    kind: type[Goer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wsframe.hooks.hand_over.WHOLE_WITHIN", 3600)
    old, new = kind(), kind()
    async with two_servers(old, new) as servers, connected(servers[0]) as peer, connected(servers[0]) as slow:
        await old.journal.until("connected", times=2)
        await slow.send(frame(TEXT, b"ha", fin=False))
        await until(lambda: sum(link.bytes_received for link in local_server_of(servers[0]).reactor.links.values()) > 0)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(hand_over, servers, old, new)
            await wait_all_tasks_blocked(0.01)
            for number in range(3):
                await peer.send(text(str(number)))
                assert await peer.receive_text() == str(number)
            assert old.count == 3
            await slow.send(frame(CONTINUATION, b"lf"))
            assert await slow.receive_text() == "half"
        await peer.send(text("on"))
        assert await peer.receive_text() == "on"
        assert (old.count, new.count) == (4, 5)


async def test_a_client_that_cannot_go_along_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wsframe.hooks.hand_over.WHOLE_WITHIN", 3600)
    monkeypatch.setattr("wsframe.hooks.hand_over.AT_REST_WITHIN", 3600)
    old, new = Goer(), Goer()
    deflate = wsframe.Deflate.dedicated()
    offer = {"Sec-WebSocket-Extensions": "permessage-deflate"}
    async with (
        two_servers(old, new, deflate=deflate) as servers,
        connected(servers[0]) as peer,
        connected(servers[0], fields=offer) as unfit,
    ):
        await old.journal.until("connected", times=2)
        await unfit.send(frame(TEXT, b"half", fin=False))
        await until(lambda: sum(link.bytes_received for link in local_server_of(servers[0]).reactor.links.values()) > 0)
        assert await hand_over(servers, old, new)
        assert await unfit.receive_close() == (1012, "service restart")
        await peer.send(text("on"))
        assert await peer.receive_text() == "on"


@pytest.mark.parametrize("kind", KINDS)
async def test_a_client_that_does_not_answer_a_close_frame_keeps_no_other_from_going_along(kind: type[Goer]) -> None:
    old, new = kind(), kind()
    async with two_servers(old, new) as servers, connected(servers[0]) as silent, connected(servers[0]) as peer:
        await old.journal.until("connected", times=2)
        next(iter(old.clients)).close(4000, "enough")
        assert await silent.receive_close() == (4000, "enough")
        assert await hand_over(servers, old, new)
        await peer.send(text("on"))
        assert await peer.receive_text() == "on"
    assert [note for note in old.notes if note.startswith("disconnected")] == ["disconnected 1012"]
    assert "hands over 1" in old.notes


async def test_workers_7_a_part_of_a_plain_frame_goes_along() -> None:
    old, new = Goer(), Goer()
    large = frame(BINARY, bytes(300_000))
    async with two_servers(old, new) as servers, connected(servers[0]) as peer:
        await peer.send(large[:70_000])
        await trio.sleep(0.02)
        assert await hand_over(servers, old, new)
        await peer.send(large[70_000:], text("on"))
        assert await peer.receive_text() == "on"
    assert [note for note in new.notes if note.startswith(("binary", "text"))][-1] == "text on"
    assert "binary" in " ".join(new.notes)


async def test_posts_and_calls_are_worked_off_and_later_ones_refused() -> None:
    old, new = Goer(), Goer()
    async with two_servers(old, new) as servers:
        results: list[object] = []

        async def hand() -> bytes:
            results.append(old.post("late"))
            with pytest.raises(wsframe.ResourceEnded):
                await life_of(old).call(lambda: None, ())
            return b"0"

        old.hand_over = hand  # type: ignore[method-assign]
        assert old.post("early")
        assert await hand_over(servers, old, new)
        assert results == [False]
    assert "custom early" in old.notes
    assert not any("late" in note for note in old.notes)


async def test_tasks_of_the_resource_and_of_clients_end_before_the_state_is_asked_for() -> None:
    old, new = Goer(), Goer()
    ended: list[str] = []

    async def work(name: str) -> None:
        try:
            await trio.sleep_forever()
        finally:
            ended.append(name)
            old.post(f"of {name}")

    async with two_servers(old, new) as servers, connected(servers[0]) as peer:
        await peer.send(text("x"))
        await peer.receive_text()
        (client,) = old.clients
        assert client.start_soon(work, "client")
        old.start_soon(work, "resource")
        await trio.testing.wait_all_tasks_blocked()
        assert await hand_over(servers, old, new)
        assert sorted(ended) == ["client", "resource"]
        await peer.send(text("on"))
        assert await peer.receive_text() == "on"


async def fails(self: Goer) -> bytes:
    raise ValueError("no state")


async def hangs(self: Goer) -> bytes:
    await trio.sleep(3600)
    return b""


async def answers_wrong(self: Goer) -> bytes:
    return "state"  # type: ignore[return-value]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("hook", [fails, answers_wrong, hangs])
async def test_workers_7_a_hand_over_that_fails_leaves_the_life_as_it_was(
    kind: type[Goer], hook: object, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wsframe.hooks.hand_over.HOOK_SECONDS", 0.1)
    old = type("Failing", (kind,), {"hand_over": hook})()
    async with two_servers(old, kind()) as servers, connected(servers[0]) as peer:
        await peer.send(text("one"))
        await peer.receive_text()
        (client,) = old.clients
        assert await give(servers[0], old) is None
        assert list(old.clients) == [client]
        await peer.send(text("two"))
        assert await peer.receive_text() == "two"
        assert client.send_text("the same object")
        assert await peer.receive_text() == "the same object"
        await peer.finish()
        await until(lambda: "disconnected 1000" in old.notes)
    assert "hand_over of Failing failed" in caplog.text


async def test_a_hook_that_hangs_makes_the_hand_over_give_up() -> None:
    old = Goer()
    async with two_servers(old, Goer()) as servers, connected(servers[0]) as peer:
        await peer.send(text("hold"))
        await old.journal.until("text hold")
        assert await give(servers[0], old, seconds=0.1) is None
        old.release.set()
        assert await peer.receive_text() == "hold"
        await peer.send(text("on"))
        assert await peer.receive_text() == "on"


async def test_a_state_that_cannot_be_passed_on_costs_its_client_alone(caplog: pytest.LogCaptureFixture) -> None:
    old, new = Goer(), Goer()
    async with two_servers(old, new) as servers, connected(servers[0]) as peer, connected(servers[0]) as other:
        await until(lambda: len(old.clients) == 2)
        next(iter(old.clients)).data = object()
        assert await hand_over(servers, old, new)
        assert await peer.receive_close() == (1012, "service restart")
        await other.send(text("on"))
        assert await other.receive_text() == "on"
    assert "client_state failed" in caplog.text


@pytest.mark.parametrize("takeover", [True, False])
async def test_compression_goes_along_unless_it_refers_to_earlier_messages(takeover: bool) -> None:
    old, new = Goer(), Goer()
    deflate = wsframe.Deflate.dedicated() if takeover else wsframe.Deflate.shared()
    offer = {"Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits"}
    async with two_servers(old, new, deflate=deflate) as servers, connected(servers[0], fields=offer) as peer:
        assert b"permessage-deflate" in peer.handshake
        await until(lambda: len(old.clients) == 1)
        assert await hand_over(servers, old, new)
        if takeover:
            assert await peer.receive_close() == (1012, "service restart")
        else:
            await peer.send(text("x" * 1000))
            answer = await peer.receive()
            assert answer is not None
            assert answer.reserved == 0x40, "the answer is compressed as before"


async def test_a_ping_under_way_is_answered_to_the_keepalive_and_not_to_the_hook() -> None:
    old, new = Goer(), Goer()
    timeouts = wsframe.Timeouts(ping_interval=0.3)
    async with two_servers(old, new, timeouts=timeouts) as servers, connected(servers[0]) as peer:
        ping = await peer.receive()
        assert ping is not None
        assert ping.opcode == PING
        assert await hand_over(servers, old, new)
        await peer.send(frame(PONG, ping.payload), text("on"))
        while (one := await peer.receive()) is not None and one.opcode == PING:
            await peer.send(frame(PONG, one.payload))
        assert one is not None
        assert one.payload == b"on"
        (client,) = new.clients
        assert client.latency is not None
    assert not any("pong" in note for note in new.notes)


@pytest.mark.parametrize("kind", KINDS)
async def test_workers_7_a_stalled_client_keeps_its_megabyte_and_holds_up_nobody(kind: type[Goer]) -> None:
    old, new = kind(), kind()
    async with two_servers(old, new) as servers, connected(servers[0], window=4096) as stalled:
        await stalled.send(text("x"))
        assert await stalled.receive_text() == "x"
        (client,) = old.clients
        link = local_server_of(servers[0]).reactor.links[client._link.fd]
        assert isinstance(link.transport.sock, socket.socket)
        link.transport.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        payload = bytes(1_000_000)
        client.send_binary(payload)
        client.send_text("behind it")
        link.loop.flusher.flush()
        assert link.outbox.blocked
        async with connected(servers[0]) as peer:
            await peer.send(text("one"))
            await peer.receive_text()
            assert await hand_over(servers, old, new)
            await peer.send(text("two"))
            assert await peer.receive_text() == "two"
        assert await stalled.receive_message() == payload
        assert await stalled.receive_text() == "behind it"


async def test_clients_that_nobody_has_taken_end_with_a_server_that_is_cut_off() -> None:
    old, new = Goer(), Goer()
    async with two_servers(old, new) as servers, connected(servers[0]) as peer:
        await peer.send(text("one"))
        await peer.receive_text()
        life, reactor = life_of(old), local_server_of(servers[0]).reactor
        given = await give(servers[0], old)
        assert given is not None
        servers[0].close()
        await servers[0].closed()
        dismiss(given.clients, life, reactor)
        assert given.clients[0].sock.fileno() == -1
        with pytest.raises((AssertionError, trio.BrokenResourceError)):
            await peer.receive_close()


class Caller(GoerByClient):
    """Calls a function of its own in the hook of each text, once it is let to."""

    def __init__(self) -> None:
        super().__init__()
        self.let = trio.Event()

    async def received_text(self, client: wsframe.Client, message: str) -> None:
        await self.let.wait()
        await self.call(self.journal.add, "called")
        await super().received_text(client, message)


async def test_a_hook_that_waits_for_a_call_does_not_hold_up_the_hand_over() -> None:
    old, new = Caller(), Caller()
    async with two_servers(old, new) as servers, connected(servers[0]) as peer:
        await peer.send(text("one"))
        await until(lambda: bool(life_of(old)._mailbox.backlogs))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(hand_over, servers, old, new)
            await wait_all_tasks_blocked(0.01)
            old.let.set()
        assert "called" in old.notes
        assert "hands over 1" in old.notes


async def test_a_hook_that_waits_for_ever_keeps_no_other_from_its_turn_during_a_hand_over() -> None:
    old, new = Caller(), Caller()
    async with two_servers(old, new) as servers, connected(servers[0]) as peer:
        await peer.send(text("one"))
        await until(lambda: bool(life_of(old)._mailbox.backlogs))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(give, servers[0], old, 1000)
            await wait_all_tasks_blocked(0.01)
            assert old.post("in the meantime")
            await until(lambda: "custom in the meantime" in old.notes)
            nursery.cancel_scope.cancel()
        assert old.post("afterwards")
        await until(lambda: "custom afterwards" in old.notes)
        old.let.set()
