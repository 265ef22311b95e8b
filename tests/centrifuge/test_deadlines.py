"""Pings, and connections and subscriptions whose time is up."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.centrifuge.speaking import Speaker, connected, speaking
from wsframe import Client
from wsframe.backplane import History
from wsframe.centrifuge import CentrifugeError, CentrifugeOptions, CentrifugeResource, Connected, Subscribed
from wsframe.centrifuge.feed import Beginning, Feed
from wsframe.testing import MemoryClient


async def next_ping(client: MemoryClient) -> float:
    assert await client.receive_text() == "{}"
    return trio.current_time()


async def test_a_client_that_does_not_connect_is_stale(autojump_clock: MockClock) -> None:
    async with speaking(CentrifugeResource()) as kit:
        client = await kit.connect()
        began = trio.current_time()
        assert tuple(await client.closed()) == (3502, "stale")
        assert 10 <= trio.current_time() - began <= 12


async def test_a_client_whose_connect_was_refused_and_that_stays_is_stale(autojump_clock: MockClock) -> None:
    class Refusing(CentrifugeResource):
        async def connecting(self, client: Client, token: str, data: object) -> None:
            raise CentrifugeError(101)

    async with speaking(Refusing()) as kit:
        speaker = Speaker(await kit.connect())
        assert (await speaker.ask("connect"))["code"] == 101
        assert await speaker.end() == (3502, "stale")


async def test_clients_are_pinged_and_those_that_answer_stay(autojump_clock: MockClock) -> None:
    async with speaking(CentrifugeResource()) as kit:
        client = (await connected(kit)).client
        first = await next_ping(client)
        assert first <= 26
        client.send_text("{}")
        second = await next_ping(client)
        assert 25 <= second - first <= 26
        client.send_text("{}")
        assert 25 <= await next_ping(client) - second <= 26


async def test_one_that_does_not_answer_is_closed_so_that_it_comes_back(autojump_clock: MockClock) -> None:
    async with speaking(CentrifugeResource()) as kit:
        speaker = await connected(kit)
        pinged = await next_ping(speaker.client)
        assert await speaker.end() == (3012, "no pong")
        assert 8 <= trio.current_time() - pinged <= 10


async def test_a_second_pong_is_a_bad_request(autojump_clock: MockClock) -> None:
    async with speaking(CentrifugeResource()) as kit:
        speaker = await connected(kit)
        await next_ping(speaker.client)
        speaker.client.send_text("{}\n{}")
        assert await speaker.end() == (3501, "bad request")


async def test_a_pong_behind_a_slow_hook_is_not_late(autojump_clock: MockClock) -> None:
    class Slow(CentrifugeResource):
        async def rpc(self, client: Client, method: str, data: object) -> object:
            await trio.sleep(200)
            return 1

    async with speaking(Slow()) as kit:
        speaker = await connected(kit)
        speaker.send({"rpc": {"method": "m"}})
        pings, replied = 0, False
        while not replied:
            replied = await speaker.client.receive_text() != "{}"
            if not replied:
                pings += 1
                speaker.client.send_text("{}")  # as SDKs do: a pong for each ping
        assert pings > 5
        assert await next_ping(speaker.client)
        speaker.client.send_text("{}")
        assert await next_ping(speaker.client)


async def test_a_client_whose_connecting_hook_is_slow_is_not_stale(autojump_clock: MockClock) -> None:
    class Slow(CentrifugeResource):
        async def connecting(self, client: Client, token: str, data: object) -> None:
            await trio.sleep(35)

    async with speaking(Slow()) as kit:
        speaker = Speaker(await kit.connect())
        assert "client" in await speaker.ask("connect")
        assert await speaker.ask("ping") == {}


async def test_clients_that_come_while_a_hook_of_an_expiry_runs_have_their_times(autojump_clock: MockClock) -> None:
    class Slow(Expiring):
        async def unsubscribed(self, client: Client, channel: str) -> None:
            client.close()
            await trio.sleep(100)

    async with speaking(Slow()) as kit:
        speaker = await connected(kit, token="1000")
        await speaker.ask("subscribe", channel="c", token="10")
        await speaker.client.closed()
        await trio.sleep(5)
        newcomer = await kit.connect()
        with trio.fail_after(20):
            assert tuple(await newcomer.closed()) == (3502, "stale")


async def test_without_pings_nobody_is_asked_for_a_pong(autojump_clock: MockClock) -> None:
    class Silent(CentrifugeResource):
        options = CentrifugeOptions(ping=None)

    async with speaking(Silent()) as kit:
        speaker = Speaker(await kit.connect())
        assert set(await speaker.ask("connect")) == {"client", "version"}
        await trio.sleep(300)
        assert await speaker.ask("ping") == {}


class Tokens:
    """Tokens are numbers of seconds; ``0`` has expired."""

    async def connection(self, token: str) -> Connected:
        if token == "0":
            raise CentrifugeError(109)
        return Connected(user=token[:1], expires=float(token))

    async def subscription(self, token: str, user: str, channel: str) -> Subscribed:
        if token == "0":
            raise CentrifugeError(109)
        return Subscribed(expires=float(token) if token else None)


class Expiring(CentrifugeResource):
    tokens = Tokens()
    options = CentrifugeOptions(ping=None)

    def __init__(self) -> None:
        self.ended: list[str] = []

    async def unsubscribed(self, client: Client, channel: str) -> None:
        self.ended.append(channel)


async def test_a_connection_that_is_not_refreshed_is_closed_after_the_grace(autojump_clock: MockClock) -> None:
    async with speaking(Expiring()) as kit:
        speaker = Speaker(await kit.connect())
        answer = await speaker.ask("connect", token="10")
        assert (answer["expires"], answer["ttl"]) == (True, 10)
        began = trio.current_time()
        assert await speaker.end() == (3005, "connection expired")
        assert 35 <= trio.current_time() - began <= 37


async def test_a_connection_that_is_refreshed_goes_on(autojump_clock: MockClock) -> None:
    async with speaking(Expiring()) as kit:
        speaker = await connected(kit, token="10")
        await trio.sleep(30)
        answer = await speaker.ask("refresh", token="1000")
        assert (answer["expires"], answer["ttl"]) == (True, 1000)
        await trio.sleep(900)
        assert await speaker.ask("ping") == {}


@pytest.mark.parametrize(
    ("token", "end"),
    [("0", (3005, "connection expired")), ("20", (3500, "invalid token")), ("", (3501, "bad request"))],
)
async def test_a_refresh_with_a_token_that_is_wrong_closes(
    token: str, end: tuple[int, str], autojump_clock: MockClock
) -> None:
    async with speaking(Expiring()) as kit:
        speaker = await connected(kit, token="10")
        speaker.send({"refresh": {"token": token}})
        assert await speaker.end() == end


@pytest.mark.parametrize(("token", "new"), [("10", "100"), ("10", "20"), ("", "70")])
async def test_a_refresh_names_the_user_of_the_token_not_that_of_the_hook(
    token: str, new: str, autojump_clock: MockClock
) -> None:
    class Open(Tokens):
        async def connection(self, token: str) -> Connected:
            return await super().connection(token) if token else Connected()

    class Renaming(Expiring):
        tokens = Open()

        async def connecting(self, client: Client, token: str, data: object) -> Connected:
            return Connected(user="7")

    async with speaking(Renaming()) as kit:
        speaker = await connected(kit, token=token)
        if new == "20":
            speaker.send({"refresh": {"token": new}})
            assert await speaker.end() == (3500, "invalid token")
        else:
            assert "client" in await speaker.ask("refresh", token=new)


class Deciding(CentrifugeResource):
    """Has no verifier: ``connecting`` sees to the tokens, which are seconds."""

    options = CentrifugeOptions(ping=None)

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def connecting(self, client: Client, token: str, data: object) -> Connected | None:
        self.asked.append(token)
        if token == "0":
            raise CentrifugeError(109)
        return None if token == "for ever" else Connected(user=token[:1], expires=float(token or 10), data=data)

    async def subscribing(self, client: Client, channel: str, data: object) -> Subscribed:
        return Subscribed(expires=10)


async def test_without_a_verifier_the_hook_decides_about_a_new_token(autojump_clock: MockClock) -> None:
    resource = Deciding()
    async with speaking(resource) as kit:
        speaker = Speaker(await kit.connect())
        answer = await speaker.ask("connect", token="10")
        assert (answer["expires"], answer["ttl"]) == (True, 10)
        await trio.sleep(30)
        answer = await speaker.ask("refresh", token="1000")
        assert (answer["expires"], answer["ttl"]) == (True, 1000)
        await trio.sleep(900)
        assert "expires" not in await speaker.ask("refresh", token="for ever")
        await trio.sleep(2_000)
        assert await speaker.ask("ping") == {}
        assert (await speaker.ask("refresh", token="1000"))["code"] == 108  # it was not told to
    assert resource.asked == ["10", "1000", "for ever"]


@pytest.mark.parametrize(
    ("token", "end"),
    [("0", (3005, "connection expired")), ("20", (3500, "invalid token")), ("", (3501, "bad request"))],
)
async def test_without_a_verifier_a_new_token_that_is_wrong_closes(
    token: str, end: tuple[int, str], autojump_clock: MockClock
) -> None:
    async with speaking(Deciding()) as kit:
        speaker = await connected(kit, token="10")
        speaker.send({"refresh": {"token": token}})
        assert await speaker.end() == end


async def test_a_client_without_a_token_is_not_told_to_refresh_one(autojump_clock: MockClock) -> None:
    async with speaking(Deciding()) as kit:
        speaker = Speaker(await kit.connect())
        answer = await speaker.ask("connect")
        assert "expires" not in answer
        assert "ttl" not in answer
        began = trio.current_time()
        assert await speaker.end() == (3005, "connection expired")
        assert 9 <= trio.current_time() - began <= 12


@pytest.mark.parametrize("verified", [False, True])
async def test_a_subscription_without_a_token_ends_in_time_so_that_the_sdk_asks_again(
    verified: bool, autojump_clock: MockClock
) -> None:
    class Both(Deciding):
        tokens = Tokens() if verified else None

    async with speaking(Both()) as kit:
        speaker = await connected(kit, token="1000")
        for _ in range(2):
            assert await speaker.ask("subscribe", channel="c") == {}
            began = trio.current_time()
            assert (await speaker.push())["unsubscribe"]["code"] == 2501
            assert 9 <= trio.current_time() - began <= 12


async def test_a_connect_with_an_expired_token_is_told_so(autojump_clock: MockClock) -> None:
    async with speaking(Expiring()) as kit:
        assert (await Speaker(await kit.connect()).ask("connect", token="0"))["code"] == 109


async def test_a_subscription_that_is_not_refreshed_ends_so_that_the_sdk_asks_again(
    autojump_clock: MockClock,
) -> None:
    resource = Expiring()
    async with speaking(resource) as kit:
        speaker = await connected(kit, token="1000")
        assert await speaker.ask("subscribe", channel="c", token="10") == {"expires": True, "ttl": 10}
        push = {"channel": "c", "unsubscribe": {"code": 2501, "reason": "subscription expired"}}
        assert await speaker.push() == push
        resource.publish("c", 1)
        assert await speaker.ask("ping") == {}
        await trio.testing.wait_all_tasks_blocked()
        assert resource.ended == ["c"]


async def test_a_subscription_that_is_refreshed_goes_on(autojump_clock: MockClock) -> None:
    resource = Expiring()
    async with speaking(resource) as kit:
        speaker = await connected(kit, token="1000")
        await speaker.ask("subscribe", channel="c", token="10")
        await trio.sleep(30)
        refused = await speaker.ask("sub_refresh", channel="c", token="0")
        assert (refused["code"], refused["temporary"]) == (109, True)  # the SDK asks for another token
        assert await speaker.ask("sub_refresh", channel="c", token="900") == {"expires": True, "ttl": 900}
        assert (await speaker.ask("sub_refresh", channel="c"))["code"] == 107
        await trio.sleep(800)
        resource.publish("c", 1)


class Slow(Expiring):
    """Its hooks and its engine take four seconds each."""

    history = History(messages=5)

    async def connecting(self, client: Client, token: str, data: object) -> None:
        await trio.sleep(4)

    async def subscribing(self, client: Client, channel: str, data: object) -> Subscribed:
        await trio.sleep(4)
        return Subscribed(recover=True)


async def test_the_time_of_a_token_runs_while_hooks_and_the_engine_take_theirs(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    resume = Feed.resume

    async def slow(self: Feed, channel: str, request: Any, *, recovers: bool) -> Beginning:
        await trio.sleep(4)
        return await resume(self, channel, request, recovers=recovers)

    monkeypatch.setattr(Feed, "resume", slow)
    async with speaking(Slow()) as kit:
        speaker = Speaker(await kit.connect())
        came = trio.current_time()
        assert (await speaker.ask("connect", token="100"))["ttl"] == 96
        for token, left in (("10", 2), ("5", 1)):
            began = trio.current_time()
            assert (await speaker.ask("subscribe", channel="c", token=token))["ttl"] == left
            assert (await speaker.push())["unsubscribe"]["code"] == 2501
            assert trio.current_time() - began <= max(float(token), 8) + 27
        assert await speaker.end() == (3005, "connection expired")
        assert trio.current_time() - came <= 127


async def test_one_that_unsubscribes_in_time_has_no_second_end(autojump_clock: MockClock) -> None:
    resource = Expiring()
    async with speaking(resource) as kit:
        speaker = await connected(kit, token="1000")
        await speaker.ask("subscribe", channel="c", token="10")
        await speaker.ask("unsubscribe", channel="c")
        await speaker.ask("subscribe", channel="c")
        await trio.sleep(100)
        resource.publish("c", 1)
        assert resource.ended == ["c"]


async def test_a_hook_that_fails_at_an_expiry_costs_its_client_alone(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    class Failing(Expiring):
        async def unsubscribed(self, client: Client, channel: str) -> None:
            raise RuntimeError("oh")

    async with speaking(Failing()) as kit:
        a, b = await connected(kit, token="1000"), await connected(kit, token="1000")
        await a.ask("subscribe", channel="c", token="10")
        assert (await a.push())["channel"] == "c"
        assert (await a.end())[0] == 3004
        assert await b.ask("ping") == {}
    assert "unsubscribed of Failing failed" in caplog.text


async def test_the_task_ends_with_the_last_client_and_begins_again(autojump_clock: MockClock) -> None:
    resource = CentrifugeResource[None]()
    async with speaking(resource) as kit:
        for _ in range(2):
            speaker = await connected(kit)
            speaker.client.close()
            await speaker.end()
            await trio.sleep(5)
            assert resource._service is not None
            assert not resource._service.deadlines._running
        client = await kit.connect()
        assert tuple(await client.closed()) == (3502, "stale")
