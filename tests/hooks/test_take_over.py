"""A life begins with clients of another process: whole, or not at all."""

from __future__ import annotations

import errno
from collections.abc import Callable, Hashable
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import pytest
import trio

import wsframe
from tests.handing import Goer, GoerByClient, give, hand_over, life_of, take, two_servers
from tests.local_server import local_server_of
from tests.wire import close, connected, text, until
from wsframe.connection.freeze import thaw
from wsframe.hooks.hand_over import dismiss
from wsframe.hooks.take_over import Taken, TakeOver
from wsframe.workers.socket_exchange import OtherSideGone

KINDS = [Goer, GoerByClient]


def refused() -> bool:
    return False


def cut_off() -> bool:
    raise OtherSideGone("the giver has died")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("say_mine", [refused, cut_off])
async def test_workers_2_a_taker_that_cannot_say_mine_has_not_touched_a_socket(kind: type[Goer], say_mine: Any) -> None:
    old, new = kind(), kind()
    sent: list[bool] = []

    def restore(client: wsframe.Client, state: object) -> None:
        sent.append(client.send_text("welcome back"))

    new.restore_client = restore  # type: ignore[method-assign]
    async with two_servers(old, new) as servers, connected(servers[0]) as peer:
        life = life_of(old)
        given = await give(servers[0], old)
        assert given is not None
        copies = given._replace(clients=[one._replace(sock=one.sock.dup()) for one in given.clients])  # type: ignore[union-attr]
        assert not (await take(servers[1], new, copies, say_mine)).taken
        assert sent == [True]
        assert local_server_of(servers[1]).reactor.links == {}
        assert len(new.clients) == 0
        dismiss(given.clients, life, local_server_of(servers[0]).reactor)
        assert await peer.receive_close() == (1012, "service restart"), "and nothing before it"
        await peer.send(close(1012))
        assert await peer.receive() is None
        async with connected(servers[1]) as newcomer:
            await newcomer.send(text("the life goes on"))
            assert await newcomer.receive_text() == "the life goes on"
    assert "disconnected 1012" not in old.notes


@pytest.mark.parametrize("kind", KINDS)
async def test_what_restoring_sends_goes_out_after_mine_and_behind_what_waited(kind: type[Goer]) -> None:
    old, new = kind(), kind()
    told: list[str] = []

    def restore(client: wsframe.Client, state: object) -> None:
        client.send_text("welcome back")
        told.append("restored")

    def mine() -> bool:
        told.append("mine")
        return True

    new.restore_client = restore  # type: ignore[method-assign]
    async with two_servers(old, new) as servers, connected(servers[0]) as peer:
        await until(lambda: len(old.clients) == 1)
        given = await give(servers[0], old)
        assert given is not None
        await peer.send(text("one"))
        await take(servers[1], new, given, mine)
        assert [await peer.receive_text() for _ in range(2)] == ["welcome back", "one"]
    assert told == ["restored", "mine"]


async def fails(state: bytes) -> None:
    raise ValueError("a state of next year")


async def hangs(state: bytes) -> None:
    await trio.sleep_forever()


