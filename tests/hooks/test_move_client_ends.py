"""Clients that end, or have ended, while somebody moves them."""

import logging
from urllib.parse import unquote

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import wsframe
from tests.recorder import Recorder
from tests.wire import BOUND, connected, serving, text
from wsframe import Client
from wsframe.resources.resource import Ordering


class Slow(Recorder):
    """Starts a task that takes its time to end; a post moves the one client."""

    def __init__(self, target: wsframe.Resource) -> None:
        super().__init__()
        self.target = target
        self.clean = trio.Event()

    async def received_text(self, client: Client, message: str) -> None:
        await super().received_text(client, message)
        client.start_soon(self.work)

    async def work(self) -> None:
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await self.clean.wait()

    async def received_custom(self, message: object) -> None:
        self.journal.add(f"moved {self.only.move_to(self.target)}")


class SlowByClient(Slow):
    ordering: Ordering = "client"  # type: ignore[misc]


@pytest.mark.parametrize("kind", [Slow, SlowByClient])
async def test_client_whose_end_waits_for_its_tasks_ends_where_it_is(kind: type[Slow]) -> None:
    room = Recorder()
    lobby = kind(room)
    async with serving({"/": lobby, "/room": room}) as server, connected(server) as peer:
        await peer.send(text("1"))
        await lobby.journal.until("text 1")
        peer.reset()
        while lobby.only.state is not wsframe.State.CLOSED:  # noqa: ASYNC110
            await trio.sleep(0.005)
        await wait_all_tasks_blocked()
        lobby.post(None)
        await lobby.journal.when(lambda notes: any(note.startswith("moved") for note in notes))
        await wait_all_tasks_blocked()
        lobby.clean.set()
        with trio.fail_after(BOUND):
            while server.statistics().reserved:  # noqa: ASYNC110
                await trio.sleep(0.005)
    assert lobby.notes == ["connected", "text 1", "moved False", "disconnected 1006"]
    assert room.notes == []


async def test_reason_of_a_refused_move_forges_no_log_line(caplog: pytest.LogCaptureFixture) -> None:
    def no_room(request: wsframe.Request) -> wsframe.Resource:
        raise wsframe.Reject(404, body=f"no room {unquote(request.path)}")

    class Lobby(Recorder):
        async def received_text(self, client: Client, message: str) -> None:
            self.journal.add(f"moved {client.move_to(message)}")

    lobby = Lobby()
    registry = wsframe.Registry()
    registry.register("/", lobby)
    registry.register_factory("/rooms/{name}", no_room)
    with caplog.at_level(logging.INFO, "wsframe"), trio.fail_after(BOUND):
        async with wsframe.open_server(registry, port=0) as server, connected(server) as peer:
            await peer.send(text("/rooms/x%0Awsframe:%20all%20is%20well%1B[2J"))
            await lobby.journal.until("moved False")
            await peer.finish()
    assert caplog.messages
    assert all(message.isprintable() for message in caplog.messages)
