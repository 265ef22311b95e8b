"""The class that users subclass: its checks, its actions, and the end of its clients."""

from __future__ import annotations

from typing import Any

import pytest
import trio

import wsframe
from tests.centrifuge.speaking import Speaker, connected, speaking
from wsframe import Client
from wsframe.backplane import History, MemoryBackplane, MemoryHub
from wsframe.centrifuge import CentrifugeResource, Connected, Subscribed
from wsframe.testing import open_kit


class Noting(CentrifugeResource):
    def __init__(self) -> None:
        self.ended: list[str] = []

    async def unsubscribed(self, client: Client, channel: str) -> None:
        self.ended.append(channel)


def test_hooks_are_checked_when_the_class_is_made() -> None:
    with pytest.raises(TypeError, match="write 'async def connecting'"):

        class Plain(CentrifugeResource):
            def connecting(self, client: Any, token: Any, data: Any) -> Any: ...

    with pytest.raises(TypeError, match=r"Fewer.rpc takes \(self, client\)"):

        class Fewer(CentrifugeResource):
            async def rpc(self, client: Any) -> Any: ...  # type: ignore[override]


def test_a_misspelt_hook_is_a_warning() -> None:
    with pytest.warns(UserWarning, match="did you mean subscribing"):

        class Misspelt(CentrifugeResource):
            async def subscribin(self, client: Any, channel: Any, data: Any) -> None: ...


@pytest.mark.parametrize("name", ["options", "subscription"])
def test_options_of_another_type_are_refused(name: str) -> None:
    with pytest.raises(TypeError, match=rf"Wrong.{name} is a "):
        type("Wrong", (CentrifugeResource,), {name: {"ping": 1}})


@pytest.mark.parametrize("tokens", ["secret", object(), 7])
def test_a_verifier_has_its_two_methods(tokens: object) -> None:
    with pytest.raises(TypeError, match=r"Wrong.tokens has no coroutine function 'connection'"):
        type("Wrong", (CentrifugeResource,), {"tokens": tokens})


async def test_a_hook_that_fails_at_the_end_of_one_subscription_leaves_those_of_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Failing(Noting):
        async def unsubscribed(self, client: Client, channel: str) -> None:
            await super().unsubscribed(client, channel)
            raise RuntimeError(f"oh {channel}")

    resource = Failing()
    async with speaking(resource) as kit:
        speaker = await connected(kit)
        await speaker.ask("subscribe", channel="a")
        await speaker.ask("subscribe", channel="b")
        speaker.client.close()
        await speaker.end()
    assert resource.ended == ["a", "b"]
    assert "oh a" in caplog.text
    assert "oh b" in caplog.text


def test_messages_of_a_client_are_not_dropped_in_the_middle() -> None:
    with pytest.raises(ValueError, match="must not miss messages"):
        type("Dropping", (CentrifugeResource,), {"overflow": "drop_oldest"})


def test_hooks_of_a_resource_call_those_of_the_protocol() -> None:
    with pytest.raises(TypeError, match=r"must call super\(\).disconnected"):

        class Forgetful(CentrifugeResource):
            async def disconnected(self, client: Client) -> None: ...

    class Polite(CentrifugeResource):
        async def disconnected(self, client: Client) -> None:
            await super().disconnected(client)


def test_clients_are_not_handed_over_to_a_new_process() -> None:
    with pytest.raises(TypeError, match="connect again by themselves"):

        class Handing(CentrifugeResource):
            async def hand_over(self) -> bytes:
                return b""


async def test_protobuf_is_refused_for_good() -> None:
    async with open_kit(CentrifugeResource()) as kit:
        client = await kit.connect(subprotocols=["centrifuge-protobuf"])
        client.send_binary(b"\x02\x08\x01")
        assert tuple(await client.closed()) == (3506, "inappropriate protocol")


async def test_the_subprotocol_of_the_sdks_is_agreed_on() -> None:
    async with open_kit(CentrifugeResource()) as kit:
        assert (await kit.connect(subprotocols=["centrifuge-json"])).subprotocol == "centrifuge-json"
        assert (await kit.connect()).subprotocol is None


async def test_a_resource_that_is_not_served_cannot_publish() -> None:
    with pytest.raises(RuntimeError, match="not being served"):
        CentrifugeResource().publish("c", 1)


@pytest.mark.parametrize(
    ("channel", "data", "error"),
    [("", 1, ValueError), ("x" * 201, 1, ValueError), (7, 1, TypeError), ("c", float("nan"), ValueError)],
)
async def test_the_program_learns_of_messages_that_cannot_be_published(
    channel: Any, data: Any, error: type[Exception]
) -> None:
    resource = CentrifugeResource[None]()
    async with speaking(resource):
        with pytest.raises(error):
            resource.publish(channel, data)


async def test_channels_and_topics_are_apart() -> None:
    resource = CentrifugeResource[None]()
    async with speaking(resource) as kit:
        speaker = await connected(kit)
        await speaker.ask("subscribe", channel="c")
        kit.server.publish_text("c", "raw")
        resource.publish("c", None, tags={"a": "b"})
        assert (await speaker.push())["pub"] == {"data": None, "tags": {"a": "b"}}


async def test_two_resources_of_a_server_share_their_channels() -> None:
    registry = wsframe.Registry()
    one, other = CentrifugeResource[None](), CentrifugeResource[None]()
    registry.register("/one", one)
    registry.register("/other", other)
    async with open_kit(registry) as kit:
        await kit.connect("/other")
        speaker = Speaker(await kit.connect("/one"))
        await speaker.ask("connect")
        await speaker.ask("subscribe", channel="c")
        other.publish("c", 1)
        assert (await speaker.push())["pub"] == {"data": 1}


