"""The 101 says as much as the resource, the request and the compression agreed on say, and no more."""

from __future__ import annotations

from typing import cast

import pytest
from trio.testing import MockClock

from tests.hostile.place import Recorder
from tests.wire import upgrade
from wsframe import Accept, Deflate, Request
from wsframe.testing import open_kit

FIXED = {"upgrade", "connection", "sec-websocket-accept"}


class Greeted(Recorder):
    subprotocols = ("b", "a")

    def __init__(self, accept: Accept | None) -> None:
        super().__init__()
        self.accept = accept

    async def accept_client(self, request: Request) -> Accept | None:
        return self.accept


async def fields_of(resource: Recorder, deflate: Deflate | None = None, **changes: str) -> tuple[bytes, dict[str, str]]:
    async with open_kit(resource, deflate=deflate) as kit:
        line = kit.dial()
        line.send_bytes(upgrade(changes=cast("dict[str, str | None]", changes)))
        head, *rest = (await line.receive_bytes()).split(b"\r\n\r\n")[0].decode().split("\r\n")
        return head.encode(), {name.lower(): value for name, _, value in (field.partition(": ") for field in rest)}


async def test_a_plain_answer_has_the_three_fields_of_the_rfc(autojump_clock: MockClock) -> None:
    head, fields = await fields_of(Recorder())
    assert head == b"HTTP/1.1 101 Switching Protocols"
    assert set(fields) == FIXED


@pytest.mark.parametrize(
    ("accept", "offered", "chosen"),
    [(None, "a, b", "a"), (None, "c", None), (Accept(subprotocol="b"), "a, b", "b"), (Accept(), "b", "b")],
)
async def test_the_subprotocol_is_one_that_was_offered(
    autojump_clock: MockClock, accept: Accept | None, offered: str, chosen: str | None
) -> None:
    _, fields = await fields_of(Greeted(accept), sec_websocket_protocol=offered)
    assert fields.get("sec-websocket-protocol") == chosen


async def test_fields_of_the_resource_follow_ours(autojump_clock: MockClock) -> None:
    _, fields = await fields_of(Greeted(Accept(headers={"X-Mine": "1"})))
    assert list(fields) == ["upgrade", "connection", "sec-websocket-accept", "x-mine"]


async def test_an_accept_that_cannot_be_sent_is_a_500(autojump_clock: MockClock) -> None:
    accept = Accept()
    accept.headers.append(("Bad", "a\r\nb"))
    head, _ = await fields_of(Greeted(accept))
    assert head.startswith(b"HTTP/1.1 500 ")


async def test_compression_is_answered_where_it_is_offered(autojump_clock: MockClock) -> None:
    _, fields = await fields_of(Recorder(), Deflate.shared(), sec_websocket_extensions="permessage-deflate")
    assert fields["sec-websocket-extensions"].startswith("permessage-deflate")
    _, fields = await fields_of(Recorder(), Deflate.shared())
    assert set(fields) == FIXED
