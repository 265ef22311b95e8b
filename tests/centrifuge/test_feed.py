"""Publications with history: positions, recovery, lists, and clients that must begin anew."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.centrifuge.speaking import Speaker, connected, speaking
from wsframe import Client
from wsframe.backplane import History, MemoryBackplane, MemoryHub
from wsframe.backplane.interface import Position
from wsframe.centrifuge import CentrifugeOptions, CentrifugeResource, Connected, Subscribed, command_handler
from wsframe.centrifuge.feed import epoch_text, position_of
from wsframe.centrifuge.session import topic_of
from wsframe.resources.topics.publication import LONGEST_TOPIC
from wsframe.resources.topics.recovery import Histories
from wsframe.testing import open_kit


class Kept(CentrifugeResource):
    scope = "shared"
    history = History(messages=5)
    options = CentrifugeOptions(max_history=4, ping=None)

    def __init__(self) -> None:
        self.ended: list[str] = []

    async def connecting(self, client: Client, token: str, data: object) -> Connected | None:
        return Connected(subscriptions=["s", "t"]) if data == "server" else None

    async def subscribing(self, client: Client, channel: str, data: object) -> Subscribed | None:
        return Subscribed(recover=data != "no recovery", history=data != "no list")

    def history_of(self, channel: str) -> History | None:
        return None if channel.startswith("fleeting") else self.history

    async def unsubscribed(self, client: Client, channel: str) -> None:
        self.ended.append(channel)


async def position(speaker: Speaker, channel: str = "c", **request: Any) -> tuple[Any, str, int]:
    answer = await speaker.ask("subscribe", channel=channel, **request)
    return answer, answer.get("epoch", ""), answer.get("offset", 0)


def recovered(answer: Any) -> list[Any] | None:
    """Return the data of the recovered publications; None if recovery failed."""
    assert answer["was_recovering"] is True
    if not answer.get("recovered"):
        assert "publications" not in answer
        return None
    found = answer.get("publications", [])
    start = answer.get("offset", 0)
    assert [one["offset"] for one in found] == list(range(start + 1, start + 1 + len(found)))
    return [one["data"] for one in found]


async def test_the_position_is_known_before_the_first_publication() -> None:
    resource = Kept()
    async with speaking(resource) as kit:
        speaker = await connected(kit)
        answer, epoch, offset = await position(speaker)
        assert (answer["recoverable"], answer["positioned"], offset) == (True, True, 0)
        assert epoch
        for number in range(3):
            resource.publish("c", {"n": number})
        assert [await speaker.push() for _ in range(3)] == [
            {"channel": "c", "pub": {"offset": number + 1, "data": {"n": number}}} for number in range(3)
        ]
        other = await connected(kit)
        assert (await position(other))[1:] == (epoch, 3)


async def test_a_client_that_comes_back_gets_all_it_has_missed() -> None:
    resource = Kept()
    async with speaking(resource) as kit:
        speaker = await connected(kit)
        _, epoch, _ = await position(speaker)
        resource.publish("c", 1)
        assert (await speaker.push())["pub"] == {"offset": 1, "data": 1}
        speaker.client.close()
        await speaker.end()
        for number in (2, 3):
            resource.publish("c", number)
        again = await connected(kit)
        answer, *_ = await position(again, recover=True, epoch=epoch, offset=1)
        assert recovered(answer) == [2, 3]
        assert answer["offset"] == 1
        resource.publish("c", 4)
        assert (await again.push())["pub"] == {"offset": 4, "data": 4}
        # One that has missed nothing has recovered too; an empty epoch stands for the present one.
        assert await again.ask("unsubscribe", channel="c") == {}
        assert recovered((await position(again, recover=True, epoch=epoch, offset=4))[0]) == []
        assert await again.ask("unsubscribe", channel="c") == {}
        assert recovered((await position(again, recover=True, offset=3))[0]) == [4]


@pytest.mark.parametrize(
    "wanted",
    [
        {"epoch": "0", "offset": 1},
        {"epoch": "not hexadecimal", "offset": 1},
        {"epoch": "-1", "offset": 1},
        {"epoch": " 1", "offset": 0},
        {"offset": 2},  # not kept any more
        {"offset": 5},  # more than max_history
        {"offset": 11},  # beyond the newest
        {"offset": 2**63 - 1},
    ],
)
async def test_a_position_that_is_not_kept_is_no_recovery(wanted: dict[str, Any]) -> None:
    resource = Kept()
    async with speaking(resource) as kit:
        speaker = await connected(kit)
        _, epoch, _ = await position(speaker, data="no list")
        for number in range(10):
            resource.publish("c", number)
            await speaker.push()
        again = await connected(kit)
        request = {"epoch": epoch, **wanted}
        answer, *_ = await position(again, recover=True, **request)
        assert recovered(answer) is None
        assert (answer["epoch"], answer["offset"]) == (epoch, 10)
        await again.ask("unsubscribe", channel="c")
        refused = await again.ask("subscribe", channel="c", recover=True, flag=2, **request)
        assert refused == {"code": 112, "message": "unrecoverable position"}
        # And a refusal leaves nothing behind.
        assert (await position(again))[2] == 10


async def test_without_history_or_recovery_nothing_is_promised() -> None:
    resource = Kept()
    async with speaking(resource) as kit:
        speaker = await connected(kit)
        assert await speaker.ask("subscribe", channel="fleeting", recover=True, offset=3) == {"was_recovering": True}
        assert await speaker.ask("subscribe", channel="c", data="no recovery") == {}
        resource.publish("fleeting", 1)
        assert (await speaker.push())["pub"] == {"data": 1}
        resource.publish("c", 1)
        assert (await speaker.push())["pub"] == {"offset": 1, "data": 1}


async def test_subscriptions_of_the_server_recover_with_the_connect() -> None:
    resource = Kept()
    async with speaking(resource) as kit:
        speaker = Speaker(await kit.connect())
        subs = (await speaker.ask("connect", data="server"))["subs"]
        assert {name: one.get("offset", 0) for name, one in subs.items()} == {"s": 0, "t": 0}
        wanted = {name: {"recover": True, "epoch": one["epoch"]} for name, one in subs.items()}
        speaker.client.close()
        await speaker.end()
        resource.publish("s", 1)
        resource.publish("t", 2)
        resource.publish("t", 3)
        again = Speaker(await kit.connect())
        subs = (await again.ask("connect", data="server", subs=wanted))["subs"]
        assert {name: recovered(one) for name, one in subs.items()} == {"s": [1], "t": [2, 3]}
        resource.publish("s", 4)
        assert (await again.push())["pub"] == {"offset": 2, "data": 4}


async def test_publications_that_come_before_the_reply_follow_it() -> None:
    """The position of the first subscription is older than the reply, which waits for the second one."""

    class Slow(Kept):
        def history_of(self, channel: str) -> History | None:
            if channel == "t" and not self.ended:
                self.ended.append("once")
                self.publish("s", "meanwhile")
            return self.history

    resource = Slow()
    async with speaking(resource) as kit:
        speaker = Speaker(await kit.connect())
        subs = (await speaker.ask("connect", data="server"))["subs"]
        assert subs["s"].get("offset", 0) == 0
        assert (await speaker.push())["pub"] == {"offset": 1, "data": "meanwhile"}


# Lists


@pytest.mark.parametrize(
    ("request_", "numbers"),
    [
        ({}, []),
        ({"limit": -1}, [6, 7, 8, 9]),  # not above max_history
        ({"limit": 2}, [6, 7]),
        ({"limit": 100}, [6, 7, 8, 9]),
        ({"limit": 2, "reverse": True}, [10, 9]),
        ({"limit": -1, "since": {"offset": 8}}, [9, 10]),
        ({"limit": -1, "since": {"offset": 10}}, []),
        ({"limit": -1, "since": {"offset": 1}}, [6, 7, 8, 9]),
        ({"limit": 3, "since": {"offset": 9}, "reverse": True}, [8, 7, 6]),
    ],
)
async def test_a_history_is_listed_as_asked(request_: dict[str, Any], numbers: list[int]) -> None:
    resource = Kept()
    async with speaking(resource) as kit:
        speaker = await connected(kit)
        _, epoch, _ = await position(speaker)
        for number in range(1, 11):
            resource.publish("c", number)
            await speaker.push()
        answer = await speaker.ask("history", channel="c", **request_)
        assert [(one["offset"], one["data"]) for one in answer["publications"]] == [(one, one) for one in numbers]
        assert (answer["epoch"], answer["offset"]) == (epoch, 10)


async def test_a_position_is_told_without_the_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    resource = Kept()
    async with speaking(resource) as kit:
        speaker = await connected(kit)
        _, epoch, _ = await position(speaker)
        resource.publish("c", 1)
        await speaker.push()
        monkeypatch.setattr(Histories, "kept", None)
        for request in ({}, {"limit": 0}, {"since": {"offset": 0, "epoch": epoch}}):
            answer = await speaker.ask("history", channel="c", **request)
            assert answer == {"publications": [], "epoch": epoch, "offset": 1}
        assert (await speaker.ask("history", channel="c", since={"offset": 0, "epoch": "7"}))["code"] == 112


async def test_a_history_of_another_epoch_cannot_be_listed() -> None:
    async with speaking(Kept()) as kit:
        speaker = await connected(kit)
        await position(speaker)
        answer = await speaker.ask("history", channel="c", limit=1, since={"offset": 0, "epoch": "7"})
        assert answer["code"] == 112


async def test_a_history_is_for_subscribers_who_may_list_it() -> None:
    async with speaking(Kept()) as kit:
        speaker = await connected(kit)
        assert (await speaker.ask("history", channel="c"))["code"] == 103
        await position(speaker, data="no list")
        assert (await speaker.ask("history", channel="c"))["code"] == 108


# Losses


async def test_clients_of_a_channel_whose_history_is_lost_subscribe_again(autojump_clock: MockClock) -> None:
    hub = MemoryHub()
    resource = Kept()
    async with open_kit(resource, backplane=MemoryBackplane(hub)) as kit:
        speaker, server_side = await connected(kit), Speaker(await kit.connect())
        await server_side.ask("connect", data="server")
        _, epoch, _ = await position(speaker)
        await position(speaker, channel="s")
        hub.open()._logs.clear()  # the engine has lost its memory
        for channel in ("c", "s"):
            resource.publish(channel, 1)
        push = {"code": 2500, "reason": "insufficient state"}
        pushes = [await speaker.next() for _ in range(2)]
        assert sorted(one["push"]["channel"] for one in pushes) == ["c", "s"]
        assert all(one["push"]["unsubscribe"] == push for one in pushes)
        assert await server_side.end() == (3010, "insufficient state")
        answer, new, _ = await position(speaker, recover=True, epoch=epoch)
        assert recovered(answer) is None
        assert new != epoch
        await trio.sleep(1)
        assert sorted(resource.ended) == ["c", "s", "s", "t"]


async def test_an_engine_that_cannot_be_reached_is_a_temporary_error(autojump_clock: MockClock) -> None:
    class Away(MemoryBackplane):
        async def newest(self, topic: str) -> Position | None:
            await trio.lowlevel.checkpoint()
            return None

        async def kept(self, topic: str) -> None:
            await trio.lowlevel.checkpoint()

        def want(self, topics: Any) -> None: ...

    async with open_kit(Kept(), backplane=Away(MemoryHub())) as kit:
        speaker = await connected(kit)
        answer = await speaker.ask("subscribe", channel="c")
        assert (answer["code"], answer["temporary"]) == (100, True)
        await speaker.ask("subscribe", channel="c", data="no recovery")
        assert (await speaker.ask("history", channel="c"))["code"] == 100


async def test_a_publication_that_the_engine_refuses_is_a_temporary_error(autojump_clock: MockClock) -> None:
    class Full(MemoryBackplane):
        def publish(self, topic: str, payload: bytes, *, keep: History | None = None) -> bool:
            return False

    class Publishing(Kept):
        async def publishing(self, client: Client, channel: str, data: object) -> None: ...

    async with open_kit(Publishing(), backplane=Full(MemoryHub())) as kit:
        speaker = await connected(kit)
        answer = await speaker.ask("publish", channel="c", data=1)
        assert (answer["code"], answer["temporary"]) == (100, True)
        assert await speaker.ask("publish", channel="fleeting", data=1) == {}


async def test_recoveries_of_one_connect_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command_handler, "MOST_RECOVERED", 1_000)
    resource = Kept()
    async with speaking(resource) as kit:
        speaker = Speaker(await kit.connect())
        subs = (await speaker.ask("connect", data="server"))["subs"]
        wanted = {name: {"recover": True, "epoch": one["epoch"]} for name, one in subs.items()}
        for channel in "st":
            resource.publish(channel, "x" * 1_000)
            await speaker.push()
        again = Speaker(await kit.connect())
        subs = (await again.ask("connect", data="server", subs=wanted))["subs"]
        assert recovered(subs["s"]) == ["x" * 1_000]
        assert recovered(subs["t"]) is None
        assert subs["t"]["offset"] == 1
        resource.publish("t", 2)
        assert (await again.push())["pub"] == {"offset": 2, "data": 2}


async def test_a_publication_reaches_the_clients_of_other_servers_in_one_order() -> None:
    hub = MemoryHub()
    a, b = Kept(), Kept()
    async with open_kit(a, backplane=MemoryBackplane(hub)) as one, open_kit(b, backplane=MemoryBackplane(hub)) as other:
        ann, bob = await connected(one), await connected(other)
        assert (await position(ann))[1:] == (await position(bob))[1:]
        await position(ann, channel="fleeting")
        await position(bob, channel="fleeting")
        await wait_all_tasks_blocked()
        for number in range(4):
            (a if number % 2 else b).publish("c", number)
        pubs = [(await ann.push())["pub"] for _ in range(4)]
        assert [one["offset"] for one in pubs] == [1, 2, 3, 4]
        assert pubs == [(await bob.push())["pub"] for _ in range(4)]
        a.publish("fleeting", "x")
        assert (await bob.push())["pub"] == (await ann.push())["pub"] == {"data": "x"}


async def test_a_message_of_a_topic_that_is_no_publication_is_dropped(caplog: pytest.LogCaptureFixture) -> None:
    resource = Kept()
    async with speaking(resource) as kit:
        speaker = await connected(kit)
        await position(speaker, channel="fleeting")
        for text in ("raw", "{}", ""):
            kit.server.publish_text(topic_of("fleeting"), text)
        assert await speaker.ask("ping") == {}
    assert "is not a publication" in caplog.text


def test_every_channel_has_a_topic() -> None:
    assert len(topic_of("x" * 240)) <= LONGEST_TOPIC


def test_an_epoch_is_text_for_clients() -> None:
    for epoch in (0, 1, 2**63 - 1, 2**64 - 1):
        assert position_of({"epoch": epoch_text(epoch), "offset": 7}) == Position(epoch, 7)
    for text in ("", "x", "-1", "0x1", "01", "1_0", "A", "\ud800", "²"):
        assert position_of({"epoch": text, "offset": 7}).epoch == -1
