"""Subscriptions to channels, and events while one begins."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.centrifuge.speaking import Speaker, connected, speaking
from tests.user_code.breaking import Panic
from wsframe import Client
from wsframe.centrifuge import CentrifugeResource, Connected, Subscribed
from wsframe.centrifuge.subscription import MOST_HELD


class Waiting(CentrifugeResource):
    """Waits in ``subscribing`` until the test goes on."""

    def __init__(self) -> None:
        self.go_on = trio.Event()
        self.ended: list[str] = []

    async def subscribing(self, client: Client, channel: str, data: object) -> Subscribed | None:
        await self.go_on.wait()
        return None

    async def unsubscribed(self, client: Client, channel: str) -> None:
        self.ended.append(channel)


async def test_a_client_that_leaves_while_its_subscription_begins_is_never_live() -> None:
    resource = Waiting()
    async with speaking(resource) as kit:
        speaker = await connected(kit)
        speaker.send({"subscribe": {"channel": "c"}})
        await wait_all_tasks_blocked()
        speaker.client.close()
        await wait_all_tasks_blocked()
        resource.go_on.set()
        await speaker.end()
        await wait_all_tasks_blocked()
        assert resource._service is not None
        assert resource._service.sessions.channel("c") is None
        resource.publish("c", 1)


async def test_a_panic_in_unsubscribed_costs_its_client_alone(autojump_clock: MockClock) -> None:
    class Panicking(CentrifugeResource):
        async def subscribing(self, client: Client, channel: str, data: object) -> Subscribed:
            return Subscribed(expires=1)

        async def unsubscribed(self, client: Client, channel: str) -> None:
            raise Panic

    async with speaking(Panicking()) as kit:
        a, b = await connected(kit), await connected(kit)
        await a.ask("subscribe", channel="c")
        await trio.sleep(5)
        assert (await a.end())[0] == 3004
        assert await b.ask("ping") == {}


async def test_clients_of_one_resource_do_not_wait_for_each_other() -> None:
    resource = Waiting()
    async with speaking(resource) as kit:
        a, b = await connected(kit), await connected(kit)
        a.send({"subscribe": {"channel": "c"}})
        await wait_all_tasks_blocked()
        assert await b.ask("ping") == {}
        resource.go_on.set()
        assert await a.next() == {"id": 2, "subscribe": {}}


async def test_the_server_cannot_subscribe_a_client_that_is_just_subscribing() -> None:
    resource = Waiting()
    async with speaking(resource) as kit:
        speaker = await connected(kit)
        (client,) = resource.clients
        speaker.send({"subscribe": {"channel": "c"}})
        await wait_all_tasks_blocked()
        assert not await resource.add_subscription(client, "c")
        connection = resource.connection_of(client)
        assert connection is not None
        assert connection.channels == ()
        resource.go_on.set()
        assert await speaker.next() == {"id": 2, "subscribe": {}}


async def test_more_publications_than_can_wait_have_the_client_begin_anew() -> None:
    class Flooding(CentrifugeResource):
        async def connecting(self, client: Client, token: str, data: object) -> Connected:
            return Connected(subscriptions={"a": Subscribed(), "b": Subscribed(data="flood")})

        def encode_json(self, message: object) -> str:
            if message == "flood":
                for number in range(MOST_HELD + 1):
                    self.publish("a", number)
            return str(super().encode_json(message))

    async with speaking(Flooding()) as kit:
        speaker = Speaker(await kit.connect())
        speaker.send({"connect": {}})
        assert await speaker.end() == (3010, "insufficient state")


async def test_a_server_subscription_that_fails_leaves_nothing_behind() -> None:
    class Failing(CentrifugeResource):
        async def connecting(self, client: Client, token: str, data: object) -> Connected:
            return Connected(subscriptions={"a": Subscribed(), "b": Subscribed(data=object())})

    resource = Failing()
    async with speaking(resource) as kit:
        speaker = Speaker(await kit.connect())
        assert (await speaker.ask("connect"))["code"] == 100
        assert resource._service is not None
        assert [resource._service.sessions.channel(name) for name in "ab"] == [None, None]


async def test_an_action_that_fails_leaves_nothing_behind() -> None:
    resource = CentrifugeResource[Any]()
    async with speaking(resource) as kit:
        await connected(kit)
        (client,) = resource.clients
        with pytest.raises(TypeError):
            await resource.add_subscription(client, "c", Subscribed(data=object()))
        assert await resource.add_subscription(client, "c")


async def test_a_channel_that_the_server_names_twice_is_one_subscription() -> None:
    class Twice(CentrifugeResource):
        async def connecting(self, client: Client, token: str, data: object) -> Connected:
            return Connected(subscriptions=["a", "b", "a"])

    async with speaking(Twice()) as kit:
        answer = await Speaker(await kit.connect()).ask("connect")
        assert sorted(answer["subs"]) == ["a", "b"]
