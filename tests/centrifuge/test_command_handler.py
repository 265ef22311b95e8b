"""Commands of clients: which hook each calls, and the reply that it gets."""

from __future__ import annotations

from typing import Any

import pytest

from tests.centrifuge.noting import Noting
from tests.centrifuge.speaking import Speaker, connected, speaking
from wsframe import Client
from wsframe.centrifuge import (
    CentrifugeDisconnect,
    CentrifugeError,
    CentrifugeOptions,
    CentrifugeResource,
    Connected,
    Published,
    Subscribed,
)
from wsframe.centrifuge.command_handler import PART
from wsframe.centrifuge.session import Session, SessionPhase

# The beginning


async def test_anybody_may_connect() -> None:
    async with speaking(CentrifugeResource()) as kit:
        speaker = Speaker(await kit.connect())
        answer = await speaker.ask("connect")
        assert set(answer) == {"client", "version", "ping", "pong"}
        assert (answer["ping"], answer["pong"]) == (25, True)


async def test_the_answer_of_connecting_reaches_the_client() -> None:
    options = Connected(user="7", data={"hello": 1}, expires=59.5, info=[1])
    resource = Noting(connecting=options)
    async with speaking(resource) as kit:
        answer = await Speaker(await kit.connect()).ask("connect", token="t", data={"from": "me"})
        assert (answer["data"], answer["expires"], answer["ttl"]) == ({"hello": 1}, True, 60)
        (client,) = resource.clients
        connection = resource.connection_of(client)
        assert connection == (client.id, "7", ())
    assert resource.calls == [("connecting", "t", {"from": "me"})]


async def test_a_refused_connect_has_its_error_and_nothing_else_is_handled() -> None:
    resource = Noting(connecting=CentrifugeError(101))
    async with speaking(resource) as kit:
        speaker = Speaker(await kit.connect())
        speaker.send({"connect": {}}, {"subscribe": {"channel": "c"}})
        assert await speaker.next() == {"id": 1, "error": {"code": 101, "message": "unauthorized"}}
        speaker.send({"ping": {}})
        assert await speaker.end() == (3501, "bad request")
    assert [call[0] for call in resource.calls] == ["connecting"]


async def test_a_hook_can_close_with_a_code_of_the_protocol() -> None:
    async with speaking(Noting(connecting=CentrifugeDisconnect(3500))) as kit:
        speaker = Speaker(await kit.connect())
        speaker.send({"connect": {}}, {"ping": {}})
        assert await speaker.end() == (3500, "invalid token")


async def test_commands_before_a_bad_one_are_handled() -> None:
    resource = Noting()
    async with speaking(resource) as kit:
        client = await kit.connect()
        client.send_text('{"id":1,"connect":{}}\n{"id":2,"rpc":{"method":"m"}}\n{"id":3,"rpc":')
        assert '"id":2' in await client.receive_text() + await client.receive_text()
        assert tuple(await client.closed()) == (3501, "bad request")
    assert [call[0] for call in resource.calls] == ["connecting", "rpc"]


async def test_a_large_batch_of_an_sdk_is_answered_and_others_have_their_turn_in_between() -> None:
    resource = Noting()
    async with speaking(resource) as kit:
        batching, other = await connected(kit), await connected(kit)
        batching.send(*({"rpc": {"method": "mine"}} for _ in range(2_000)))
        other.send({"rpc": {"method": "its"}})
        assert (await other.next())["id"] == 2
        assert [(await batching.next())["id"] for _ in range(2_000)] == list(range(2, 2_002))
    assert resource.calls.index(("rpc", "its", None)) < resource.calls.count(("rpc", "mine", None)) == 2_000


@pytest.mark.parametrize(
    "message", ['{"id":1,"subscribe":{"channel":"c"}}', "{}", "x", '{"id":1,"connect":{}}\n{"id":2,"connect":{}}']
)
async def test_a_message_out_of_the_protocol_is_a_bad_request(message: str) -> None:
    async with speaking(CentrifugeResource()) as kit:
        client = await kit.connect()
        client.send_text(message)
        assert tuple(await client.closed()) == (3501, "bad request")


async def test_binary_messages_are_refused_for_good() -> None:
    async with speaking(CentrifugeResource()) as kit:
        client = await kit.connect()
        client.send_binary(b"\x02\x08\x01")
        assert tuple(await client.closed()) == (3506, "inappropriate protocol")


async def test_replies_to_one_message_come_in_one_message() -> None:
    async with speaking(Noting(rpc=1)) as kit:
        speaker = await connected(kit)
        speaker.send(*({"rpc": {"method": "m"}} for _ in range(3)))
        assert [(await speaker.next())["id"] for _ in range(3)] == [2, 3, 4]
        assert speaker.sizes == [1, 3]


# Channels


