"""Registering a class by a decorator."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

import wsframe
from tests.wire import connected, serving, text
from wsframe import Client, Registry, Resource
from wsframe.resources.routing.registry import global_registry


@pytest.fixture(autouse=True)
def _global_registry_as_before() -> Iterator[None]:
    before = global_registry.snapshot()
    yield
    global_registry.restore(before)


def test_one_object_is_registered_globally_and_the_class_stays_a_class() -> None:
    @wsframe.resource("/chat")
    class Chat(Resource[str]):
        pass

    assert type(wsframe.find_global_resource("/chat")) is Chat
    assert wsframe.find_global_resource("/CHAT") is None
    assert Chat() is not wsframe.find_global_resource("/chat")


def test_options_are_those_of_register() -> None:
    registry = Registry()

    @wsframe.resource("/chat", origins=wsframe.any_origin, ignore_case=True, registry=registry)
    class Chat(Resource):
        pass

    assert isinstance(registry.find("/CHAT"), Chat)
    ((_, registration),) = registry.table.registrations()
    assert registration.origins is wsframe.any_origin
    assert wsframe.find_global_resource("/chat") is None
    for wrong in ({"origins": "https://example.com"}, {"ignore_case": 1}):
        options: Any = wrong
        with pytest.raises(TypeError):
            wsframe.resource("/other", registry=registry, **options)(Chat)
    with pytest.raises(ValueError, match="begin"):
        wsframe.resource("chat", registry=registry)(Chat)
    assert registry.paths() == ["/chat"]


async def test_it_is_served() -> None:
    registry = Registry()

    @wsframe.resource("/chat", registry=registry)
    class Chat(Resource):
        async def received_text(self, client: Client, message: str) -> None:
            client.send_text(message)

    made = registry.find("/chat")
    assert made is not None
    async with serving(made) as server, connected(server) as peer:
        await peer.send(text("hello"))
        assert await peer.receive_text() == "hello"
        await peer.finish()


def test_a_dataclass_with_defaults_needs_no_arguments() -> None:
    registry = Registry()

    @wsframe.resource("/chat", registry=registry)
    @dataclass(eq=False)
    class Chat(Resource):
        size: int = 3

    found = registry.find("/chat")
    assert isinstance(found, Chat)
    assert found.size == 3


def test_a_class_that_needs_arguments_is_an_error_with_the_right_form() -> None:
    class Room(Resource):
        def __init__(self, name: str) -> None:
            self.name = name

    with pytest.raises(
        TypeError,
        match=r"without arguments, but it takes \(name\): .* register_global_resource\('/chat', Room\(...\)\)",
    ):
        wsframe.resource("/chat")(Room)
    assert wsframe.find_global_resource("/chat") is None


def test_an_error_within_init_is_its_own() -> None:
    class Broken(Resource):
        def __init__(self) -> None:
            raise TypeError("mine")

    with pytest.raises(TypeError, match=r"^mine$"):
        wsframe.resource("/chat")(Broken)


@pytest.mark.parametrize("wrong", [print, 5, Client, Resource()])
def test_anything_but_a_resource_class_is_an_error(wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"subclass of Resource, not .*define_resource"):
        wsframe.resource("/chat")(wrong)


def test_a_forgotten_path_is_an_error_with_the_right_form() -> None:
    without: Any = wsframe.resource
    with pytest.raises(TypeError, match=r'write @wsframe\.resource\("/chat"\)'):

        @without
        class Chat(Resource):
            pass
