"""Newcomers whose resource lives on another machine: they are carried there once, and notice nothing of it."""

from __future__ import annotations

import errno
import socket
from contextlib import suppress

import pytest
import trio

import wsframe
from tests.certificates import make_contexts
from tests.server.peer_servers import BOUND, end_of, nodes, read
from wsframe import ConnectionClosed, LivesElsewhere, Registry, Request, Resource, connect
from wsframe.backplane import MemoryBackplane, MemoryHub
from wsframe.net.pump import AT_ONCE
from wsframe.net.socket_options import LINGER_NONE
from wsframe.server.local_server import LocalServer
from wsframe.server.newcomers.newcomer import Newcomer
from wsframe.server.peers import dialing, peer_port, splice

SERVER, CLIENT = make_contexts()


async def test_a_newcomer_gets_to_its_resource_from_any_server() -> None:
    async with nodes() as service:
        for path in ("/room/red", "/room/blue", "/one"):
            for server in ("a", "b"):
                async with connect(service.url(server, path)) as websocket:
                    greeting = str(await websocket.receive())
                    assert greeting.startswith("a 127.0.0.1 ")
                    assert greeting.endswith(" False")
                    for text in ("a", "b" * 100_000):
                        await websocket.send_text(text)
                        assert await websocket.receive() == text
                    assert len(service.peering("b").splices) == int(server == "b")
            await service.until("b", 0)
        assert service.peering("b").splices.spliced == service.peering("a").port.taken == 3
        assert service.peering("a").splices.spliced == service.peering("b").port.taken == 0


async def test_a_server_tells_of_the_clients_that_are_carried_to_it_and_away_from_it() -> None:
    async with nodes() as service:

        def carried() -> list[tuple[int, int]]:
            summaries = [service.local(name).nodes.summary() for name in ("a", "b")]
            return [(one["carried_here"], one["carried_away"]) for one in summaries]

        async with connect(service.url("a", "/one")), connect(service.url("b", "/one")) as websocket:
            await websocket.receive()
            assert carried() == [(1, 0), (0, 1)]
        while carried() != [(0, 0), (0, 0)]:  # noqa: ASYNC110
            await trio.sleep(0.002)


async def test_tls_ends_where_the_client_has_come() -> None:
    async with nodes(SERVER) as service, connect(service.url("b"), ssl_context=CLIENT) as websocket:
        assert str(await websocket.receive()).endswith(" True")


async def test_pages_and_a_wrong_host_are_answered() -> None:
    async with nodes() as service:
        host, port = service.servers["b"].addresses[0].removeprefix("ws://").split(":")
        for name, answer in (("localhost", b"page of a for 127.0.0.1"), ("evil.example", b" 400 ")):
            async with await trio.open_tcp_stream(host, int(port)) as stream:
                await stream.send_all(f"GET /page HTTP/1.1\r\nHost: {name}\r\n\r\n".encode())
                assert answer in await read(stream, b"never")
        assert service.peering("b").splices.spliced == 1


async def test_a_trusted_proxy_that_can_is_told_the_owner() -> None:
    asks = "X-Wsframe-Proxy: nginx\r\nHost: localhost"
    for trusted in (["127.0.0.1"], []):
        async with nodes(trusted_proxies=trusted) as service, service.raw("b", more=asks) as stream:
            answer = await read(stream, b"False" if not trusted else b"never")
            if trusted:
                owner = service.servers["a"].addresses[0].removeprefix("ws://")
                assert answer.startswith(b"HTTP/1.1 503 ")
                assert b"\r\nX-Accel-Redirect: @wsframe_owner\r\n" in answer
                assert f"\r\nX-Wsframe-Owner: {owner}\r\n".encode() in answer
            assert service.peering("b").splices.spliced == int(not trusted)


