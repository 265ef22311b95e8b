"""The supervision of an engine's connections, under a fake clock."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock

from tests.backplane.fake_engine import FakeEngine, nodes
from tests.user_code.breaking import Panic
from wsframe.backplane.engines.engine import BackplaneRefused, LinkLost
from wsframe.backplane.engines.envelope import EVERY_TOPIC
from wsframe.backplane.engines.supervised import SupervisedBackplane
from wsframe.backplane.interface import History, Lease, Position
from wsframe.testing.backplanes import PublishConformance, Recording


class TestFake(PublishConformance):
    @asynccontextmanager
    async def service(self) -> AsyncIterator[object]:  # type: ignore[override]
        engine = FakeEngine()
        yield lambda: SupervisedBackplane(engine)


async def test_a_killed_connection_is_replaced_and_topics_are_subscribed_again(autojump_clock: MockClock) -> None:
    engine = FakeEngine()
    async with nodes(engine, "a", "b") as (a, b):
        await b.want("t", "u")
        engine.kill()
        await a.told.until(lambda: a.told.gaps)
        await b.told.until(lambda: len(b.told.wants) == 4)
        assert b.told.order[:5] == ["reach True", "wanted t", "wanted u", "reach False", "gap None"]
        a.backplane.publish("u", b"x")
        await b.told.until(lambda: b.told.payloads("u"))


async def test_a_batch_in_flight_when_the_connection_breaks_is_a_gap_at_nodes_that_kept_theirs(
    autojump_clock: MockClock,
) -> None:
    engine = FakeEngine()
    async with nodes(engine, "a", "b") as (a, b):
        await b.want("t")
        engine.refusing = ConnectionError("broken")
        a.backplane.publish("t", b"lost")
        await a.told.until(lambda: a.told.reached[-1] is False)
        engine.refusing = None
        await b.told.until(lambda: b.told.gaps)
        assert (b.told.gaps, b.told.messages, b.told.reached) == (["t"], [], [True])


async def test_an_engine_out_of_reach_is_told_once_and_tried_until_it_is_there(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    engine = FakeEngine()
    engine.failure = OSError("connection refused")
    told = Recording()
    backplane = SupervisedBackplane(engine)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(backplane.run, "a", told)
        await trio.sleep(60)
        assert told.reached == [False]
        assert 50 < engine.attempts < 200
        lines = [line.getMessage() for line in caplog.records if line.levelname == "WARNING"]
        assert lines == ["the backplane at fake://engine cannot be reached: connection refused; trying again"]
        engine.failure = None
        began = trio.current_time()
        await told.until(lambda: told.reached[-1])
        assert trio.current_time() - began <= 3
        assert told.gaps == []
        nursery.cancel_scope.cancel()


async def test_an_engine_that_is_silent_is_told_in_words(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    engine = FakeEngine()
    async with nodes(engine, "a") as (a,):
        engine.frozen = True
        assert await a.backplane.newest("t") is None
        await a.told.until(lambda: a.told.reached[-1] is False)
        engine.failure = trio.TooSlowError()
        engine.frozen = False
        await trio.sleep(5)
    engine.failure = trio.TooSlowError()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(SupervisedBackplane(engine).run, "b", Recording())
        await trio.sleep(5)
        nursery.cancel_scope.cancel()
    assert "the backplane at fake://engine cannot be reached: it does not answer in time; trying again" in caplog.text
    assert "TooSlowError" not in caplog.text


async def test_an_engine_that_refuses_at_first_ends_the_backplane(autojump_clock: MockClock) -> None:
    engine = FakeEngine()
    engine.failure = BackplaneRefused("a wrong password")
    with pytest.RaisesGroup(BackplaneRefused, flatten_subgroups=True, allow_unwrapped=True):
        await SupervisedBackplane(engine).run("a", Recording())


async def test_an_engine_that_refuses_later_is_tried_again(autojump_clock: MockClock) -> None:
    engine = FakeEngine()
    async with nodes(engine, "a") as (a,):
        engine.failure = BackplaneRefused("another password")
        engine.kill()
        await trio.sleep(5)
        engine.failure = None
        await a.told.until(lambda: a.told.reached[-1])


@pytest.mark.parametrize("where", ["connect", "publish", "lease"])
async def test_a_panic_of_a_client_library_is_an_error_like_others(autojump_clock: MockClock, where: str) -> None:
    """One is written in Rust, whose panics are no ``Exception``."""
    engine = FakeEngine()
    async with nodes(engine, "a", "b") as (a, b):
        await b.want("t")
        if where == "connect":
            engine.failure = Panic()
            engine.kill()
        elif where == "publish":
            engine.refusing = Panic()
            a.backplane.publish("t", b"x")
        else:
            engine.denying = Panic()
            assert await a.backplane.renew([Lease("k", 1, 0.0)], 5.0) == [None]
            assert await a.backplane.acquire(["k"], 5.0) == [""]
        await a.told.until(lambda: a.told.reached[-1] is False)
        engine.failure = engine.refusing = engine.denying = None
        await a.told.until(lambda: a.told.reached[-1])
        await trio.sleep(5)
        a.backplane.publish("t", b"y")
        await b.told.until(lambda: b.told.payloads("t") == [b"y"])


async def test_requests_to_an_engine_that_does_not_answer_end(autojump_clock: MockClock) -> None:
    engine = FakeEngine()
    lease = Lease("k", 1, 0.0)
    async with nodes(engine, "a") as (a,):
        assert await a.backplane.since("t", Position(1, 1), 1) is None  # it raises
        engine.frozen = True
        assert await a.backplane.newest("t") is None
        assert await a.backplane.kept("t") is None
        assert await a.backplane.acquire(["k"], 5.0) == [""]
        assert await a.backplane.renew([lease], 5.0) == [None]
        await a.backplane.release([lease])


@pytest.mark.parametrize("method", ["acquire", "renew", "newest"])
async def test_an_engine_that_refuses_a_request_is_connected_again(
    method: str, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    engine = FakeEngine()
    async with nodes(engine, "a") as (a,):
        engine.denying = RuntimeError("READONLY You can't write against a read only replica.")
        if method == "acquire":
            assert await a.backplane.acquire(["k"], 5.0) == [""]
        elif method == "renew":
            assert await a.backplane.renew([Lease("k", 1, 0.0)], 5.0) == [None]
        else:
            assert await a.backplane.since("t", Position(1, 1), 1) is None
        await a.told.until(lambda: a.told.reached == [True, False, True])
        assert engine.attempts == 2
        assert len([line for line in caplog.records if line.levelname == "WARNING"]) == 1


async def test_an_engine_that_goes_on_refusing_is_connected_again_more_and_more_seldom(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    engine = FakeEngine()
    async with nodes(engine, "a", "b") as (a, b):
        await b.want("t")
        engine.denying = RuntimeError("MISCONF it cannot write to disk")
        for _ in range(1200):
            assert await a.backplane.renew([Lease("k", 1, 0.0)], 5.0) == [None]
            await trio.sleep(0.5)
        assert 5 < engine.attempts < 25
        a.backplane.publish("t", b"messages pass all the same")
        await b.told.until(lambda: b.told.payloads("t"))
        lines = [line for line in caplog.records if "request to the backplane" in line.getMessage()]
        assert 1 < len(lines) < 15, "once a minute, for ten"
        engine.denying, before = None, engine.attempts
        assert await a.backplane.renew([Lease("k", 1, 0.0)], 5.0) != [None]
        assert engine.attempts == before


def topics_sent(engine: FakeEngine, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that gets the topic of each message that an engine sends from now on."""
    sent, send = list[str](), engine.send

    def record(topic: str, data: bytes) -> None:
        sent.append(topic)
        send(topic, data)

    monkeypatch.setattr(engine, "send", record)
    return sent