async def test_subscribers_get_publications_after_their_reply() -> None:
    resource = Noting()
    async with speaking(resource) as kit:
        speaker = await connected(kit)
        assert await speaker.ask("subscribe", channel="c", data=[1]) == {}
        resource.publish("c", {"a": 1})
        assert await speaker.push() == {"channel": "c", "pub": {"data": {"a": 1}}}
        assert await speaker.ask("unsubscribe", channel="c") == {}
        resource.publish("c", 2)
        assert await speaker.ask("ping") == {}  # and no publication before it
    assert resource.calls[1:] == [("subscribing", "c", [1]), ("unsubscribed", "c")]


async def test_a_subscription_that_is_refused_can_be_asked_for_again() -> None:
    resource = Noting(subscribing=CentrifugeError(103))
    async with speaking(resource) as kit:
        speaker = await connected(kit)
        assert (await speaker.ask("subscribe", channel="c"))["code"] == 103
        resource.answers = {"subscribing": Subscribed(data="yes")}
        assert await speaker.ask("subscribe", channel="c") == {"data": "yes"}
        assert (await speaker.ask("subscribe", channel="c"))["code"] == 105
    assert ("unsubscribed", "c") in resource.calls  # with the connection


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ({"channel": "x" * 201}, 107),
        ({"channel": "ü" * 101}, 107),
        ({"channel": "\ud800"}, 107),
        ({"channel": "c", "type": 1}, 108),
        ({"channel": "c", "tf": {"op": "and"}}, 107),
    ],
)
async def test_subscriptions_that_are_not_served_have_the_error_of_the_protocol(
    request_: dict[str, Any], code: int
) -> None:
    async with speaking(CentrifugeResource()) as kit:
        speaker = await connected(kit)
        assert (await speaker.ask("subscribe", **request_))["code"] == code
        assert await speaker.ask("subscribe", channel="c", delta="fossil", flag=1) == {}  # without delta, by full name


@pytest.mark.parametrize("method", ["subscribe", "unsubscribe", "publish", "presence", "presence_stats", "history"])
async def test_a_command_without_its_channel_is_a_bad_request(method: str) -> None:
    async with speaking(CentrifugeResource()) as kit:
        speaker = await connected(kit)
        speaker.send({method: {}})
        assert await speaker.end() == (3501, "bad request")


async def test_channels_of_a_client_are_bounded() -> None:
    class Small(CentrifugeResource):
        options = CentrifugeOptions(max_channels=2)

    async with speaking(Small()) as kit:
        speaker = await connected(kit)
        assert [await speaker.ask("subscribe", channel=name) for name in "ab"] == [{}, {}]
        assert (await speaker.ask("subscribe", channel="c"))["code"] == 106
        assert await speaker.ask("unsubscribe", channel="a") == {}
        assert await speaker.ask("subscribe", channel="c") == {}


async def test_publishing_by_clients_is_refused_by_default() -> None:
    async with speaking(CentrifugeResource()) as kit:
        speaker = await connected(kit)
        assert await speaker.ask("publish", channel="c", data=1) == {"code": 103, "message": "permission denied"}


async def test_a_client_that_may_publish_is_named_to_subscribers() -> None:
    resource = Noting(connecting=Connected(user="7", info="me"))
    async with speaking(resource) as kit:
        a, b = await connected(kit), await connected(kit)
        await a.ask("subscribe", channel="c")
        assert await b.ask("publish", channel="c", data={"x": "\ud800"}) == {}
        pub = (await a.push())["pub"]
        assert pub["data"] == {"x": "\ud800"}
        assert (pub["info"]["user"], pub["info"]["conn_info"]) == ("7", "me")
        resource.answers["publishing"] = Published(data="other", tags={"a": "b"}, anonymous=True)
        assert await b.ask("publish", channel="c", data=1) == {}
        assert (await a.push())["pub"] == {"data": "other", "tags": {"a": "b"}}


async def test_a_publisher_gets_its_own_publication() -> None:
    async with speaking(Noting()) as kit:
        speaker = await connected(kit)
        await speaker.ask("subscribe", channel="c")
        speaker.send({"publish": {"channel": "c", "data": None}})
        assert (await speaker.push())["pub"]["data"] is None
        assert await speaker.next() == {"id": 3, "publish": {}}


async def test_numbers_that_no_client_could_read_are_not_published() -> None:
    async with speaking(Noting()) as kit:
        speaker = await connected(kit)
        speaker.client.send_text('{"id":2,"publish":{"channel":"c","data":1e999}}')
        assert (await speaker.next())["error"]["code"] == 107


# Other commands


async def test_rpc_is_unknown_by_default() -> None:
    async with speaking(CentrifugeResource()) as kit:
        speaker = await connected(kit)
        assert await speaker.ask("rpc", method="m") == {"code": 104, "message": "method not found"}


