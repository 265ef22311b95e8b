"""The types of JSON messages: those that can be declared, and mistakes that end in a TypeError at once."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypedDict

import msgspec
import pytest
from trio.testing import wait_all_tasks_blocked

import wsframe
from tests.resources.json_room import Join, Room, Say, Unknown
from tests.wire import connected, serving, text
from wsframe import Client, JSONResource
from wsframe.testing import open_client

if TYPE_CHECKING:
    from nowhere import Nothing  # type: ignore[import-not-found]


@dataclass
class Point:
    x: int
    y: int = 0


class Options(TypedDict, total=False):
    colour: Literal["red", "green"]


class Untagged(msgspec.Struct):
    a: int


class AlsoUntagged(msgspec.Struct):
    b: int


class Lost(msgspec.Struct):
    where: Nothing


def taking(declared: object) -> type[JSONResource]:
    """Make a resource that takes a type, and echoes each message in a list of one."""

    async def received_json(self: JSONResource, client: Client, message: Any) -> None:
        client.send_json([message, type(message).__name__])

    received_json.__annotations__["message"] = declared
    return type("Made", (JSONResource,), {"received_json": received_json})


@pytest.mark.parametrize(
    ("declared", "sent", "decoded"),
    [
        (Point, '{"x": 1, "y": 3}', '[{"x":1,"y":3},"Point"]'),
        ("Point", '{"x": 1, "y": 2}', '[{"x":1,"y":2},"Point"]'),
        (Options, '{"colour": "red"}', '[{"colour":"red"},"dict"]'),
        (dict, '{"a": [1.5, null]}', '[{"a":[1.5,null]},"dict"]'),
        (dict[str, int], '{"a": 1}', '[{"a":1},"dict"]'),
        (dict[str, Decimal], '{"a": "1.50"}', '[{"a":"1.50"},"dict"]'),
        ("list[Join] | int", "7", '[7,"int"]'),
        ("list[Join] | int", '[{"type": "Join", "nick": "a"}]', '[[{"type":"Join","nick":"a"}],"list"]'),
        (Untagged, '{"a": 1}', '[{"a":1},"Untagged"]'),
        (Any, '"text"', '["text","str"]'),
        (object, "[]", '[[],"list"]'),
        (Annotated[int, msgspec.Meta(ge=0)], "0", '[0,"int"]'),
        (bytes, '"AAE="', '["AAE=","bytes"]'),
    ],
)
async def test_all_that_msgspec_decodes_can_be_declared(declared: object, sent: str, decoded: str) -> None:
    async with serving(taking(declared)()) as server, connected(server) as peer:
        await peer.send(text(sent))
        assert await peer.receive_text() == decoded
        await peer.finish()


async def test_what_is_nested_too_deeply_is_closed_1007() -> None:
    """For a type that has any depth; msgspec raises RecursionError there."""
    async with serving(taking(Any)()) as server, connected(server) as peer:
        await peer.send(text("[" * 200_000))
        assert await peer.receive_close() == (1007, "JSON is nested too deeply")


@pytest.mark.parametrize(
    ("declared", "reason"),
    [
        ("Nowhere", "cannot make a type of 'Nowhere': name 'Nowhere' is not defined"),
        ("Join |", "cannot make a type of 'Join |'"),
        (Unknown, "is not a type for JSON: Generating JSON schema for custom types"),
        (list[Unknown], "is not a type for JSON"),
        ("Untagged | AlsoUntagged", "all Struct types must be tagged"),
        ("Point | Untagged", "is not a type for JSON"),
        (Lost, "is not a type for JSON: name 'Nothing' is not defined"),
        (msgspec.msgpack.Ext, "is not a type for JSON"),
    ],
)
def test_a_type_that_cannot_be_is_refused_when_the_class_is_made(declared: object, reason: str) -> None:
    with pytest.raises(TypeError, match=r"^Made\.received_json: ") as caught:
        taking(declared)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_received_json_must_say_what_it_takes_and_be_awaitable() -> None:
    with pytest.raises(TypeError, match=r"Bare\.received_json must annotate its message"):

        class Bare(JSONResource):
            async def received_json(self, client, message):  # type: ignore[no-untyped-def]
                pass

    with pytest.raises(
        TypeError, match=r"Short\.received_json takes \(self, message\), but is called with \(self, client, message\)"
    ):

        class Short(JSONResource):
            async def received_json(self, message: Join) -> None:  # type: ignore[override]
                pass

    with pytest.raises(TypeError, match=r"Plain\.received_json must be a coroutine function"):

        class Plain(JSONResource):
            def received_json(self, client: Client, message: Join) -> None:  # type: ignore[override]
                pass

    with pytest.raises(TypeError, match=r"Wrong\.invalid_message must be a coroutine function"):

        class Wrong(JSONResource):
            def invalid_message(self, client: Client, error: Exception) -> None:  # type: ignore[override]
                pass

    with pytest.raises(TypeError, match=r"Sender\.sends: .* is not a type for JSON"):

        class Sender(JSONResource):
            sends = Unknown


def test_other_annotations_need_not_be_there_at_run_time() -> None:
    class Lazy(JSONResource):
        async def received_json(self, client: Client[Nothing], message: Join) -> Nothing:
            pass

    assert Lazy._takes is Join


def test_a_subclass_takes_what_its_base_does_or_something_else() -> None:
    class Same(Room):
        pass

    class Another(Room):
        async def received_json(self, client: Client[str], message: Join | Say | int) -> None:
            pass

    assert Same._takes == Join | Say
    assert Another._takes == Join | Say | int


@dataclass
class Holding:
    data: object


ANYTHING = {"data": [1, {"x": None}]}


@pytest.mark.parametrize(
    ("declared", "decoded"),
    [
        (object, ANYTHING),
        (Any, ANYTHING),
        (dict[str, object], ANYTHING),
        (dict[str, Any], ANYTHING),
        (dict[str, list[object]], ANYTHING),
        (object | None, ANYTHING),
        (Holding, Holding(ANYTHING["data"])),
        (Annotated[dict[str, object], "note"], ANYTHING),
    ],
)
async def test_object_stands_for_anything_inside_types_too(declared: Any, decoded: object) -> None:
    taken: list[object] = []

    async def received_json(self: Any, client: wsframe.Client, message: Any) -> None:
        taken.append(message)

    received_json.__annotations__["message"] = declared
    made: Any = type("Made", (JSONResource,), {"received_json": received_json, "sends": declared})
    async with open_client(made()) as client:
        client.send_text('{"data": [1, {"x": null}]}')
        await wait_all_tasks_blocked()
    assert taken == [decoded]