async def test_a_connection_to_a_replica_ends_however_much_was_refused_before(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = FakeEngine()
    sent = topics_sent(engine, monkeypatch)
    async with nodes(engine, "a") as (a,):
        engine.refusing_kept = RuntimeError("OOM")
        for _ in range(20):
            a.backplane.publish("h", b"x", keep=History(messages=1))
            await trio.sleep(0.5)
        before = engine.attempts
        assert EVERY_TOPIC not in sent
        engine.refusing = LinkLost("it is a replica")
        await trio.sleep(2)
        assert engine.attempts > before + 2
        engine.refusing = None
        await trio.sleep(2)
        assert a.told.reached[-1]
        assert EVERY_TOPIC in sent, "messages that it took before are in doubt, of all topics"


async def test_an_engine_that_keeps_nothing_still_carries_other_messages(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    engine = FakeEngine()
    async with nodes(engine, "a", "b") as (a, b):
        await b.want("t")
        engine.refusing_kept = RuntimeError("OOM command not allowed when used memory > 'maxmemory'.")
        for number in range(1200):
            a.backplane.publish("h", b"x", keep=History(messages=1))
            a.backplane.publish("t", str(number).encode())
            await trio.sleep(0.5)
        assert engine.attempts < 25
        assert len(b.told.payloads("t")) > 1150
        assert b.told.reached == [True]
        assert 1 < len([line for line in caplog.records if "refuses messages: OOM" in line.getMessage()]) < 15
        engine.refusing_kept = None
        await trio.sleep(2)
        a.backplane.publish("t", b"all is well")
        await b.told.until(lambda: b.told.payloads("t")[-1:] == [b"all is well"])


async def test_a_connection_that_breaks_after_a_refusal_loses_nothing_that_waits(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = FakeEngine()
    sent = topics_sent(engine, monkeypatch)
    async with nodes(engine, "a") as (a,):
        engine.refusing_kept = RuntimeError("OOM")
        a.backplane.publish("h", b"x", keep=History(messages=1))
        await a.told.until(lambda: a.told.reached == [True, False, True])
        a.backplane.publish("h", b"x", keep=History(messages=1))  # now the connection is trusted
        await trio.sleep(0.01)
        engine.refusing_kept, engine.refusing = None, ConnectionError("broken")
        for number in range(100):
            assert a.backplane.publish("t", str(number).encode())
        with trio.fail_after(60):
            await a.told.until(lambda: a.told.reached == [True, False, True, False])
        engine.refusing = None
        await trio.sleep(10)
        assert sent.count("t") == 100


@pytest.mark.parametrize("give_up", ["too late", "cancelled"])
async def test_a_lease_that_is_granted_when_nobody_waits_for_it_is_given_back(
    give_up: str, autojump_clock: MockClock
) -> None:
    engine = FakeEngine()
    async with nodes(engine, "a", "b") as (a, b):
        engine.delay = 3.0
        if give_up == "cancelled":
            with trio.move_on_after(1):
                await a.backplane.acquire(["k", "l"], 5.0)
        else:
            assert await a.backplane.acquire(["k", "l"], 5.0) == ["", ""]
        await trio.sleep(2.5)
        assert sorted(engine.leases) == ["k", "l"]
        engine.delay = 0.0
        await trio.sleep(3)
        assert engine.leases == {}
        (got,) = await b.backplane.acquire(["k"], 5.0)
        assert isinstance(got, Lease)


async def test_a_request_for_leases_ends_with_its_connection(autojump_clock: MockClock) -> None:
    engine = FakeEngine()
    async with nodes(engine, "a") as (a,):
        engine.delay = 1.5
        begun = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(a.backplane.acquire, ["k"], 5.0)
            await trio.sleep(0.1)
            engine.kill()
        assert trio.current_time() < begun + 1


def test_its_repr_names_the_engine() -> None:
    assert repr(SupervisedBackplane(FakeEngine())) == "<SupervisedBackplane fake://engine>"