@pytest.mark.parametrize("gone", [False, True])
async def test_a_newcomer_whose_resource_leaves_after_its_owner_has_said_yes_gets_to_the_next_one(
    monkeypatch: pytest.MonkeyPatch, gone: bool
) -> None:
    async with nodes() as service:
        admission, asked = service.local("a").admission, list[str]()
        join = admission._join_resource

        async def leaves_once(newcomer: Newcomer, request: Request) -> None:
            asked.append(request.path)
            if len(asked) > 1:
                await join(newcomer, request)
                return
            if gone:
                service.owner("a").owned.close(service.partition())
                await service.owner("a").owned.release([service.partition()])
            raise LivesElsewhere("it has gone")

        monkeypatch.setattr(admission, "_join_resource", leaves_once)
        monkeypatch.setattr(admission, "admit_at_once", lambda newcomer: False)
        async with connect(service.url("b")) as websocket:
            greeting = str(await websocket.receive())
            await websocket.send_text("hello")
            assert await websocket.receive() == "hello"
        assert (greeting[:1] == "a") == (len(asked) == 2)
        assert gone or greeting.startswith("a 127.0.0.1 ")
        assert service.peering("b").splices.spliced == len(asked) - 1
        await service.until("b", 0)
        assert not service.peering("b").splices._to


# The six rules, and bounds


async def test_a_stalled_client_of_a_splice_costs_the_others_nothing() -> None:
    async with nodes() as service, service.raw("b", receives=4096) as stalled, connect(service.url("b")) as other:
        await other.receive()
        await read(stalled, b"False")
        await stalled.send_all(b"\x81\x85\0\0\0\0flood")
        loop = service.local("b").admission.carried.loop
        while loop.held == 0:  # noqa: ASYNC110
            await trio.sleep(0.002)
        for number in range(50):
            await other.send_text(str(number))
            assert await other.receive() == str(number)
        assert loop.held <= 2 * AT_ONCE


async def test_an_abort_of_the_owner_is_a_reset() -> None:
    async with nodes() as service, service.raw("b") as stream:
        await read(stream, b"False")
        await stream.send_all(b"\x81\x85\0\0\0\0abort")
        with pytest.raises(trio.BrokenResourceError) as found:
            await read(stream, b"never")
        cause = found.value.__cause__
        assert isinstance(cause, OSError)
        assert cause.errno == errno.ECONNRESET
        await service.until("b", 0)


@pytest.mark.parametrize("way", ["reset", "end", "half-close"])
async def test_the_end_of_a_client_is_the_end_at_its_owner(way: str) -> None:
    async with nodes() as service:
        async with service.raw("b") as stream:
            await read(stream, b"False")
            if way == "reset":
                stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NONE)
            elif way == "half-close":
                await stream.send_all(b"\x88\x82\0\0\0\0\x03\xe8")
                await stream.send_eof()
                assert await read(stream, b"never") == b"\x88\x02\x03\xe8END"
        while not service.ends:  # noqa: ASYNC110
            await trio.sleep(0.002)
        assert service.ends == [1000 if way == "half-close" else 1006]
        await service.until("b", 0)


async def test_invariant_12_a_server_carries_so_many_to_another_one(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(splice, "MOST_SPLICED", 1)
    async with nodes() as service, connect(service.url("b")) as websocket:
        await websocket.receive()
        for _ in range(3):
            async with service.raw("b") as stream:
                assert b" 503 " in await read(stream, b"never")
        assert [one.levelname for one in caplog.records if "no more can be" in one.getMessage()] == ["ERROR"]


async def test_invariant_12_an_owner_that_does_not_answer_keeps_nobody_from_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dialing, "MOST_DIALING", 3)
    monkeypatch.setattr(dialing, "MOST_IN_LINE", 2)
    monkeypatch.setattr(dialing, "WITHIN", BOUND)
    async with nodes() as service:
        answer = trio.Event()

        async def silent(newcomer: Newcomer) -> None:
            try:
                await answer.wait()
            finally:
                newcomer.transport.close()

        monkeypatch.setattr(service.peering("a").port, "_receive", silent)
        pending = service.local("b").admission.pending.under_way
        async with trio.open_nursery() as nursery:

            async def wait() -> None:
                async with service.raw("b") as stream:
                    await read(stream, b"never")

            for _ in range(5):
                nursery.start_soon(wait)
            dialer = service.peering("b").splices.dialer
            while (len(dialer), dialer.in_line) != (3, 2):  # noqa: ASYNC110
                await trio.sleep(0.002)
            assert not pending
            async with service.raw("b") as stream:
                assert b"too many wait for its owner" in await read(stream, b"never")
            nursery.cancel_scope.cancel()
        answer.set()


