"""The class users subclass: the checks when it is made, and its objects."""

import functools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

import wsframe
from tests.wire import close, connected, serving, text
from wsframe.resources.resource import HOOKS


def make_class(bases: tuple[type, ...] = (wsframe.Resource,), /, **members: object) -> type[wsframe.Resource]:
    return cast("type[wsframe.Resource]", type("Chat", bases, members))


def sync_hook(*args: object) -> None:
    pass


async def async_hook(*args: object, **named: object) -> None:
    pass


def transparent(hook: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    @functools.wraps(hook)
    def wrapper(*args: object, **named: object) -> Awaitable[None]:
        return hook(*args, **named)

    return wrapper


def made_async(hook: Callable[..., None]) -> Callable[..., Awaitable[None]]:
    @functools.wraps(hook)
    async def wrapper(*args: object) -> None:
        hook(*args)

    return wrapper


def test_every_hook_of_the_interface_is_checked() -> None:
    assert set(HOOKS) == {
        "accept_client", "client_connected", "received_text", "received_binary", "received_pong", "received_custom",
        "disconnected", "hook_failed", "missed", "resync", "snapshot", "joined", "left",
        "hand_over", "take_over",
    }  # fmt: skip


@pytest.mark.parametrize("hook", HOOKS)
def test_sync_hook_is_a_type_error_that_names_it(hook: str) -> None:
    with pytest.raises(TypeError, match=f"Chat.{hook} must be a coroutine function"):
        make_class(**{hook: sync_hook})


@pytest.mark.parametrize("hook", HOOKS)
def test_sync_hook_of_a_mixin_is_found(hook: str) -> None:
    with pytest.raises(TypeError, match=hook):
        make_class((type("Mixin", (), {hook: sync_hook}), wsframe.Resource))


@pytest.mark.parametrize("hook", HOOKS)
def test_hook_that_is_no_function_is_a_type_error(hook: str) -> None:
    with pytest.raises(TypeError, match=hook):
        make_class(**{hook: 17})


@pytest.mark.parametrize("hook", HOOKS)
def test_async_hooks_pass_also_wrapped_and_from_mixins(hook: str) -> None:
    make_class(**{hook: async_hook})
    make_class(**{hook: transparent(transparent(async_hook))})
    make_class((type("Mixin", (), {hook: async_hook}), wsframe.Resource))


def test_sync_function_made_async_by_a_decorator_passes() -> None:
    """The framework calls the wrapper, and that is a coroutine function."""
    make_class(received_text=made_async(sync_hook))


def test_running_without_its_decorator_is_a_type_error() -> None:
    async def running(_self: object) -> AsyncIterator[None]:
        yield  # pragma: no cover

    with pytest.raises(TypeError, match=r"Chat\.running must be a context manager: write '@asynccontextmanager'"):
        make_class(running=running)
    make_class(running=asynccontextmanager(running))


def test_methods_that_are_no_hooks_may_be_sync() -> None:
    make_class(running=sync_hook, helper=sync_hook)


def test_check_goes_for_subclasses_of_subclasses() -> None:
    parent = make_class(received_text=async_hook)
    with pytest.raises(TypeError, match="received_text"):
        make_class((parent,), received_text=sync_hook)


@pytest.mark.parametrize("value", [None, 5, {}, wsframe.Timeouts()])
def test_limits_of_another_type_are_a_type_error(value: object) -> None:
    with pytest.raises(TypeError, match=r"Chat\.limits must be a wsframe\.Limits"):
        make_class(limits=value)


@pytest.mark.parametrize("value", [None, 5, {}, wsframe.Limits()])
def test_timeouts_of_another_type_are_a_type_error(value: object) -> None:
    with pytest.raises(TypeError, match=r"Chat\.timeouts must be a wsframe\.Timeouts"):
        make_class(timeouts=value)


@pytest.mark.parametrize("value", ["drop", None, True, [], ""])
def test_unknown_overflow_is_a_type_error_that_lists_the_choices(value: object) -> None:
    with pytest.raises(TypeError, match=r"Chat\.overflow must be one of disconnect, drop_oldest, drop_newest"):
        make_class(overflow=value)


@pytest.mark.parametrize("value", ["server", None, 1, []])
def test_unknown_ordering_is_a_type_error_that_lists_the_choices(value: object) -> None:
    with pytest.raises(TypeError, match=r"Chat\.ordering must be one of resource, client"):
        make_class(ordering=value)


def test_one_str_as_subprotocols_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="collection of names"):
        make_class(subprotocols="chat")


