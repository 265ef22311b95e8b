"""HTTP answers that their peers do not take."""

import pytest
import trio
from trio.testing import MockClock

import wsframe
from tests.hostile.place import BOUND, Place, Recorder, until
from tests.local_server import local_server_of
from tests.wire import upgrade
from wsframe import Capacity, Timeouts
from wsframe.testing import open_kit

MUCH = 20_000_000


async def large(request: wsframe.Request) -> wsframe.Response:
    """Answer with more than the kernel takes."""
    return wsframe.Response(bytes(MUCH))


async def test_answer_that_is_not_taken_is_reset_at_the_handshakes_deadline(autojump_clock: MockClock) -> None:
    """After an orderly close, the part that the kernel has taken would stay there for as long as the peer likes."""
    async with open_kit(Recorder(), http_handler=large) as kit:
        line = kit.dial()
        line.stall()
        line.send_bytes(upgrade("/", upgrade=None))
        assert await line.ended() == "reset"
        assert trio.current_time() == pytest.approx(10)


async def test_answers_that_are_not_taken_hold_no_place_of_newcomers_and_are_bounded(plain: Place) -> None:
    capacity = Capacity(max_pending_handshakes=3)
    async with plain.serve(
        Recorder(), http_handler=large, capacity=capacity, timeouts=Timeouts(handshake=20)
    ) as served:
        slow = [await served.connect(receive_buffer=4096) for _ in range(3)]
        for peer in slow:
            await peer.send(upgrade("/", upgrade=None))
        await until(lambda: local_server_of(served.server).admission.answering.under_way == 3)
        assert served.server.statistics().pending_handshakes == 0
        honest = await served.open()
        await honest.text("hello")
        assert await honest.message() == "hello"
        beyond = await served.connect(receive_buffer=4096)
        await beyond.send(upgrade("/", upgrade=None))
        with trio.fail_after(BOUND):
            assert await beyond.end() in ("fin", "reset")
        for peer in slow:
            peer.hang_up()
