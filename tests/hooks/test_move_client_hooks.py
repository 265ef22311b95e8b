"""Tasks of clients, checks of frames and the time of hooks, where a client moves."""

from typing import Literal

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import wsframe
from tests.local_server import local_server_of
from tests.sides import Side, Target, ended
from tests.wire import close, connected, serving, text
from wsframe import Client, Resource
from wsframe.resources.resource import Ordering


class Working(Side):
    """Starts a task for each client, which notes its end; ``stubborn`` keeps it from ending."""

    def __init__(self, target: Resource | None = None) -> None:
        super().__init__(target)
        self.stubborn = trio.Event()
        self.stubborn.set()
        self.error: BaseException | None = None

    async def client_connected(self, client: Client) -> None:
        await super().client_connected(client)
        assert client.start_soon(self.work)

    async def work(self) -> None:
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await self.stubborn.wait()
            self.journal.add("task over")
            if self.error is not None:
                raise self.error

    async def hook_failed(self, error: BaseException, *, hook: str, client: Client | None) -> None:
        self.journal.add(f"failed {hook}")


class WorkingByClient(Working):
    ordering: Ordering = "client"  # type: ignore[misc]


@pytest.mark.parametrize("kind", [Working, WorkingByClient])
async def test_tasks_of_the_old_side_are_over_before_its_goodbye_and_hold_nobody_up(kind: type[Working]) -> None:
    lobby, room = kind(), Working()
    lobby.target = room
    lobby.stubborn = trio.Event()
    async with (
        serving({"/": lobby, "/room": room}) as server,
        connected(server) as other,
        connected(server) as peer,
    ):
        await lobby.journal.until("connected", 2)
        await peer.send(text("go"), text("1"))
        await lobby.journal.until("text go")
        await other.send(text("2"))
        await lobby.journal.until("text 2")
        await wait_all_tasks_blocked()
        assert (len(lobby.clients), room.notes) == (2, [])
        lobby.stubborn.set()
        await room.journal.until("text 1")
    assert lobby.notes[:6] == ["connected", "connected", "text go", "text 2", "task over", "moved None"]
    assert room.notes[:2] == ["connected", "text 1"]


@pytest.mark.parametrize("kind", [Working, WorkingByClient])
async def test_task_that_fails_in_a_move_is_the_old_sides_matter(kind: type[Working]) -> None:
    lobby, room = kind(), Target()
    lobby.target, lobby.error = room, KeyError("x")
    async with serving({"/": lobby, "/room": room}) as server, connected(server) as peer:
        await peer.send(text("go"), text("1"))
        await room.journal.until("text 1")
    assert lobby.notes == ["connected", "text go", "task over", "failed start_soon", "moved None"]
    assert room.notes[:2] == ["connected", "text 1"]


@pytest.mark.parametrize("kind", [Working, WorkingByClient])
async def test_server_that_is_cut_off_does_not_wait_for_tasks_in_a_move(kind: type[Working]) -> None:
    lobby, room = kind(), Target()
    lobby.target = room
    lobby.stubborn = trio.Event()
    async with serving({"/": lobby, "/room": room}) as server, connected(server) as peer:
        await peer.send(text("go"), text("1"))
        await lobby.journal.until("text go")
        await wait_all_tasks_blocked()
        server.hurry()
        await lobby.journal.until("ended 1006")
        lobby.stubborn.set()
        await server.closed()
        assert local_server_of(server).reactor.budget.held == 0
        assert local_server_of(server).places._headcount.by_place == {}
    assert (lobby.notes[-1], room.notes) == ("task over", [])


class Checking(Target):
    def check_message(
        self, client: Client, kind: Literal["text", "binary"], frame_length: int, total_length: int
    ) -> int | None:
        self.journal.add(f"checked {total_length}")
        return 4009 if total_length > 5 else None


async def test_new_side_is_asked_about_frames() -> None:
    lobby, room = Side(), Checking()
    lobby.target = room
    async with serving({"/": lobby, "/room": room}) as server, connected(server) as peer:
        await peer.send(text("much longer than that"), text("go"))
        await room.journal.until("connected")
        await peer.send(text("12345"), text("123456"))
        assert (await peer.receive_close())[0] == 4009
        await peer.send(close(4009))
        await ended(server, peer)
    assert room.notes == ["connected", "checked 5", "checked 6", "text 12345", "ended 4009"]


async def test_old_side_is_asked_no_more() -> None:
    lobby, room = Side(), Checking()
    room.target = lobby
    async with serving({"/": room, "/lobby": lobby}) as server, connected(server) as peer:
        await peer.send(text("go"))
        await lobby.journal.until("connected")
        await peer.send(text("123456"))
        await lobby.journal.until("text 123456")
    assert room.notes == ["connected", "checked 2", "text go", "moved None"]


async def test_time_of_hooks_is_the_new_sides(patient_clock: MockClock) -> None:
    class Brief(Target):
        timeouts = wsframe.Timeouts(hook=3)

    lobby, room = Side(), Brief()
    lobby.target = room
    async with serving({"/": lobby, "/room": room}) as server, connected(server) as peer:
        await peer.send(text("go"), text("hold"))
        assert (await peer.receive_close())[0] == 1011
        await peer.send(close(1011))
        await ended(server, peer)
    assert room.notes == ["connected", "text hold", "ended 1011"]
