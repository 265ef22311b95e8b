"""The AsyncAPI document: its text for each resource, and that it is valid."""

import functools
import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import msgspec
import pytest
from jsonschema import Draft7Validator
from referencing.jsonschema import EMPTY_REGISTRY

from tests.requirements import NODE, require_node
from wsframe import Client, Dispatcher, JSONResource, Registry, Request, Resource
from wsframe.resources.asyncapi import document, draft_07

DataT = TypeVar("DataT")
PACKAGES = Path(__file__).parents[1] / "node"


class Join(msgspec.Struct, tag="join"):
    """Asks to come in."""

    nick: Annotated[str, msgspec.Meta(max_length=20)]


class Say(msgspec.Struct, tag="say"):
    text: str
    place: tuple[float, float] | None = None
    about: Join | None = None


@dataclass
class Joined:
    nick: str


class Chat(JSONResource):
    """One room.

    For everybody.
    """

    sends = Joined | str

    async def received_json(self, client: Client, message: Join | Say) -> None: ...


class Echo(Resource):
    async def received_text(self, client: Client, message: str) -> None: ...

    async def received_binary(self, client: Client, message: bytes) -> None: ...


class Mixed(JSONResource):
    async def received_json(self, client: Client, message: dict[str, int]) -> None: ...

    async def received_binary(self, client: Client, message: bytes) -> None: ...


class Own(JSONResource):
    async def received_text(self, client: Client, message: str) -> None: ...


class Silent(Resource):
    """Only talks."""


class SilentJSON(JSONResource):
    sends = Join


def described(**resources: Resource) -> dict[str, Any]:
    registry = Registry()
    for path, resource in resources.items():
        registry.register(path, resource)
    return document(registry, title="Chat", version="2.1")


def resolve(made: dict[str, Any], reference: dict[str, str]) -> Any:
    """Follow a reference within the document."""
    (pointer,) = reference.values()
    assert pointer.startswith("#/")
    found: Any = made
    for name in pointer[2:].split("/"):
        found = found[name]
    return found


def names_of(made: dict[str, Any], operation: str) -> list[str]:
    return [resolve(made, message)["name"] for message in made["operations"][operation]["messages"]]


def test_a_json_resource_has_its_types_either_way() -> None:
    made = described(**{"/chat": Chat()})
    assert made["asyncapi"] == "3.0.0"
    assert made["info"] == {"title": "Chat", "version": "2.1"}
    channel = made["channels"]["chat"]
    assert channel["address"] == "/chat"
    assert channel["description"] == "One room.\n\nFor everybody."
    assert "parameters" not in channel
    assert channel["bindings"] == {"ws": {"method": "GET"}}
    assert sorted(made["operations"]) == ["receive-chat", "send-chat"]
    assert made["operations"]["receive-chat"]["action"] == "receive"
    assert resolve(made, made["operations"]["send-chat"]["channel"]) is channel
    assert names_of(made, "receive-chat") == ["Join", "Say"]
    assert names_of(made, "send-chat") == ["Joined", "str"]
    assert {message["contentType"] for message in channel["messages"].values()} == {"application/json"}
    join = resolve(made, channel["messages"]["Join"]["payload"])
    assert join["description"] == "Asks to come in."
    assert join["properties"] == {"type": {"enum": ["join"]}, "nick": {"type": "string", "maxLength": 20}}
    assert join["required"] == ["type", "nick"]
    assert channel["messages"]["str"]["payload"] == {"type": "string"}


def test_other_resources_have_the_kinds_of_messages_they_have_hooks_for() -> None:
    made = described(**{"/echo": Echo(), "/mixed": Mixed(), "/own": Own(), "/silent": Silent(), "/json": SilentJSON()})
    assert {name: names_of(made, name) for name in made["operations"]} == {
        "receive-echo": ["text", "binary"],
        "receive-mixed": ["dict", "binary"],
        "receive-own": ["text"],
        "send-json": ["Join"],
    }
    assert made["channels"]["echo"]["messages"]["text"]["payload"] == {"type": "string"}
    assert made["channels"]["echo"]["messages"]["binary"]["contentType"] == "application/octet-stream"
    assert made["channels"]["mixed"]["messages"]["dict"]["payload"] == {
        "type": "object",
        "additionalProperties": {"type": "integer"},
    }
    assert made["channels"]["silent"]["messages"] == {}
    assert made["channels"]["silent"]["description"] == "Only talks."
    assert "description" not in made["channels"]["echo"], "not that of the base"


