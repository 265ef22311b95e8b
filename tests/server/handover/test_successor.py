"""A worker takes over a partition whole, or drops all that it was offered, wherever either side dies."""

from __future__ import annotations

import os
import socket
from contextlib import AsyncExitStack, suppress
from functools import partial
from typing import Any

import pytest
import trio

import wsframe
from tests.handing import Goer, life_of
from tests.local_server import local_server_of
from tests.patience import PATIENCE
from tests.server.handover.test_predecessor import Generations, echoes, generations
from tests.wire import close, connected, until
from wsframe.hooks.hand_over import HandOver
from wsframe.hooks.paired_lives import address_of
from wsframe.server.handover.predecessor import Offer, Packed
from wsframe.workers.socket_exchange import OtherSideGone, Received, SocketExchange
from wsframe.workers.state_file import pack_parcel

if not hasattr(socket, "SOCK_SEQPACKET"):
    pytest.skip("this system has no SOCK_SEQPACKET", allow_module_level=True)

# life, two clients, all: the messages of an offer.
MESSAGES = 4


@pytest.fixture(autouse=True)
def one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have each client go in a message of its own, so that sides can die between two of them."""
    monkeypatch.setattr("wsframe.server.handover.predecessor.MOST_AT_ONCE", 1)


class Mortal(SocketExchange):
    """A side that dies at some message: it says and hears nothing more, and its descriptors are closed."""

    left = 0

    def send_now(self, document: object, descriptors: object = ()) -> bool:
        self._live()
        return super().send_now(document, descriptors)  # type: ignore[arg-type]

    async def receive(self) -> Received:
        self._live()
        return await super().receive()

    def _live(self) -> None:
        Mortal.left -= 1
        if Mortal.left < 0:
            self.close()
            raise OtherSideGone("dead")


async def kill_taker_at(step: int, both: Generations, monkeypatch: pytest.MonkeyPatch) -> None:
    Mortal.left = step
    monkeypatch.setattr("wsframe.server.handover.successor.SocketExchange", Mortal)
    await both.succeed()


@pytest.mark.parametrize("step", range(MESSAGES + 2 + 2))
async def test_workers_7_a_taker_that_dies_at_any_message_costs_1012_or_has_the_clients(
    step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two acknowledgements and ``mine`` are among its messages; with the last of these it has them."""
    monkeypatch.setattr("wsframe.server.handover.predecessor.WITHIN", 2)
    old, new = Goer(), Goer()
    async with generations({"/": old}, {"/": new}) as both, trio.open_nursery() as nursery:
        nursery.start_soon(kill_taker_at, step, both, monkeypatch)
        async with connected(both.old) as a, connected(both.old) as b:
            for peer in (a, b):
                await echoes(peer, "1")
            await both.leave(old)
            if new.clients:
                assert step == MESSAGES + 2 + 1
                for peer in (a, b):
                    await echoes(peer, "2")
            else:
                for peer in (a, b):
                    assert await peer.receive_close() == (1012, "service restart")
                    await peer.send(close(1012))
                    assert await peer.receive() is None
                assert not local_server_of(both.new).reactor.links
        nursery.cancel_scope.cancel()
    assert not [note for note in old.notes if note.startswith("disconnected")]


