"""The members of channels: lists, joins and leaves, over all servers."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.centrifuge.speaking import connected, speaking
from wsframe import Client
from wsframe.backplane import MemoryBackplane, MemoryHub
from wsframe.centrifuge import CentrifugeOptions, CentrifugeResource, Connected, Subscribed
from wsframe.testing import open_kit


class Present(CentrifugeResource):
    scope = "shared"
    options = CentrifugeOptions(ping=None)
    subscription = Subscribed(presence=True, join_leave=True)

    async def connecting(self, client: Client, token: str, data: object) -> Connected:
        return Connected(user=token)

    async def subscribing(self, client: Client, channel: str, data: object) -> Subscribed | None:
        return None if data is None else Subscribed(presence=True, info=data)


async def test_members_of_a_channel_are_listed_and_announced() -> None:
    resource = Present()
    async with speaking(resource) as kit:
        a, b = await connected(kit, token="ann"), await connected(kit, token="bob")
        await a.ask("subscribe", channel="c")
        joined = (await a.push())["join"]["info"]
        assert joined["user"] == "ann"
        await b.ask("subscribe", channel="c", data={"as": "guest"})
        joined = (await a.push())["join"]["info"]
        assert (joined["user"], joined["chan_info"]) == ("bob", {"as": "guest"})
        present = (await a.ask("presence", channel="c"))["presence"]
        assert sorted(one["user"] for one in present.values()) == ["ann", "bob"]
        assert present[joined["client"]] == joined
        assert {one.key: one.info for one in await resource.presence("c")} == present
        with pytest.raises(ValueError, match="1 to 200 bytes"):
            await resource.presence("")
        assert await a.ask("presence_stats", channel="c") == {"num_clients": 2, "num_users": 2}
        await b.ask("unsubscribe", channel="c")
        assert (await a.push())["leave"]["info"] == joined
        assert await a.ask("presence_stats", channel="c") == {"num_clients": 1, "num_users": 1}


async def test_a_member_leaves_with_its_connection() -> None:
    async with speaking(Present()) as kit:
        a, b = await connected(kit, token="ann"), await connected(kit, token="bob")
        for speaker in (a, b):
            await speaker.ask("subscribe", channel="c")
        assert [(await a.push())["join"]["info"]["user"] for _ in range(2)] == ["ann", "bob"]
        b.client.close()
        assert (await a.push())["leave"]["info"]["user"] == "bob"


class ByUser(Present):
    subscription = Subscribed(presence=True, join_leave=True, members="users")


async def test_members_of_all_servers_are_listed_and_announced(autojump_clock: MockClock) -> None:
    hub = MemoryHub()
    async with AsyncExitStack() as stack:
        one, other = [
            await stack.enter_async_context(open_kit(Present(), backplane=MemoryBackplane(hub))) for _ in range(2)
        ]
        a, b = await connected(one, token="ann"), await connected(other, token="bob")
        await a.ask("subscribe", channel="c")
        assert (await a.push())["join"]["info"]["user"] == "ann"
        await trio.sleep(2)
        await b.ask("subscribe", channel="c")
        assert (await a.push())["join"]["info"]["user"] == "bob"
        assert (await b.push())["join"]["info"]["user"] == "bob"
        for speaker in (a, b):
            present = (await speaker.ask("presence", channel="c"))["presence"]
            assert sorted(one["user"] for one in present.values()) == ["ann", "bob"]
            assert await speaker.ask("presence_stats", channel="c") == {"num_clients": 2, "num_users": 2}
        b.client.close()
        assert (await a.push())["leave"]["info"]["user"] == "bob"


async def test_one_who_is_told_of_members_need_not_be_one(autojump_clock: MockClock) -> None:
    class Watching(Present):
        async def subscribing(self, client: Client, channel: str, data: object) -> Subscribed:
            return Subscribed(join_leave=True) if data == "watch" else Subscribed(presence=True)

    hub = MemoryHub()
    async with (
        open_kit(Watching(), backplane=MemoryBackplane(hub)) as one,
        open_kit(Watching(), backplane=MemoryBackplane(hub)) as other,
    ):
        a, b = await connected(one, token="ann"), await connected(other, token="bob")
        await a.ask("subscribe", channel="c", data="watch")
        assert (await a.ask("presence", channel="c"))["code"] == 108
        await trio.sleep(2)
        await b.ask("subscribe", channel="c")
        assert (await a.push())["join"]["info"]["user"] == "bob"
        await b.ask("unsubscribe", channel="c")
        assert (await a.push())["leave"]["info"]["user"] == "bob"


async def test_a_user_who_comes_back_soon_has_never_left(autojump_clock: MockClock) -> None:
    async with speaking(ByUser()) as kit:
        a = await connected(kit, token="ann")
        await a.ask("subscribe", channel="c")
        assert (await a.push())["join"]["info"]["user"] == "ann"
        b = await connected(kit, token="bob")
        await b.ask("subscribe", channel="c")
        assert (await a.push())["join"]["info"]["user"] == "bob"
        second = await connected(kit, token="bob")
        await second.ask("subscribe", channel="c")
        for speaker in (b, second):
            speaker.client.close()
        await trio.sleep(5)
        b = await connected(kit, token="bob")
        await b.ask("subscribe", channel="c")
        await trio.sleep(20)
        assert not any("push" in message for message in a.client.received() if isinstance(message, str))
        assert await a.ask("presence_stats", channel="c") == {"num_clients": 2, "num_users": 2}
        b.client.close()
        began = trio.current_time()
        assert (await a.push())["leave"]["info"]["user"] == "bob"
        assert 10 <= trio.current_time() - began <= 12


async def test_a_user_who_unsubscribes_has_left_at_once() -> None:
    async with speaking(ByUser()) as kit:
        a, b = await connected(kit, token="ann"), await connected(kit, token="bob")
        await a.ask("subscribe", channel="c")
        await b.ask("subscribe", channel="c")
        assert [(await a.push())["join"]["info"]["user"] for _ in range(2)] == ["ann", "bob"]
        b.skipping = True  # it was told that it has joined
        await b.ask("unsubscribe", channel="c")
        assert (await a.push())["leave"]["info"]["user"] == "bob"


async def test_anonymous_clients_are_members_by_themselves() -> None:
    async with speaking(ByUser()) as kit:
        a, b = await connected(kit), await connected(kit)
        await a.ask("subscribe", channel="c")
        await b.ask("subscribe", channel="c")
        await wait_all_tasks_blocked()
        a.client.received()
        assert await a.ask("presence_stats", channel="c") == {"num_clients": 2, "num_users": 1}


def test_members_are_clients_or_users() -> None:
    with pytest.raises(ValueError, match="'clients' or 'users'"):
        Subscribed(members="people")  # type: ignore[arg-type]
