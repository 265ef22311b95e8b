"""The members of channels: lists, joins and leaves."""

from __future__ import annotations

from tests.centrifuge.speaking import connected, speaking
from wsframe import Client
from wsframe.centrifuge import CentrifugeResource, Connected, Subscribed


class Present(CentrifugeResource):
    subscription = Subscribed(presence=True, join_leave=True)

    async def connecting(self, client: Client, token: str, data: object) -> Connected:
        return Connected(user=token)

    async def subscribing(self, client: Client, channel: str, data: object) -> Subscribed | None:
        return None if data is None else Subscribed(presence=True, info=data)


async def test_members_of_a_channel_are_listed_and_announced() -> None:
    async with speaking(Present()) as kit:
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
