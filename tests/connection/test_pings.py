"""Pings that a caller waits for."""

import trio
from trio.testing import MockClock

from tests.kernel import Rig
from wsframe.connection.pings import MAX_PINGS, Pings


class Clock:
    """Stands still until it is set."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


async def test_a_pong_brings_the_seconds_since_its_ping() -> None:
    rig, clock = Rig(), Clock()
    pings = Pings(rig.outbox, clock)
    signal = pings.send()
    assert signal is not None
    rig.outbox.flush()
    (payload,) = rig.kernel.payloads
    clock.now += 0.25
    assert not pings.take_pong(b"another"), "of somebody else"
    assert await signal.wait(0) is None
    assert pings.take_pong(payload)
    assert await signal.wait() == 0.25
    assert not pings.take_pong(payload), "a second pong"


async def test_a_peer_that_answers_none_costs_the_oldest_its_answer(autojump_clock: MockClock) -> None:
    rig = Rig()
    pings = Pings(rig.outbox, Clock())
    signals, ended = [], 0
    for _ in range(MAX_PINGS + 2):
        signals.append(pings.send())
        rig.outbox.flush()
    assert all(signals)
    with trio.move_on_after(1) as scope:
        for signal in signals:
            assert signal is not None
            await signal.wait()
            ended += 1
    assert (ended, scope.cancelled_caught) == (2, True)


async def test_given_up_all_of_them_end_without_a_time() -> None:
    pings = Pings(Rig().outbox, Clock())
    pings.give_up()
    signal = pings.send()
    pings.give_up()
    assert signal is not None
    assert await signal.wait() is None
