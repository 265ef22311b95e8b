"""All pumps in one task: each carries its own connection, and a fault or a stall costs that one alone."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, suppress

import pytest
import trio
from trio.testing import MockClock

from tests.patience import PATIENCE
from wsframe.net.poller import PollerChoice
from wsframe.net.pump import AT_ONCE, Pump
from wsframe.net.pump_loop import PumpLoop
from wsframe.net.transport import FAREWELL, Transport

STALL = 30.0


class Pair:
    """A pump in a loop, with its far ends."""

    def __init__(self, loop: PumpLoop, stack: ExitStack) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            self.client = stack.enter_context(socket.create_connection(listening.getsockname()))
            accepted, _ = listening.accept()
        ours, self.owner = socket.socketpair()
        stack.enter_context(self.owner)
        for sock in (accepted, ours, self.client, self.owner):
            sock.setblocking(False)
        self.pump = Pump(Transport(accepted), ours, write_stall=STALL, clock=trio.current_time)
        loop.adopt(self.pump)

    async def echo(self, text: bytes) -> None:
        """Have some bytes go there and back."""
        self.client.send(text)
        assert await receive(self.owner, len(text)) == text
        self.owner.send(text)
        assert await receive(self.client, len(text)) == text


async def receive(sock: socket.socket, count: int) -> bytes:
    data = b""
    with trio.fail_after(PATIENCE):
        while len(data) < count:
            await trio.lowlevel.wait_readable(sock)
            data += sock.recv(count - len(data))
    return data


@asynccontextmanager
async def opened(count: int, poller: PollerChoice = "auto") -> AsyncIterator[tuple[PumpLoop, list[Pair]]]:
    loop = PumpLoop(poller)
    with ExitStack() as stack:
        async with trio.open_nursery() as nursery:
            await nursery.start(loop.run)
            yield loop, [Pair(loop, stack) for _ in range(count)]
            nursery.cancel_scope.cancel()
    assert len(loop) == 0


async def test_each_pump_carries_its_own_connection() -> None:
    async with opened(20) as (loop, pairs):
        async with trio.open_nursery() as nursery:
            for number, pair in enumerate(pairs):
                nursery.start_soon(pair.echo, b"%d" % number * 5)
        assert len(loop) == loop.carried == 20
        assert loop.moved == sum(2 * 5 * len(str(number)) for number in range(20))


def overfill(sock: socket.socket) -> int:
    """Send until the kernel takes no more; return how many bytes it took."""
    taken = 0
    with suppress(BlockingIOError):
        while True:
            taken += sock.send(b"x" * 65536)
    return taken


async def test_a_stalled_client_costs_the_others_nothing_and_holds_one_read() -> None:
    async with opened(3) as (loop, (stalled, *others)):
        for _ in range(50):  # until the kernels are full on both sides of the pump
            overfill(stalled.owner)
            await trio.sleep(0.001)
        for pair in others:
            await pair.echo(b"x" * 10_000)
        assert 0 < loop.held <= AT_ONCE


async def test_a_bug_of_ours_costs_one_connection(caplog: pytest.LogCaptureFixture) -> None:
    async with opened(2) as (loop, (broken, other)):

        def fail(data: memoryview) -> None:
            raise RuntimeError("a bug")

        broken.pump._seen = fail
        broken.owner.send(b"x")
        with trio.fail_after(PATIENCE):
            while len(loop) == 2:  # noqa: ASYNC110
                await trio.sleep(0.001)
        await other.echo(b"still here")
    assert "a pump failed" in caplog.text


@pytest.mark.parametrize("step", ["leave", "check"])
async def test_a_bug_in_any_step_costs_one_connection(
    step: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(2) as (loop, (broken, other)):

        def fail(self: Pump, *_: bytes) -> None:
            raise RuntimeError("a bug")

        with monkeypatch.context() as patch:
            patch.setattr(Pump, step, fail)
            if step == "leave":
                loop.leave(broken.pump, b"bye")
            else:
                broken.pump.due = trio.current_time()
                loop._note(broken.pump)
            with trio.fail_after(PATIENCE):
                while len(loop) == 2:  # noqa: ASYNC110
                    await trio.sleep(0.001)
        await other.echo(b"still here")
    assert "a pump failed" in caplog.text


async def test_each_poller_carries_in_both_directions() -> None:
    async with opened(2, "task") as (_, pairs):
        await trio.sleep(0.01)  # until all of its tasks wait
        for pair in pairs:
            await pair.echo(b"by tasks")


async def test_a_look_that_comes_to_be_due_earlier_is_kept(patient_clock: MockClock) -> None:
    async with opened(1) as (loop, (pair,)):
        pump, looks = pair.pump, list[float]()
        start = trio.current_time()
        for due in (100.0, 1.0):
            pump.due = start + due
            loop._note(pump)
            await trio.sleep(0.1)
        with trio.move_on_after(50):
            while pump.due < start + 100:
                await trio.sleep(0.5)
                looks.append(pump.due)
        assert trio.current_time() < start + 10
        assert looks
        pair.client.close()


async def test_the_end_of_the_loop_resets_what_is_left() -> None:
    async with opened(1) as (_, (pair,)):
        await pair.echo(b"x")
        left = pair.client.dup()
    with left, pytest.raises(ConnectionResetError):
        left.recv(1)


async def test_leaving_ends_in_order_and_is_waited_for() -> None:
    async with opened(2) as (loop, pairs):
        for pair in pairs:
            loop.leave(pair.pump, b"bye")
            assert await receive(pair.client, 3) == b"bye"
            assert await receive(pair.owner, 1 - 1) == b""
            pair.client.close()
        with trio.fail_after(PATIENCE):
            await loop.until_empty()


async def test_aborting_resets() -> None:
    async with opened(1) as (loop, (pair,)):
        loop.abort(pair.pump, "a test")
        assert len(loop) == 0
        await trio.lowlevel.wait_readable(pair.client)
        with pytest.raises(ConnectionResetError):
            pair.client.recv(1)
        loop.abort(pair.pump, "again")
        loop.leave(pair.pump, b"")


async def test_deadlines_are_kept(patient_clock: MockClock) -> None:
    async with opened(2) as (loop, (stalled, leaving)):
        while overfill(stalled.owner):  # noqa: ASYNC110
            await trio.sleep(0.001)  # until nothing moves any more
        loop.leave(leaving.pump, b"")
        before = trio.current_time()
        await loop.until_empty()
        assert trio.current_time() - before >= FAREWELL
    assert leaving.pump.reason == ""
    assert stalled.pump.reason == "write stall"