@pytest.mark.parametrize("step", range(MESSAGES + 1))
async def test_workers_7_a_giver_that_dies_at_any_message_breaks_its_connections_and_leaves_no_owner(
    step: int,
) -> None:
    old, new = Goer(), Goer()
    async with generations({"/": old}, {"/": new}) as both, trio.open_nursery() as nursery:
        nursery.start_soon(both.succeed)
        async with connected(both.old) as a, connected(both.old) as b:
            for peer in (a, b):
                await echoes(peer, "1")
            engine, life = local_server_of(both.old), life_of(old)
            address = address_of(engine.roster, life)
            given = await HandOver(life, engine.reactor).pack(trio.current_time() + 5)
            assert given is not None
            assert address is not None
            offer = Offer([Packed(life, address, given)], engine.reactor)
            sock, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            Mortal.left = step
            exchange = Mortal(sock)
            with theirs:
                await both.giving.send(["offer", 7], [theirs.fileno()])
            with suppress(OtherSideGone):
                await offer._send_all(exchange)
            exchange.close()
            for client in given.clients:
                client.sock.close()
            for peer in (a, b):
                assert await peer.rest.frames(or_reset=True) == [], "a broken connection, without a word"
            await until(lambda: not local_server_of(both.new).reactor.links)
            assert not new.clients
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("message", ["too many descriptors", "no descriptor", "no socket", "no offer"])
async def test_an_offer_that_comes_without_its_socket_is_lost_and_the_next_one_taken(
    message: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The kernel leaves out descriptors for which it has no room, of the message or of the process."""
    old, new = Goer(), Goer()
    async with generations({"/": old}, {"/": new}) as both, trio.open_nursery() as nursery:
        file = os.open(os.devnull, os.O_RDONLY)
        descriptors = {"too many descriptors": 5, "no socket": 1}.get(message, 0) * [file]
        await both.giving.send(6 if message == "no offer" else ["offer", 6], descriptors)
        os.close(file)
        nursery.start_soon(both.succeed)
        async with connected(both.old) as peer:
            await echoes(peer, "1")
            await both.leave(old)
            await echoes(peer, "2")
        nursery.cancel_scope.cancel()
    assert caplog.text.count("an offer of the predecessor is lost") == 1


async def test_clients_go_by_several_and_at_most_64_are_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wsframe.server.handover.predecessor.MOST_AT_ONCE", 3)
    monkeypatch.setattr("wsframe.server.handover.predecessor.MOST_UNDER_WAY", 4)
    old, new = Goer(), Goer()
    async with generations({"/": old}, {"/": new}) as both, trio.open_nursery() as nursery, AsyncExitStack() as stack:
        nursery.start_soon(both.succeed)
        peers = [await stack.enter_async_context(connected(both.old)) for _ in range(8)]
        for number, peer in enumerate(peers):
            await echoes(peer, f"of {number}")
        await both.leave(old)
        for number, peer in enumerate(peers):
            await echoes(peer, f"again of {number}")
        nursery.cancel_scope.cancel()
    assert sorted(note for note in new.notes if note.startswith("text")) == [f"text again of {n}" for n in range(8)]


@pytest.mark.parametrize("count", [1, 3])
async def test_other_numbers_of_sockets_than_of_states_are_refused(
    count: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("wsframe.server.handover.predecessor.MOST_AT_ONCE", 2)
    old, new = Goer(), Goer()
    async with generations({"/": old}, {"/": new}) as both, trio.open_nursery() as nursery:
        nursery.start_soon(both.succeed)
        async with connected(both.old) as a, connected(both.old) as b:
            for peer in (a, b):
                await echoes(peer, "1")
            documents = "wsframe.server.handover.predecessor.pack_parcel"
            whole = pack_parcel

            def other(document: Any) -> bytes:
                return whole((document * 2)[:count] if isinstance(document, list) else document)

            with monkeypatch.context() as patch:
                patch.setattr(documents, other)
                await both.leave(old)
            for peer in (a, b):
                assert await peer.receive_close() == (1012, "service restart")
        nursery.cancel_scope.cancel()
    assert f"2 clients came with 2 sockets and {count} states" in caplog.text


async def test_an_offer_in_another_format_is_refused_and_the_next_one_taken(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    old, new = Goer(), Goer()
    async with generations({"/": old}, {"/": new}) as both, trio.open_nursery() as nursery:
        nursery.start_soon(both.succeed)
        async with connected(both.old) as peer:
            await echoes(peer, "1")
            with monkeypatch.context() as patch:
                patch.setattr("wsframe.server.handover.predecessor.pack_parcel", lambda document: b"of another version")
                await both.leave(old)
            assert await peer.receive_close() == (1012, "service restart")
        async with connected(both.old) as peer:
            await echoes(peer, "1")
            await both.leave(old)
            await echoes(peer, "2")
        nursery.cancel_scope.cancel()
    assert "the offer of partition 7 has failed: format" in caplog.text


async def test_a_life_that_a_factory_made_is_made_again_for_the_same_path() -> None:
    old: dict[str, Goer] = {}
    new: dict[str, Goer] = {}

    def make(made: dict[str, Goer], request: wsframe.Request) -> Goer:
        made[request.path] = Goer()
        return made[request.path]

    giving, taking = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    registries = wsframe.Registry(), wsframe.Registry()
    for registry, made in zip(registries, (old, new), strict=True):
        registry.register_factory("/rooms/{room}", partial(make, made))
    with trio.fail_after(PATIENCE):
        async with (
            wsframe.open_server(registries[0], port=0) as first,
            wsframe.open_server(registries[1], port=0) as second,
            trio.open_nursery() as nursery,
        ):
            both = Generations(first, second, SocketExchange(giving), SocketExchange(taking), [])
            nursery.start_soon(both.succeed)
            async with connected(first, "/rooms/red") as red, connected(first, "/rooms/blue") as blue:
                await echoes(red, "1")
                await echoes(blue, "1")
                await both.leave(*old.values())
                await echoes(red, "2")
                await echoes(blue, "2")
                assert sorted(new) == ["/rooms/blue", "/rooms/red"]
                assert {room.count for room in new.values()} == {2}
                assert {room.only.request.path_params["room"] for room in new.values()} == {"red", "blue"}
            await until(lambda: not local_server_of(second).roster.listeners())
            nursery.cancel_scope.cancel()
            both.giving.close()
            both.taking.close()