async def test_a_resource_that_moves_ends_the_splices_to_its_old_owner_1012() -> None:
    async with nodes() as service:
        with suppress(ConnectionClosed):
            async with connect(service.url("b")) as websocket:
                await websocket.receive()
                owner = service.owner("a")
                await owner.giving.give(service.partition(), service.local("b").topics.interest.node)
                assert await end_of(websocket) == 1012
        assert service.ends == [1012]


async def test_an_owner_that_cannot_say_so_has_its_splices_ended_here(monkeypatch: pytest.MonkeyPatch) -> None:
    async with nodes() as service:
        owner = service.owner("b")
        with suppress(ConnectionClosed):
            async with connect(service.url("b")) as websocket:
                await websocket.receive()
                monkeypatch.setattr(owner.owned, "holder_of", lambda partition: "10.0.0.9:1/0/other")
                assert await end_of(websocket) == 1012
        await service.until("b", 0)


async def test_a_server_that_drains_ends_its_splices_in_order() -> None:
    async with nodes() as service:
        with suppress(ConnectionClosed):
            async with connect(service.url("b")) as websocket:
                await websocket.receive()
                service.servers["b"].close()
                assert await end_of(websocket) == 1001


@pytest.mark.parametrize("answers", [True, False])
async def test_a_newcomer_whose_owner_answers_during_the_drain_is_refused(
    monkeypatch: pytest.MonkeyPatch, answers: bool
) -> None:
    monkeypatch.setattr(dialing, "WITHIN", BOUND)
    monkeypatch.setattr(peer_port, "WITHIN", BOUND)
    async with nodes() as service:
        port, answer = service.peering("a").port, trio.Event()
        decide = port._decide

        async def slow(newcomer: Newcomer) -> None:
            await answer.wait()
            await decide(newcomer)

        monkeypatch.setattr(port, "_decide", slow)
        local = service.local("b")
        async with service.raw("b") as stream:
            while not len(service.peering("b").splices.dialer):  # noqa: ASYNC110
                await trio.sleep(0.002)
            local.drain(lame_duck=0)
            while not local.admission.carried.departing:  # noqa: ASYNC110
                await trio.sleep(0.002)
            if answers:
                answer.set()
            assert (await read(stream, b"never")).startswith(b"HTTP/1.1 503 ")
        answer.set()


async def test_a_balancer_that_sends_many_to_the_wrong_server_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    async with nodes() as service:
        splices = service.peering("b").splices
        for here, away, warned in ((80, 20, 0), (10, 10, 0), (79, 21, 1), (0, 50, 1), (1000, 0, 0)):
            caplog.clear()
            splices._here, splices._away = here, away
            splices._judge()
            assert sum("X-Wsframe-Proxy: nginx" in one.getMessage() for one in caplog.records) == warned


async def test_servers_that_share_nothing_have_no_peer_port() -> None:
    class Feed(Resource):
        scope = "shared"

    for backplane, resource in ((None, Resource()), (MemoryBackplane(MemoryHub()), Feed())):
        registry = Registry(alone=True)
        registry.register("/", resource, wsframe.any_origin)
        async with wsframe.open_server(registry, port=0, backplane=backplane) as server:
            local = server._internals
            assert isinstance(local, LocalServer)
            assert local.peering is None
            assert local.admission.splices is None