async def test_the_server_subscribes_clients_when_they_connect() -> None:
    class Serving(Noting):
        subscription = Subscribed(data="default")

        async def connecting(self, client: Client, token: str, data: object) -> Connected:
            return Connected(subscriptions=["a", "b"] if data is None else {"c": Subscribed(data=1)})

    resource = Serving()
    async with speaking(resource) as kit:
        speaker = Speaker(await kit.connect())
        assert (await speaker.ask("connect"))["subs"] == {"a": {"data": "default"}, "b": {"data": "default"}}
        resource.publish("b", 1)
        assert await speaker.push() == {"channel": "b", "pub": {"data": 1}}
        other = Speaker(await kit.connect())
        assert (await other.ask("connect", data=1))["subs"] == {"c": {"data": 1}}
        speaker.client.close()
        await speaker.end()
    assert sorted(resource.ended) == ["a", "b", "c"]


async def test_too_many_subscriptions_by_the_server_close_the_client() -> None:
    class Generous(CentrifugeResource):
        async def connecting(self, client: Client, token: str, data: object) -> Connected:
            return Connected(subscriptions=[str(number) for number in range(200)])

    async with speaking(Generous()) as kit:
        speaker = Speaker(await kit.connect())
        speaker.send({"connect": {}})
        assert await speaker.end() == (3505, "channel limit")


async def test_the_server_subscribes_and_unsubscribes_connected_clients() -> None:
    resource = Noting()
    async with speaking(resource) as kit:
        silent = await kit.connect()
        (client,) = resource.clients
        assert resource.connection_of(client) is None
        assert not await resource.add_subscription(client, "c")
        assert not await resource.remove_subscription(client, "c")
        silent.close()
        await silent.closed()
        speaker = await connected(kit)
        (client,) = resource.clients
        assert await resource.add_subscription(client, "c", Subscribed(data=1))
        assert not await resource.add_subscription(client, "c")
        assert await speaker.push() == {"channel": "c", "subscribe": {"data": 1}}
        resource.publish("c", 1)
        assert (await speaker.push())["pub"] == {"data": 1}
        connection = resource.connection_of(client)
        assert connection is not None
        assert connection.channels == ("c",)
        assert await resource.remove_subscription(client, "c", 2500)
        push = {"channel": "c", "unsubscribe": {"code": 2500, "reason": "insufficient state"}}
        assert await speaker.push() == push
        assert not await resource.remove_subscription(client, "c")
        assert resource.ended == ["c"]
        with pytest.raises(ValueError, match="2000 to 2999"):
            await resource.remove_subscription(client, "c", 3000)
        with pytest.raises(ValueError, match="1 to 200 bytes"):
            await resource.add_subscription(client, "")


async def test_a_message_outside_of_channels_reaches_one_client() -> None:
    resource = CentrifugeResource[None]()
    async with speaking(resource) as kit:
        speaker = await connected(kit)
        (client,) = resource.clients
        assert resource.send_message(client, {"a": 1})
        assert await speaker.push() == {"message": {"data": {"a": 1}}}


async def test_subscriptions_end_with_the_connection() -> None:
    resource = Noting()
    async with speaking(resource) as kit:
        speaker = await connected(kit)
        await speaker.ask("subscribe", channel="a")
        await speaker.ask("subscribe", channel="b")
        (client,) = resource.clients
        speaker.client.close()
        await speaker.end()
        await trio.testing.wait_all_tasks_blocked()
        assert resource.ended == ["a", "b"]
        assert resource.connection_of(client) is None
        assert not await resource.add_subscription(client, "c")


@pytest.mark.parametrize("code", [2000, 2500])
async def test_a_subscription_that_the_server_ends_while_the_hook_decides_ends_after_its_reply(code: int) -> None:
    class Slow(Noting):
        async def subscribing(self, client: Client, channel: str, data: object) -> Subscribed:
            assert await self.remove_subscription(client, channel, code, "not now")
            self.publish(channel, 1)
            return Subscribed(presence=True, join_leave=True)

    resource = Slow()
    async with speaking(resource) as kit:
        speaker = await connected(kit)
        assert await speaker.ask("subscribe", channel="c") == {}
        assert await speaker.push() == {"channel": "c", "unsubscribe": {"code": code, "reason": "not now"}}
        resource.publish("c", 1)
        assert await speaker.ask("ping") == {}
        assert resource._service is not None
        assert resource._service.sessions.channel("c") is None
    assert resource.ended == ["c"]


async def test_each_server_of_a_service_serves_every_channel_by_default(autojump_clock: trio.testing.MockClock) -> None:
    class Kept(CentrifugeResource):
        history = History(messages=10)

    hub = MemoryHub()
    one, other = Kept(), Kept()
    async with (
        open_kit(one, backplane=MemoryBackplane(hub)) as first,
        open_kit(other, backplane=MemoryBackplane(hub)) as second,
    ):
        here, there = await connected(first), await connected(second)
        places = [await speaker.ask("subscribe", channel="c") for speaker in (here, there)]
        assert places[0]["epoch"] == places[1]["epoch"]
        one.publish("c", 1)
        other.publish("c", 2)
        numbers = [[(await speaker.push())["pub"]["offset"] for _ in range(2)] for speaker in (here, there)]
        assert numbers == [[1, 2], [1, 2]]
        again = await connected(second)
        answer = await again.ask("subscribe", channel="c", recover=True, **{**places[0], "offset": 1})
        assert [each["offset"] for each in answer["publications"]] == [2]


async def test_a_second_life_begins_without_the_clients_of_the_first() -> None:
    resource = Noting()
    for _ in range(2):
        async with speaking(resource) as kit:
            speaker = await connected(kit)
            assert await speaker.ask("subscribe", channel="c") == {}
    assert resource.ended == ["c", "c"]