@pytest.mark.parametrize("code", [1005, 1006, 999, 5000])
def test_error_close_code_that_may_not_be_sent_is_a_value_error(code: int) -> None:
    with pytest.raises(ValueError, match=str(code)):
        make_class(error_close_code=code)


def test_error_close_code_of_another_type_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="int"):
        make_class(error_close_code="1011")


@pytest.mark.parametrize("overflow", ["disconnect", "drop_oldest", "drop_newest"])
@pytest.mark.parametrize("ordering", ["resource", "client"])
def test_good_settings_pass(overflow: str, ordering: str) -> None:
    make_class(
        overflow=overflow, ordering=ordering, limits=wsframe.Limits(max_message=10), subprotocols=["chat"],
        timeouts=wsframe.Timeouts(close=1), error_close_code=4000, max_clients=1,
    )  # fmt: skip


def test_resource_that_is_not_served_has_no_clients() -> None:
    resource = wsframe.Resource()
    assert list(resource.clients) == []
    assert len(resource.clients) == 0
    assert object() not in resource.clients
    assert repr(resource.clients) == "<Clients 0>"


@dataclass
class Room(wsframe.Resource):
    """A dataclass with ``eq`` is unhashable, and its ``__init__`` calls no other."""

    name: str
    said: list[str] = field(default_factory=list)

    async def received_text(self, client: wsframe.Client, message: str) -> None:
        self.said.append(message)
        self.broadcast_text(f"{self.name}: {message}")


async def test_dataclass_serves() -> None:
    room, equal = Room("lobby"), Room("lobby")
    assert room == equal
    async with serving({"/a": room, "/b": equal}) as server, connected(server, "/a") as peer:
        await peer.send(text("hello"))
        assert await peer.receive_text() == "lobby: hello"
    assert (room.said, equal.said) == (["hello"], []), "equal resources are told apart"


class Slotted(wsframe.Resource):
    """Its ``__init__`` calls no other, and it is equal to everything."""

    def __init__(self) -> None:
        self.count = 0

    def __eq__(self, other: object) -> bool:
        return True

    async def received_text(self, client: wsframe.Client, message: str) -> None:
        self.count += 1
        client.send(str(self.count))


async def test_init_need_not_call_super() -> None:
    async with serving(Slotted()) as server, connected(server) as peer:
        await peer.send(text("x"), text("x"))
        assert [await peer.receive_text(), await peer.receive_text()] == ["1", "2"]


async def test_framework_leaves_no_traces_on_the_object() -> None:
    resource = Slotted()
    async with serving(resource) as server, connected(server) as peer:
        await peer.finish()
    assert {name: value for name, value in vars(resource).items() if value is not None} == {"count": 0}


async def test_defaults_close_1003_for_messages() -> None:
    resource = wsframe.Resource[Any]()
    async with serving(resource) as server:
        async with connected(server) as peer:
            await peer.send(text("x"))
            assert await peer.receive_close() == (1003, "text is not supported here")
            await peer.send(close(1003))
        async with connected(server) as peer:
            await peer.send(b"\x82\x80\x00\x00\x00\x00")
            assert await peer.receive_close() == (1003, "binary is not supported here")
            await peer.send(close(1003))


async def test_default_received_custom_logs_an_error(caplog: pytest.LogCaptureFixture) -> None:
    resource = wsframe.Resource()
    async with serving(resource):
        resource.post("nobody expected this")
        await resource.call(lambda: None)
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == [
        "Resource has no received_custom for a str"
    ]