@pytest.mark.parametrize("hook", [fails, hangs])
async def test_workers_7_a_take_over_that_fails_closes_the_clients_and_the_life_goes_on(
    hook: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wsframe.hooks.take_over.HOOK_SECONDS", 0.1)
    old, new = Goer(), Goer()
    new.take_over = hook  # type: ignore[method-assign]
    async with two_servers(old, new) as servers, connected(servers[0]) as peer:
        await until(lambda: len(old.clients) == 1)
        life = life_of(old)
        given = await give(servers[0], old)
        assert given is not None
        copies = given._replace(clients=[one._replace(sock=one.sock.dup()) for one in given.clients])  # type: ignore[union-attr]
        assert not (await take(servers[1], new, copies)).taken
        dismiss(given.clients, life, local_server_of(servers[0]).reactor)
        assert await peer.receive_close() == (1012, "service restart")
        async with connected(servers[1]) as newcomer:
            await newcomer.send(text("on"))
            assert await newcomer.receive_text() == "on"
    assert "take_over of Goer failed" in caplog.text


class CountedPlace:
    """A place that notes that it is given back."""

    def __init__(self) -> None:
        self.released = False

    def take(self, place: Hashable, max_in_place: int | None) -> bool:
        return False

    def settle(self) -> None:
        """The client is here."""

    def release(self) -> None:
        self.released = True


def second_fails(work: Callable[..., Any], *, late: bool) -> Callable[..., Any]:
    """Have the second call of a function raise: before it does its work, or after it."""
    calls = 0

    def called(*values: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        answer = work(*values, **named) if calls == 1 or late else None
        if calls == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        return answer

    return called


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("step", ["before the link", "after the link", "subscribe"])
async def test_workers_2_a_client_that_cannot_be_thawed_costs_all_of_them_1012_and_leaks_none(
    step: str, kind: type[Goer], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    old, new = kind(), kind()
    async with two_servers(old, new) as servers, AsyncExitStack() as stack:
        peers = [await stack.enter_async_context(connected(servers[0])) for _ in range(3)]
        await until(lambda: len(old.clients) == 3)
        left, life = life_of(old), life_of(new)
        given = await give(servers[0], old)
        assert given is not None
        if step == "subscribe":
            monkeypatch.setattr(life.topics, "subscribe", second_fails(life.topics.subscribe, late=False))
        else:
            monkeypatch.setattr("wsframe.hooks.take_over.thaw", second_fails(thaw, late=step == "after the link"))
        places = [CountedPlace() for _ in peers]
        clients = [
            Taken(one.sock.dup(), replace(one.frozen, topics=("news",)), place)  # type: ignore[union-attr]
            for one, place in zip(given.clients, places, strict=True)
        ]
        life.join()
        taking = TakeOver(life, local_server_of(servers[1]).reactor, given.state, clients, lambda: True)
        await taking.done.wait()
        assert not taking.taken
        assert local_server_of(servers[1]).reactor.links == {}
        assert (len(new.clients), life.seats.count) == (0, 0)
        assert [place.released for place in places] == [True] * 3
        assert {one.sock.fileno() for one in clients} == {-1}
        dismiss(given.clients, left, local_server_of(servers[0]).reactor)
        for peer in peers:
            assert await peer.receive_close() == (1012, "service restart"), "and nothing before it"
        async with connected(servers[1]) as newcomer:
            await newcomer.send(text("on"))
            assert await newcomer.receive_text() == "on"
    assert f"take_over of {kind.__name__} failed" in caplog.text


async def test_a_client_that_cannot_be_restored_is_closed_and_said_goodbye_to_here(
    caplog: pytest.LogCaptureFixture,
) -> None:
    old, new = Goer(), Goer()

    def restore(client: wsframe.Client, state: str) -> None:
        if client.id in ids:
            raise KeyError(state)

    new.restore_client = restore  # type: ignore[method-assign]
    async with two_servers(old, new) as servers, connected(servers[0]) as peer, connected(servers[0]) as other:
        await until(lambda: len(old.clients) == 2)
        ids = [next(iter(old.clients)).id]
        assert await hand_over(servers, old, new)
        assert await peer.receive_close() == (1012, "service restart")
        await peer.send(close(1012))
        assert await peer.receive() is None
        await new.journal.until("disconnected 1012")
        await other.send(text("on"))
        assert await other.receive_text() == "on"
    assert "restore_client failed" in caplog.text


async def test_a_peer_that_left_in_the_meantime_gets_its_goodbye_here() -> None:
    old, new = Goer(), Goer()
    async with two_servers(old, new) as servers:
        async with connected(servers[0]) as peer:
            await peer.send(text("x"))
            await peer.receive_text()
            given = await give(servers[0], old)
            assert given is not None
            await peer.send(text("last words"))
        await take(servers[1], new, given)
        await new.journal.until("disconnected 1006")
    assert not [note for note in old.notes if note.startswith("disc")]
    assert "text last words" in new.notes


async def test_clients_go_to_and_fro() -> None:
    objects = [Goer() for _ in range(6)]
    async with two_servers(objects[0], objects[1]) as servers, connected(servers[0]) as peer:
        await peer.send(text("0"))
        assert await peer.receive_text() == "0"
        assert await hand_over(servers, objects[0], objects[1])
        await peer.send(text("1"))
        assert await peer.receive_text() == "1"
        assert await hand_over((servers[1], servers[0]), objects[1], objects[0])
        await peer.send(text("2"))
        assert await peer.receive_text() == "2"
        (client,) = objects[0].clients
        assert client.statistics().messages_received == 3
        assert objects[0].count == 3


async def test_a_life_that_ends_before_it_takes_lets_the_clients_go() -> None:
    old, new = Goer(), Goer()
    async with two_servers(old, new) as servers, connected(servers[0]) as peer:
        await until(lambda: len(old.clients) == 1)
        given = await give(servers[0], old)
        assert given is not None
        new.release = trio.Event()
        async with connected(servers[1]) as other:
            await other.send(text("hold"))
            await new.journal.until("text hold")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(take, servers[1], new, given)
                await trio.testing.wait_all_tasks_blocked()
                local_server_of(servers[1]).hurry()
        assert await peer.rest.frames(or_reset=True) == [], "a broken connection"
