"""A polite client of a busy room: its close frame is answered behind the replies, as long as the hooks get on."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import wsframe
from tests.hostile.place import Recorder
from wsframe.protocol.deadlines import LONGEST
from wsframe.testing import open_kit


class Busy(wsframe.Resource):
    """Answers each message after some seconds; a number says after how many."""

    def __init__(self) -> None:
        self.gone: list[int | None] = []

    async def received_text(self, client: wsframe.Client, message: str) -> None:
        await trio.sleep(float(message))
        client.send_text(message)

    async def disconnected(self, client: wsframe.Client) -> None:
        self.gone.append(client.close_code)


class Elsewhere(Busy):
    ordering = "client"


@pytest.mark.parametrize("seconds", ["0.5", "2", "4"])
async def test_a_polite_client_of_a_busy_room_gets_its_replies(autojump_clock: MockClock, seconds: str) -> None:
    """It takes ten times ``timeouts.close`` until the room has got to it."""
    count = int(50 / float(seconds))
    async with open_kit(Busy()) as kit:
        busy, polite = await kit.connect(), await kit.connect()
        for _ in range(count):
            busy.send_text(seconds)
        polite.send_text("0")
        polite.close(4000)
        assert await polite.closed() == (4000, "")
        assert polite.received() == ["0"]
        assert trio.current_time() == pytest.approx(50, abs=2)


async def test_a_client_with_a_mailbox_of_its_own_gets_its_replies(autojump_clock: MockClock) -> None:
    async with open_kit(Elsewhere()) as kit:
        polite = await kit.connect()
        for _ in range(12):
            polite.send_text("4")
        polite.close(4000)
        assert await polite.closed() == (4000, "")
        assert polite.received() == ["4"] * 12


async def test_a_client_that_moves_gets_its_replies(autojump_clock: MockClock) -> None:
    class Hall(Busy):
        async def received_text(self, client: wsframe.Client, message: str) -> None:
            if message == "move":
                assert client.move_to(room)
            else:
                await super().received_text(client, message)

    registry, hall, room = wsframe.Registry(alone=True), Hall(), Busy()
    registry.register("/", hall)
    registry.register("/room", room)
    async with open_kit(registry) as kit:
        busy, polite = await kit.connect(), await kit.connect()
        polite.send_text("move")
        await wait_all_tasks_blocked()
        for _ in range(6):
            busy.send_text("4")
        for _ in range(6):
            polite.send_text("4")
        polite.close(4000)
        assert await polite.closed() == (4000, "")
        assert polite.received() == ["4"] * 6


async def test_the_end_is_behind_the_replies_however_long_the_machine_stood_still(autojump_clock: MockClock) -> None:
    class Still(Busy):
        async def received_text(self, client: wsframe.Client, message: str) -> None:
            autojump_clock.jump(100)  # to everybody's surprise
            await trio.lowlevel.checkpoint()
            client.send_text(message)

    async with open_kit(Still()) as kit:
        polite = await kit.connect(patience=10_000)
        for number in range(8):
            polite.send_text(str(number))
        polite.close(4000)
        assert await polite.closed() == (4000, "")
        assert polite.received() == list("01234567")


async def test_hooks_that_get_on_for_ever_are_waited_for_within_bounds(autojump_clock: MockClock) -> None:
    room = Busy()
    async with open_kit(room) as kit:
        busy, polite = await kit.connect(), await kit.connect(patience=10_000)
        for _ in range(100):
            busy.send_text("4")
        polite.send_text("0")
        polite.close(4000)
        start = trio.current_time()
        assert await polite.closed() == (4000, "")
        assert polite.received() == []
        assert trio.current_time() - start == pytest.approx(5 * LONGEST, abs=1)
        assert kit.server.statistics().reserved == 2, "its place is kept until disconnected has run"


async def test_a_hook_that_is_stuck_after_some_progress_is_not_waited_for(autojump_clock: MockClock) -> None:
    room = Recorder()
    async with open_kit(room) as kit:
        busy, polite = await kit.connect(), await kit.connect()
        busy.send_text("wait")
        busy.send_text("wait")
        polite.send_text("hello")
        polite.close(4000)
        await trio.sleep(3)
        room.gate.set()
        room.gate = trio.Event()
        assert await polite.closed() == (4000, "")
        assert polite.received() == []
        assert trio.current_time() == pytest.approx(8, abs=1.5)
        room.gate.set()
        await room.until(lambda: "-4000" in room.log)
        assert room.log == ["+", "+", "wait", "wait", "hello", "-4000"]
