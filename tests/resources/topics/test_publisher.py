"""Programs that only publish."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.backplane.fake_engine import FakeEngine, nodes
from tests.backplane.relays import relay
from tests.patience import PATIENCE
from wsframe import Resource
from wsframe.backplane.engines.engine import BackplaneRefused
from wsframe.backplane.engines.supervised import SupervisedBackplane
from wsframe.backplane.interface import History
from wsframe.backplane.memory import MemoryBackplane, MemoryHub
from wsframe.backplane.relay.backplane import RelayBackplane
from wsframe.resources.topics.publisher import open_backplane
from wsframe.testing import open_kit
from wsframe.testing.backplanes import Recording


class Prices(Resource):
    async def client_connected(self, client: Any) -> None:
        self.subscribe(client, "prices")


async def test_messages_reach_the_subscribers_of_servers() -> None:
    hub = MemoryHub()
    async with open_kit(Prices(), backplane=MemoryBackplane(hub)) as kit, open_backplane(MemoryBackplane(hub)) as shop:
        page = await kit.connect()
        await wait_all_tasks_blocked()
        assert shop.publish_text("prices", "ACME 12")
        assert shop.publish_text("prices", b"ACME 13", history=History())
        assert shop.publish_binary("prices", b"\x0d")
        assert [await page.receive() for _ in range(3)] == ["ACME 12", "ACME 13", b"\x0d"]


async def test_topics_and_messages_are_checked() -> None:
    async with open_backplane(MemoryBackplane(MemoryHub())) as shop:
        with pytest.raises(ValueError, match="1 to 255 bytes"):
            shop.publish_text("", "x")
        with pytest.raises(TypeError, match="int"):
            shop.publish_text("t", 1)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="key"):
            shop.publish_binary("t", b"x", key=object())  # type: ignore[arg-type]


@pytest.mark.skipif(not hasattr(trio, "open_unix_socket"), reason="no unix sockets here")
async def test_leaving_waits_until_all_is_sent_to_a_relay(tmp_path: Path) -> None:
    path, told = tmp_path / "relay", Recording()
    with trio.fail_after(PATIENCE):
        async with relay(path), trio.open_nursery() as nursery:
            other = RelayBackplane(str(path))
            other.want(["t"])
            await nursery.start(other.run, "other", told)
            await told.until(lambda: told.wants)
            async with open_backplane(str(path)) as shop:
                for _ in range(1_000):
                    assert shop.publish_text("t", "x" * 1_000)
            await told.until(lambda: len(told.messages) == 1_000)
            nursery.cancel_scope.cancel()


async def test_leaving_waits_until_all_is_sent_to_an_engine(autojump_clock: MockClock) -> None:
    engine = FakeEngine()
    async with nodes(engine, "b") as (b,):
        await b.want("t")
        async with open_backplane(SupervisedBackplane(engine)) as shop:
            for _ in range(1_000):
                assert shop.publish_text("t", "x")
        assert len(b.told.messages) == 1_000


async def test_leaving_an_engine_that_does_not_answer_is_bounded(autojump_clock: MockClock) -> None:
    engine = FakeEngine()
    async with open_backplane(SupervisedBackplane(engine), patience=1.0) as shop:
        engine.frozen = True
        assert shop.publish_text("t", "x")
        began = trio.current_time()
    assert trio.current_time() - began <= 1.0


async def test_a_program_can_wait_until_the_engine_is_back(autojump_clock: MockClock) -> None:
    engine = FakeEngine()
    async with open_backplane(SupervisedBackplane(engine)) as shop:
        await shop.reached()
        engine.kill()
        await trio.sleep(0.001)
        assert not shop.publish_text("t", "x")
        await shop.reached()
        assert shop.publish_text("t", "x")


async def test_errors_come_out_as_they_are(autojump_clock: MockClock) -> None:
    with pytest.raises(ValueError, match="is not the address"):
        async with open_backplane("nats://h"):
            pass
    engine = FakeEngine()
    with pytest.raises(KeyError):
        async with open_backplane(SupervisedBackplane(engine)):
            raise KeyError
    engine.failure = BackplaneRefused("a wrong password")
    with pytest.raises(BackplaneRefused, match="a wrong password"):
        async with open_backplane(SupervisedBackplane(engine)):
            pass


async def test_its_repr_names_the_engine(autojump_clock: MockClock) -> None:
    async with open_backplane(SupervisedBackplane(FakeEngine())) as shop:
        assert repr(shop) == "<Publisher <SupervisedBackplane fake://engine>>"