@pytest.mark.parametrize(("result", "wanted"), [(None, {}), (0, {"data": 0}), ({"a": [1]}, {"data": {"a": [1]}})])
async def test_the_result_of_rpc_is_the_reply(result: object, wanted: object) -> None:
    resource = Noting(rpc=result)
    async with speaking(resource) as kit:
        speaker = await connected(kit)
        assert await speaker.ask("rpc", method="m", data={"q": 1}) == wanted
    assert resource.calls[-1] == ("rpc", "m", {"q": 1})


async def test_pings_of_the_client_are_answered_and_asynchronous_messages_are_not_taken() -> None:
    async with speaking(CentrifugeResource()) as kit:
        speaker = await connected(kit)
        assert await speaker.ask("ping") == {}
        speaker.client.send_text('{"send":{"data":1}}')
        assert await speaker.end() == (3508, "not available")


@pytest.mark.parametrize(
    ("method", "request_", "code"),
    [
        ("refresh", {"token": "t"}, 108),
        ("sub_refresh", {"channel": "c", "token": "t"}, 103),
        ("history", {"channel": "c"}, 103),
        ("presence", {"channel": "c"}, 103),
        ("presence_stats", {"channel": "c"}, 103),
        ("publish", {"channel": "c", "type": 1}, 108),
    ],
)
async def test_commands_that_are_not_available_say_so(method: str, request_: dict[str, Any], code: int) -> None:
    async with speaking(Noting()) as kit:
        speaker = await connected(kit)
        assert (await speaker.ask(method, **request_))["code"] == code


async def test_subscribers_ask_for_history_and_presence_only_where_it_is_on() -> None:
    async with speaking(Noting()) as kit:
        speaker = await connected(kit)
        await speaker.ask("subscribe", channel="c")
        for method in ("history", "presence", "presence_stats", "sub_refresh"):
            assert (await speaker.ask(method, channel="c"))["code"] == 108


# Ends while something is looked up


async def test_a_subscription_that_the_server_ends_while_it_is_filled_ends_after_its_reply() -> None:
    resource = Noting()
    async with speaking(resource) as kit:
        speaker = await connected(kit)
        assert resource._service is not None
        channels = resource._service.channels
        fill = channels.fill

        async def slow(session: Session, *args: Any, **options: Any) -> str:
            await resource.remove_subscription(session.client, "c")
            return await fill(session, *args, **options)

        channels.fill = slow  # type: ignore[method-assign]
        assert await speaker.ask("subscribe", channel="c") == {}
        assert (await speaker.push())["unsubscribe"]["code"] == 2000
        resource.publish("c", 1)
        assert await speaker.ask("ping") == {}  # and no publication before it


async def test_a_channel_that_the_server_ends_during_connect_is_not_in_its_reply() -> None:
    class Ending(Noting):
        def history_of(self, channel: str) -> None:
            if channel == "b":
                session = self._service.sessions.of(*self.clients)  # type: ignore[union-attr]
                self._service.channels.end(session, session.subscriptions["a"])  # type: ignore[union-attr,arg-type]

    options = Subscribed(recover=True)
    async with speaking(Ending(connecting=Connected(subscriptions={"a": options, "b": options}))) as kit:
        assert list((await Speaker(await kit.connect()).ask("connect"))["subs"]) == ["b"]


@pytest.mark.parametrize("end", [None, CentrifugeError(101)])
async def test_a_client_that_is_closed_while_it_connects_stays_closed(end: CentrifugeError | None) -> None:
    class Closing(Noting):
        async def connecting(self, client: Client, token: str, data: object) -> None:
            assert self._service is not None
            session = self._service.sessions.add(client)
            sessions.append(session)
            self._service.handler.close(session, 3012, "no pong")
            if end is not None:
                raise end

    sessions: list[Session] = []
    async with speaking(Closing()) as kit:
        speaker = Speaker(await kit.connect())
        speaker.send({"connect": {}})
        assert await speaker.end() == (3012, "no pong")
    assert [session.phase for session in sessions] == [SessionPhase.OVER]


# Long replies


async def test_long_replies_go_out_in_parts() -> None:
    async with speaking(Noting(rpc="x" * (PART // 2))) as kit:
        speaker = await connected(kit)
        speaker.send(*({"rpc": {"method": "m"}} for _ in range(6)))
        for _ in range(6):
            assert (await speaker.next())["rpc"]["data"]
        assert speaker.sizes == [1, 2, 2, 2]


async def test_commands_of_a_client_that_does_not_take_its_replies_are_not_handled() -> None:
    class Leaving(Noting):
        async def rpc(self, client: Client, method: str, data: object) -> object:
            self.calls.append(("rpc",))
            if len(self.calls) == 3:
                client.abort()  # as a full outbox does
            return "x" * PART

    resource = Leaving()
    async with speaking(resource) as kit:
        speaker = await connected(kit)
        speaker.send(*({"rpc": {"method": "m"}} for _ in range(9)))
        await speaker.client.closed()
    assert resource.calls[1:] == [("rpc",)] * 2
