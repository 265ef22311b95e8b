"""Hooks with ``ordering = "client"``: tasks for hooks that wait, none for clients that are idle."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import wsframe
from tests.handing import life_of
from tests.local_server import local_server_of
from tests.recorder import Recorder
from tests.wire import Peer, connected, serving, text
from wsframe import Timeouts
from wsframe.hooks import client_ordering
from wsframe.hooks.posts import Errand


class Each(Recorder):
    """Notes the beginning and the end of each hook; each text waits once, ``hold`` until ``release`` is set."""

    ordering = "client"

    def __init__(self) -> None:
        super().__init__()
        self.inside: dict[object, str] = {}

    async def client_connected(self, client: wsframe.Client) -> None:
        assert client not in self.inside
        await super().client_connected(client)

    async def received_text(self, client: wsframe.Client, message: str) -> None:
        assert self.inside.setdefault(client, message) == message, "hooks of one client overlap"
        try:
            await trio.lowlevel.checkpoint()
            await super().received_text(client, message)
        finally:
            del self.inside[client]
        if message == "set":
            self.release.set()

    async def received_custom(self, message: object) -> None:
        assert self.inside.setdefault(None, str(message)) == str(message), "hooks without a client overlap"
        await trio.lowlevel.checkpoint()
        await super().received_custom(message)
        del self.inside[None]

    async def disconnected(self, client: wsframe.Client) -> None:
        assert client not in self.inside
        await super().disconnected(client)


@asynccontextmanager
async def several(server: wsframe.Server, count: int) -> AsyncIterator[list[Peer]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(connected(server)) for _ in range(count)]


def tasks() -> int:
    return trio.lowlevel.current_statistics().tasks_living


def turns_of(resource: wsframe.Resource) -> int:
    return len(life_of(resource).turns)


async def test_clients_that_are_idle_have_no_tasks() -> None:
    room = Each()
    async with serving(room) as server:
        await wait_all_tasks_blocked()
        before = tasks()
        async with several(server, 20):
            await room.journal.until("connected", 20)
            await wait_all_tasks_blocked()
            assert tasks() == before


async def test_messages_behind_a_hook_that_waits_keep_their_order_and_others_pass_them() -> None:
    room = Each()
    async with serving(room) as server, several(server, 2) as (slow, quick):
        await slow.send(text("hold"), *(text(f"slow {number}") for number in range(5)))
        await room.journal.until("text hold")
        for number in range(3):
            await quick.send(text(f"quick {number}"))
            await room.journal.until(f"text quick {number}")
        await slow.send(text("slow 5"))
        await quick.send(text("set"))
        await room.journal.until("text slow 5")
    notes = [note for note in room.notes if note.startswith("text")]
    slow_ones = [f"text slow {number}" for number in range(6)]
    assert notes[:4] == ["text hold", "text quick 0", "text quick 1", "text quick 2"]
    assert [note for note in notes if note in slow_ones] == slow_ones


async def test_tasks_are_as_many_as_hooks_wait_and_are_used_again() -> None:
    room = Each()
    async with serving(room) as server, several(server, 10) as peers:
        for _ in range(3):
            room.release = trio.Event()
            room.notes.clear()
            for peer in peers:
                await peer.send(text("hold"))
            await room.journal.until("text hold", 10)
            await wait_all_tasks_blocked()
            assert turns_of(room) == 11, "one more is on watch"
            room.release.set()
            await wait_all_tasks_blocked()
            assert turns_of(room) == 11, "the spare ones stay"


async def test_spare_tasks_are_no_more_than_tasks_in_hooks_beyond_a_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_ordering, "SPARES", 2)
    room = Each()
    async with serving(room) as server, several(server, 20) as peers:
        for peer in peers:
            await peer.send(text("hold"))
        await room.journal.until("text hold", 20)
        room.release.set()
        await wait_all_tasks_blocked()
        assert turns_of(room) < 15
        for peer in peers:
            await peer.send(text("on"))
        await room.journal.until("text on", 20)


async def test_posts_do_not_overlap_and_a_call_in_one_is_refused() -> None:
    class Calling(Each):
        async def received_custom(self, message: object) -> None:
            await super().received_custom(message)
            with pytest.raises(RuntimeError, match="would wait for itself"):
                await self.call(lambda: None)

    room = Calling()
    async with serving(room) as server, several(server, 1) as (peer,):
        await peer.send(text("hold"))
        await room.journal.until("text hold")
        for number in range(5):
            room.post(number)
        await room.journal.until("custom 4")
        assert await room.call(lambda: "answered") == "answered"
        room.release.set()
    assert [note for note in room.notes if note.startswith("custom")] == [f"custom {number}" for number in range(5)]


async def test_an_errand_is_done_while_no_hook_waits_and_none_begins() -> None:
    room = Each()
    stands, go_on = trio.Event(), trio.Event()

    async def errand() -> None:
        assert not room.inside
        stands.set()
        await go_on.wait()

    async with serving(room) as server, several(server, 2) as (slow, quick):
        await slow.send(text("hold"))
        await room.journal.until("text hold")
        life_of(room).hand_over_steps.put_errand(Errand(errand, stands.set))
        await quick.send(text("in the meantime"))
        await room.journal.until("text in the meantime")
        assert not stands.is_set()
        room.release.set()
        await stands.wait()
        await quick.send(text("behind"))
        await wait_all_tasks_blocked()
        assert "text behind" not in room.notes
        go_on.set()
        await room.journal.until("text behind")


@pytest.mark.parametrize("end", ["abort", "discard", "server"])
async def test_what_waits_behind_a_hook_is_given_back_when_the_client_is_ended(end: str) -> None:
    room = Each()
    async with serving(room, timeouts=Timeouts(drain=0.1, close=0.1)) as server, several(server, 2) as (peer, other):
        budget = local_server_of(server).reactor.budget
        await peer.send(text("hold"), text("dropped"), text("dropped"))
        await room.journal.until("text hold")
        room.post("first")
        await other.send(text("seen"))
        await room.journal.until("text seen")
        assert budget.held > 0
        client = next(client for client in room.clients if client in room.inside)
        if end == "server":
            server.close()
            await server.closed()
        else:
            client.abort()
            if end == "discard":  # as the reactor does if all clients together hold too much
                client._link.inbox.discard()
                assert budget.held == 0
            room.release.set()
            await room.journal.until("disconnected 1006")
        assert budget.held == 0
    assert "text dropped" not in room.notes
    assert room.notes.count("connected") == sum(note.startswith("disconnected") for note in room.notes)


async def test_goodbyes_of_several_clients_overlap() -> None:
    class Slow(Each):
        async def disconnected(self, client: wsframe.Client) -> None:
            self.journal.add("begins")
            await self.journal.until("begins", 5)
            self.journal.add("ends")

    room = Slow()
    async with serving(room, timeouts=Timeouts(drain=0.1, close=5)) as server, several(server, 5) as peers:
        for peer in peers:
            await peer.send(text("hold"))
        await room.journal.until("text hold", 5)
        server.close()
        await server.closed()
    assert room.notes.count("ends") == 5


async def test_life_ends_after_a_post_that_waits() -> None:
    class Late(Each):
        async def received_custom(self, message: object) -> None:
            self.journal.add("begins")
            await self.release.wait()
            self.journal.add("ends")

    room = Late()
    async with serving(room) as server:
        room.post(None)
        await room.journal.until("begins")
        server.close()
        await wait_all_tasks_blocked()
        room.release.set()
        await server.closed()
    assert room.notes[-1] == "ends"


async def test_a_message_in_a_hook_that_waits_is_counted_with_its_time() -> None:
    room = Each()
    async with serving(room) as server, several(server, 1) as (peer,):
        await peer.send(text("hold"), text("on"))
        await room.journal.until("text hold")
        await trio.sleep(0.01)
        room.release.set()
        await room.journal.until("text on")
        await wait_all_tasks_blocked()
        counters = life_of(room).counters
        assert sum(counters.hooks.counts) >= 3
        assert counters.hooks.seconds >= 0.009
        assert counters.waits.seconds >= 0.009
        assert life_of(room).hook_seconds >= 0.009
