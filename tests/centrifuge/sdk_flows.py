"""PyPI's centrifuge-python, unchanged, against served.py: prints ``ok`` and the name of each flow that went as told."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any

import centrifuge
import pytest
from centrifuge import (
    CentrifugeError,
    Client,
    ClientEventHandler,
    ClientState,
    ReplyError,
    SubscriptionEventHandler,
    SubscriptionState,
)

from tests.patience import PATIENCE


class Seen(ClientEventHandler, SubscriptionEventHandler):  # type: ignore[misc]
    """Notes each event with its context."""

    def __init__(self) -> None:
        self.events: list[tuple[str, Any]] = []
        self._news = asyncio.Event()

    def __getattribute__(self, name: str) -> Any:
        if not name.startswith("on_"):
            return super().__getattribute__(name)

        async def note(context: Any) -> None:
            self.events.append((name.removeprefix("on_"), context))
            self._news.set()

        return note

    def of(self, event: str) -> list[Any]:
        return [context for name, context in self.events if name == event]

    async def until(self, event: str, holds: Callable[[list[Any]], object] = bool) -> list[Any]:
        async with asyncio.timeout(PATIENCE):
            while not holds(self.of(event)):
                self._news.clear()
                await self._news.wait()
        return self.of(event)


class Supply:
    """Gives one token after the other; ``over`` is set with the last."""

    def __init__(self, *tokens: str) -> None:
        self._tokens = list(tokens)
        self.over = asyncio.Event()

    async def get(self, channel: str = "") -> str:
        token = self._tokens.pop(0)
        if not self._tokens:
            self.over.set()
        return token


made: list[Client] = []
DECIDING = sys.argv[1].replace("/websocket", "/deciding")


def client(address: str = sys.argv[1], **options: Any) -> tuple[Client, Seen]:
    seen = Seen()
    one = Client(address, events=seen, proxy=None, min_reconnect_delay=0.02, max_reconnect_delay=0.1, **options)
    made.append(one)
    return one, seen


async def connected(**options: Any) -> tuple[Client, Seen]:
    one, seen = client(**options)
    await one.connect()
    await one.ready(PATIENCE)
    return one, seen


async def subscribed(of: Client, channel: str, **options: Any) -> tuple[Any, Seen]:
    seen = Seen()
    one = of.new_subscription(channel, events=seen, **options)
    await one.subscribe()
    await one.ready(PATIENCE)
    return one, seen


async def a_token_is_refreshed() -> None:
    supply = Supply("ann expires 1", "ann expires 100")
    one, seen = await connected(get_token=supply.get)
    await asyncio.wait_for(supply.over.wait(), PATIENCE)
    assert (await one.rpc("echo", 1)).data == {"you": 1}
    assert len(seen.of("connecting")) == 1


async def an_expired_token_is_replaced() -> None:
    one, _ = await connected(token="ann gone", get_token=Supply("ann").get)
    assert one.state is ClientState.CONNECTED


async def an_invalid_token_ends_the_client() -> None:
    one, seen = client(token="nobody")
    await one.connect()
    (end,) = await seen.until("disconnected")
    assert (end.code, end.reason) == (3500, "invalid token")


async def publications_reach_subscribers() -> None:
    ann, _ = await connected(token="ann")
    bob, _ = await connected(token="bob")
    _, seen = await subscribed(ann, "open:news", data={"x": 1})
    assert seen.of("subscribed")[0].data == {"x": 1}
    await bob.publish("open:news", {"text": "ü€😀"})
    (publication,) = await seen.until("publication")
    assert publication.pub.data == {"text": "ü€😀"}
    assert publication.pub.info.user == "bob"


async def refusals_are_errors() -> None:
    one, _ = await connected()
    for call, code in ((one.publish("news", 1), 103), (one.rpc("nope", 1), 104), (one.presence("news"), 103)):
        with pytest.raises(ReplyError) as refusal:
            await call
        assert refusal.value.code == code
    secret = one.new_subscription("secret:x", events=(seen := Seen()))
    await secret.subscribe()
    (end,) = await seen.until("unsubscribed")
    assert end.code == 103


async def members_come_and_go() -> None:
    ann, _ = await connected(token="ann")
    bob, _ = await connected(token="bob")
    room, seen = await subscribed(ann, "open:room", join_leave=True)
    await subscribed(bob, "open:room")
    await seen.until("join", lambda joins: any(join.info.user == "bob" for join in joins))
    assert sorted(one.user for one in (await room.presence()).clients.values()) == ["ann", "bob"]
    assert (await room.presence_stats()).num_users == 2
    await bob.disconnect()
    await seen.until("leave", lambda leaves: any(leave.info.user == "bob" for leave in leaves))


async def the_server_subscribes() -> None:
    one, seen = await connected(token="ann", data="server")
    assert seen.of("connected")[0].data == {"hello": "you"}
    await seen.until("subscribed")
    await one.rpc("publish", {"channel": "prices", "data": 7})
    (publication,) = await seen.until("publication")
    assert (publication.channel, publication.pub.data) == ("prices", 7)
    await one.rpc("subscribe", "later")
    await seen.until("subscribed", lambda all: any(each.channel == "later" for each in all))
    await one.rpc("unsubscribe", {"channel": "later", "code": 2000})
    await seen.until("unsubscribed", lambda all: any(each.channel == "later" for each in all))


async def codes_tell_whether_to_come_back() -> None:
    for code in (3000, 3499, 4000, 1012):
        one, seen = await connected()
        calls = asyncio.create_task(one.rpc("close", {"code": code, "reason": "as told"}))
        await seen.until("connected", lambda all: len(all) == 2)
        await asyncio.gather(calls, return_exceptions=True)
    for code in (3500, 4500, 4999):
        one, seen = await connected()
        calls = asyncio.create_task(one.rpc("close", {"code": code, "reason": "as told"}))
        (end,) = await seen.until("disconnected")
        assert (end.code, end.reason) == (code, "as told")
        await asyncio.gather(calls, return_exceptions=True)


async def unsubscribes_tell_whether_to_subscribe_again() -> None:
    one, _ = await connected()
    subscription, seen = await subscribed(one, "one")
    await one.rpc("unsubscribe", {"channel": "one", "code": 2500})
    await seen.until("subscribed", lambda all: len(all) == 2)
    await one.rpc("unsubscribe", {"channel": "one", "code": 2000})
    (end,) = await seen.until("unsubscribed")
    assert end.code == 2000
    assert subscription.state is SubscriptionState.UNSUBSCRIBED


async def a_subscription_is_refreshed() -> None:
    one, _ = await connected(token="ann")
    supply = Supply("ann token:x 1", "ann token:x 100")
    _, seen = await subscribed(one, "token:x", get_token=supply.get)
    await asyncio.wait_for(supply.over.wait(), PATIENCE)
    await one.rpc("publish", {"channel": "token:x", "data": 1})
    await seen.until("publication")
    assert len(seen.of("subscribed")) == 1


async def a_subscription_goes_on_where_it_was() -> None:
    one, _ = await connected()
    other, _ = await connected()
    _, seen = await subscribed(one, "kept:a", recoverable=True)
    for number in (1, 2):
        await other.rpc("publish", {"channel": "kept:a", "data": number})
    await seen.until("publication", lambda all: len(all) == 2)
    calls = asyncio.create_task(one.rpc("close", {"code": 3000, "reason": "for a while"}))
    await seen.until("subscribing", lambda all: len(all) == 2)
    for number in (3, 4):
        await other.rpc("publish", {"channel": "kept:a", "data": number})
    publications = await seen.until("publication", lambda all: len(all) == 4)
    assert [each.pub.data for each in publications] == [1, 2, 3, 4]
    assert [each.pub.offset for each in publications] == [1, 2, 3, 4]
    again = seen.of("subscribed")[1]
    assert (again.was_recovering, again.recovered) == (True, True)
    await asyncio.gather(calls, return_exceptions=True)


async def one_that_was_away_for_too_long_is_told_so() -> None:
    one, _ = await connected()
    other, _ = await connected()
    _, seen = await subscribed(one, "kept:b", recoverable=True)
    await other.rpc("away", {"channel": "kept:b", "count": 20, "client": (await one.rpc("who", None)).data})
    await seen.until("subscribed", lambda all: len(all) == 2)
    again = seen.of("subscribed")[1]
    assert (again.was_recovering, again.recovered) == (True, False)
    await other.rpc("publish", {"channel": "kept:b", "data": "next"})
    assert [each.pub.data for each in await seen.until("publication")] == ["next"]


async def a_history_is_listed() -> None:
    one, _ = await connected()
    subscription, _ = await subscribed(one, "kept:d")
    for number in (1, 2, 3):
        await one.rpc("publish", {"channel": "kept:d", "data": number})
    kept = await subscription.history(limit=-1)
    assert [each.data for each in kept.publications] == [1, 2, 3]
    newest = await subscription.history(limit=1, reverse=True)
    assert [each.data for each in newest.publications] == [3]


async def protobuf_is_refused_for_good() -> None:
    one, seen = client(use_protobuf=True)
    await one.connect()
    (end,) = await seen.until("disconnected")
    assert end.code == 3506


async def pings_keep_a_connection() -> None:
    one, seen = await connected()
    await asyncio.sleep(2.5)
    assert (await one.rpc("echo", 1)).data == {"you": 1}
    assert len(seen.of("connecting")) == 1


async def a_subscription_that_the_server_ends_while_it_begins_ends_as_it_says() -> None:
    one, _ = await connected()
    again = one.new_subscription("ends:2500", events=(seen := Seen()))
    await again.subscribe()
    await seen.until("subscribed", lambda all: len(all) == 2)
    assert seen.of("subscribing")[-1].code == 2500
    gone = one.new_subscription("ends:2000", events=(seen := Seen()))
    await gone.subscribe()
    (end,) = await seen.until("unsubscribed")
    assert (end.code, seen.of("error")) == (2000, [])


async def a_server_without_a_verifier_decides_about_new_tokens() -> None:
    supply = Supply("ann 2", "ann 100")
    one, seen = client(DECIDING, token="ann 1", get_token=supply.get)
    await one.connect()
    await asyncio.wait_for(supply.over.wait(), PATIENCE)
    assert (await one.rpc("echo", 1)).data == {"you": 1}
    assert len(seen.of("connecting")) == 1


async def a_client_whose_time_is_up_connects_again() -> None:
    one, seen = client(DECIDING)
    await one.connect()
    await seen.until("connected", lambda all: len(all) == 2)
    assert seen.of("connecting")[1].code == 3005


async def many_calls_at_once_are_all_answered() -> None:
    one, _ = await connected()
    answers = await asyncio.gather(*(one.rpc("echo", number) for number in range(1_000)))
    assert [answer.data for answer in answers] == [{"you": number} for number in range(1_000)]


FLOWS = [
    a_token_is_refreshed, an_expired_token_is_replaced, an_invalid_token_ends_the_client,
    publications_reach_subscribers, refusals_are_errors, members_come_and_go, the_server_subscribes,
    codes_tell_whether_to_come_back, unsubscribes_tell_whether_to_subscribe_again, a_subscription_is_refreshed,
    a_subscription_goes_on_where_it_was, one_that_was_away_for_too_long_is_told_so, a_history_is_listed,
    protobuf_is_refused_for_good, pings_keep_a_connection,
    a_subscription_that_the_server_ends_while_it_begins_ends_as_it_says,
    a_server_without_a_verifier_decides_about_new_tokens, a_client_whose_time_is_up_connects_again,
    many_calls_at_once_are_all_answered,
]  # fmt: skip


async def main() -> None:
    assert issubclass(ReplyError, CentrifugeError)
    for flow in FLOWS:
        async with asyncio.timeout(2 * PATIENCE):
            await flow()
        print("ok", flow.__name__, flush=True)
        for one in made:
            await one.disconnect()
        made.clear()


if __name__ == "__main__":
    print(f"# {centrifuge.__name__}", flush=True)
    asyncio.run(main())