def test_each_path_has_a_channel_whose_name_is_a_plain_one() -> None:
    made = described(**{"/": Echo(), "/a/b": Echo(), "/a_b": Echo(), "/a-b/": Chat(), "/rooms/{room}/{seat}": Echo()})
    assert {name: channel["address"] for name, channel in made["channels"].items()} == {
        "root": "/",
        "a_b": "/a/b",
        "a_b_": "/a_b",
        "a_b__": "/a-b/",
        "rooms_room_seat": "/rooms/{room}/{seat}",
    }
    assert made["channels"]["rooms_room_seat"]["parameters"] == {"room": {}, "seat": {}}
    for operation in made["operations"].values():
        channel = resolve(made, operation["channel"])
        assert all(resolve(made, message) in channel["messages"].values() for message in operation["messages"])


def namesake() -> type[JSONResource]:
    class Join(msgspec.Struct):
        other: int

    class Twice(JSONResource):
        sends = list[int] | Literal["x"]

        async def received_json(self, client: Client, message: Annotated[Join, "another"]) -> None: ...

    return Twice


def test_types_of_one_name_are_told_apart() -> None:
    made = described(**{"/a": Chat(), "/b": namesake()(), "/c": Chat()})
    payloads = [made["channels"][name]["messages"]["Join"]["payload"]["$ref"] for name in "abc"]
    assert payloads[0] == payloads[2] != payloads[1]
    assert list(resolve(made, {"$ref": payloads[1]})["properties"]) == ["other"]


def test_messages_of_one_name_in_one_channel_are_told_apart() -> None:
    class Both(JSONResource):
        sends = list[int] | Join

        async def received_json(self, client: Client, message: list[str] | Join) -> None: ...

    made = described(**{"/": Both()})
    assert list(made["channels"]["root"]["messages"]) == ["list", "Join", "list_"]
    assert names_of(made, "send-root") == ["list", "Join"]
    assert made["operations"]["send-root"]["messages"][0] == {"$ref": "#/channels/root/messages/list_"}


def test_schemas_are_those_of_draft_7() -> None:
    made = described(**{"/chat": Chat()})
    say = resolve(made, made["channels"]["chat"]["messages"]["Say"]["payload"])
    place = say["properties"]["place"]["anyOf"][0]
    assert place["items"] == [{"type": "number"}, {"type": "number"}]
    assert place["additionalItems"] is False
    assert "prefixItems" not in place
    validator = Draft7Validator({**made, **say})
    assert validator.is_valid({"type": "say", "text": "", "place": [1, 2.5], "about": {"type": "join", "nick": "a"}})
    for wrong in ([1], [1, 2, 3], ["a", 1]):
        assert not validator.is_valid({"type": "say", "text": "", "place": wrong})


def test_only_schemas_are_rewritten() -> None:
    schema = {
        "properties": {"discriminator": {"type": "string", "discriminator": {"propertyName": "x"}}, "items": True},
        "default": {"discriminator": 1, "prefixItems": 2},
        "enum": [{"discriminator": 1}],
        "anyOf": [{"prefixItems": [{"discriminator": {}}]}, {"not": {"discriminator": {}}}],
    }
    assert draft_07(schema) == {
        "properties": {"discriminator": {"type": "string"}, "items": True},
        "default": {"discriminator": 1, "prefixItems": 2},
        "enum": [{"discriminator": 1}],
        "anyOf": [{"items": [{}], "additionalItems": True}, {"not": {}}],
    }


@pytest.fixture(scope="session")
def specification() -> Draft7Validator:
    """Give a validator of AsyncAPI 3.0 documents, made of the schema that its authors publish."""
    require_node()
    schema = NODE / "node_modules/@asyncapi/specs/schemas/3.0.0.json"
    return Draft7Validator(json.loads(schema.read_text()), registry=EMPTY_REGISTRY)


@pytest.mark.parametrize(
    "resources",
    [
        {},
        {"/": Silent()},
        {"/": Echo(), "/a/b": Echo(), "/rooms/{room}": Chat(), "/mixed": Mixed()},
        {"/a": Chat(), "/b": namesake()(), "/c": SilentJSON()},
    ],
    ids=["empty", "silent", "many", "namesakes"],
)
def test_the_document_is_one_of_asyncapi_3(specification: Draft7Validator, resources: dict[str, Resource]) -> None:
    made = described(**resources)
    assert list(specification.iter_errors(made)) == []
    assert json.loads(json.dumps(made)) == made


def test_what_is_no_document_would_be_noticed(specification: Draft7Validator) -> None:
    for spoil in ("asyncapi", "info"):
        made = described(**{"/": Chat()})
        del made[spoil]
        assert not specification.is_valid(made)
    made = described(**{"/": Chat()})
    made["operations"]["receive-root"]["action"] = "listen"
    assert not specification.is_valid(made)
    made = described(**{"/": Chat()})
    made["components"]["schemas"]["Join"]["discriminator"] = {"propertyName": "type"}
    assert not specification.is_valid(made)


class Rooms:
    def make(self, request: Request) -> Chat | None:
        raise NotImplementedError

    def __call__(self, request: Request) -> Chat:
        raise NotImplementedError


def make_room(request: Request) -> Chat:
    raise NotImplementedError


def make_generic(request: Request) -> "Generic[str] | None":
    raise NotImplementedError


def make_for_checkers(request: "NoSuchName") -> Chat:  # type: ignore[name-defined]  # noqa: F821
    raise NotImplementedError


class Generic(Resource[DataT]):
    """Takes text."""

    async def received_text(self, client: Client[DataT], message: str) -> None: ...


def with_factory(make: Dispatcher) -> dict[str, Any]:
    registry = Registry()
    registry.register_factory("/rooms/{room}", make)
    return document(registry, title="x", version="1")


@pytest.mark.parametrize(
    "make",
    [make_room, make_for_checkers, Rooms().make, Rooms(), partial(make_room), functools.wraps(make_room)(Rooms())],
)
def test_a_factory_has_the_channel_of_the_class_it_says_it_makes(make: Dispatcher) -> None:
    made = with_factory(make)
    alone = described(**{"/rooms/{room}": Chat()})
    assert [made[part] for part in ("channels", "operations")] == [alone[part] for part in ("channels", "operations")]


def test_the_class_may_be_generic_and_named_later() -> None:
    made = with_factory(make_generic)
    assert list(made["operations"]) == ["receive-rooms_room"]
    assert made["channels"]["rooms_room"]["description"] == "Takes text."


def one_of_two(request: Request) -> Chat | Echo | None:
    raise NotImplementedError


def any_resource(request: Request) -> Resource | None:
    raise NotImplementedError


def never(request: Request) -> None:
    raise NotImplementedError


def no_such(request: Request) -> "NoSuchName":  # type: ignore[name-defined]  # noqa: F821
    raise NotImplementedError


@pytest.mark.parametrize("make", [one_of_two, any_resource, never, no_such, lambda request: Chat(), partial(never)])
def test_a_factory_that_does_not_say_what_it_makes_has_a_channel_that_says_so(
    specification: Draft7Validator, make: Dispatcher
) -> None:
    made = with_factory(make)
    channel = made["channels"]["rooms_room"]
    name = getattr(make, "__qualname__", "partial")
    assert channel["description"] == f"Made by {name}, which does not say of which class; its messages are not known."
    assert (channel["address"], channel["messages"]) == ("/rooms/{room}", {})
    assert channel["parameters"] == {"room": {}}
    assert made["operations"] == {}
    assert list(specification.iter_errors(made)) == []


def test_dispatchers_are_named_in_the_description(specification: Draft7Validator) -> None:
    registry, other = Registry(), Registry()
    registry.register("/lobby", Echo())
    registry.register_dispatcher(any_resource)
    other.register_dispatcher(never)
    made = document(registry, other, title="x", version="1")
    assert made["info"]["description"] == (
        "any_resource, never can choose resources for other paths; these are not in here."
    )
    assert list(made["channels"]) == ["lobby"]
    assert list(specification.iter_errors(made)) == []


def test_the_first_of_several_registries_wins() -> None:
    own, behind = Registry(), Registry()
    own.register("/a", Echo())
    own.register("/rooms/{room}", Echo())
    behind.register("/a", Chat())
    behind.register("/rooms/{name}", Chat())
    behind.register("/rooms/exact", Chat())
    behind.register("/b", Silent())
    made = document(own, behind, title="x", version="1")
    assert list(made["channels"]) == ["a", "rooms_room", "b"]
    assert names_of(made, "receive-a") == names_of(made, "receive-rooms_room") == ["text", "binary"]
    own.register("*", Echo())
    assert [one["address"] for one in document(own, behind, title="x", version="1")["channels"].values()] == [
        "/a", "*", "/rooms/{room}",
    ]  # fmt: skip


def test_a_pattern_that_another_hides_is_left_out() -> None:
    registry = Registry()
    registry.register("/{kind}/{name}", Echo())
    registry.register("/rooms/{room}", Chat())
    registry.register("/rooms/exact", Chat())
    made = document(registry, title="x", version="1")
    assert [one["address"] for one in made["channels"].values()] == ["/rooms/exact", "/{kind}/{name}"]
