"""Hooks that could not be called, or that nothing would call, are told when the class is made."""

import functools
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext

import pytest

from wsframe import Client, FunctionResource, JSONResource, Registry, Resource
from wsframe.resources.check_hooks import check_made_by_running
from wsframe.resources.resource import HOOKS
from wsframe.testing import open_client


def made(name: str, function: Callable[..., object], base: type[Resource] = Resource) -> type[Resource]:
    return type("Chat", (base,), {name: function})


async def without_client(self: object, message: str) -> None: ...


async def with_more(self: object, client: object, message: object, more: object) -> None: ...


async def with_defaults(
    self: object, first: object = 0, second: object = 0, hook: str = "", client: object = 0
) -> None: ...


async def with_anything(*args: object, **named: object) -> None: ...


def injecting(function: Callable[..., object]) -> Callable[..., object]:
    """Decorate a hook that takes an argument more than the hook has."""

    @functools.wraps(function)
    async def hook(self: object, client: object, message: object) -> None: ...

    return hook


async def shuffled(self: object, message: object, client: object) -> None: ...


async def half_shuffled(self: object, text: object, client: object) -> None: ...


@pytest.mark.parametrize(
    ("name", "function", "told"),
    [
        ("received_text", shuffled, r"takes \(self, message, client\), but is called with \(self, client, message\)"),
        ("received_binary", half_shuffled, r"takes \(self, text, client\), but is called with \(self, client, "),
        ("received_text", without_client, r"takes \(self, message\), but is called with \(self, client, message\)"),
        ("received_binary", with_more, r"takes \(self, client, message, more\), but is called with \(self, client, "),
        ("client_connected", with_more, r"takes .*, but is called with \(self, client\)"),
        ("hook_failed", without_client, r"takes .*, but is called with \(self, error, \*, hook, client\)"),
        (
            "check_message",
            lambda self, client: None,
            r"takes .*, but is called with \(self, client, kind, ",
        ),
    ],
)
def test_a_hook_that_takes_something_else_is_a_type_error(
    name: str, function: Callable[..., object], told: str
) -> None:
    with pytest.raises(TypeError, match=rf"^Chat\.{name} {told}"):
        made(name, function)


def test_hooks_of_json_resources_are_checked_too() -> None:
    with pytest.raises(TypeError, match=r"Chat\.received_json takes \(self, message\), but is called with"):
        made("received_json", without_client, JSONResource)


@pytest.mark.parametrize("name", HOOKS)
def test_hooks_may_take_more_than_they_must(name: str) -> None:
    made(name, with_anything)
    made(name, with_defaults)


def test_what_a_decorator_adds_is_its_own_affair() -> None:
    made("received_text", injecting(with_more))
    made("received_text", staticmethod(without_client))  # called with client and message, which it takes


@pytest.mark.parametrize("name", ["recieved_text", "receive_text", "received_texts", "recieved_binary", "diconnected"])
def test_a_misspelt_hook_is_a_warning_where_the_class_is_made(name: str) -> None:
    with pytest.warns(UserWarning, match=rf"^nothing calls Chat\.{name}: did you mean \w+\?$") as warned:
        made(name, with_anything)
    assert warned[0].filename == __file__


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        # Starlette, Tornado, Channels, Socket.IO, autobahn, the browser's API, clws and Hunchensocket
        ("on_connect", "client_connected"), ("on_receive", "received_text"), ("on_disconnect", "disconnected"),
        ("on_message", "received_text"), ("on_close", "disconnected"), ("on_open", "client_connected"),
        ("connect", "client_connected"), ("disconnect", "disconnected"), ("receive", "received_text"),
        ("receive_json", "received_text, or received_json of a JSONResource"), ("on_pong", "received_pong"),
        ("receive_bytes", "received_binary"),
        ("onMessage", "received_text"), ("onOpen", "client_connected"), ("onClose", "disconnected"),
        ("onmessage", "received_text"), ("connection_lost", "disconnected"), ("data_received", "received_text"),
        ("client_disconnected", "disconnected"), ("text_message_received", "received_text"),
        ("message", "received_text"), ("handle_message", "received_text"), ("websocket_receive", "received_text"),
        ("on_error", "hook_failed"), ("accept_connection", "accept_client"), ("on_startup", "running"),
        ("open", "client_connected"), ("close", "disconnected"), ("closed", "disconnected"),
    ],
)  # fmt: skip
def test_a_hook_of_another_framework_is_a_warning_with_the_right_name(name: str, meant: str) -> None:
    with pytest.warns(UserWarning, match=rf"^nothing calls Chat\.{name}: did you mean {meant}\?$") as warned:
        made(name, with_anything)
    assert warned[0].filename == __file__
    with pytest.warns(UserWarning, match=f"did you mean {meant}"):
        made(name, lambda self, message: None)  # many frameworks call plain functions


def test_a_check_of_origins_belongs_to_register() -> None:
    with pytest.warns(UserWarning, match=r"did you mean accept_client, or origins= of register\?"):
        made("check_origin", lambda self, origin: True)


def test_a_json_resource_has_a_name_of_its_own_for_messages() -> None:
    with pytest.warns(UserWarning, match=r"nothing calls Chat\.on_message: did you mean received_json\?") as warned:
        made("on_message", with_anything, JSONResource)
    assert warned[0].filename == __file__


def test_mixins_are_looked_at_too() -> None:
    class Habits:
        async def on_message(self, client: object, message: str) -> None: ...

    with pytest.warns(UserWarning, match=r"nothing calls Chat\.on_message: did you mean received_text\?"):
        type("Chat", (Habits, Resource), {})


def test_what_another_method_calls_is_the_class_s_own() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")

        class Chat(Resource):
            async def client_connected(self, client: Client) -> None:
                await self.connect(client)

            async def connect(self, client: Client) -> None: ...


@pytest.mark.parametrize("name", ["text_of", "_receive_text", "hook", "_on_message", "rooms", "publish"])
def test_other_names_are_free(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made(name, with_anything)
        made("recieved_text", lambda self: None)  # nothing that could be awaited
        made("close", lambda self: None)  # nothing that could take a client


def test_a_function_resource_has_its_decorators() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        type("Own", (FunctionResource,), {"on_message": FunctionResource.on_message})


def test_a_hook_with_a_yield_is_a_type_error() -> None:
    async def received_text(self: object, client: object, message: str) -> AsyncIterator[str]:
        yield message

    with pytest.raises(TypeError, match=r"Chat\.received_text must be a coroutine function: take the 'yield' out"):
        made("received_text", received_text)


def plain_running(self: object) -> Iterator[None]:
    yield


async def no_yield(self: object) -> None: ...


@asynccontextmanager
async def with_server(self: object, server: object) -> AsyncIterator[None]:
    yield


@pytest.mark.parametrize("running", [plain_running, contextmanager(plain_running), no_yield])
def test_running_that_is_no_async_context_manager_is_a_type_error(running: Callable[..., object]) -> None:
    with pytest.raises(TypeError, match=r"Chat\.running must be a context manager: write '@asynccontextmanager' above"):
        made("running", running)


@pytest.mark.parametrize("result", [None, "x", nullcontext])
def test_a_running_that_makes_no_context_manager_is_a_type_error(result: object) -> None:
    with pytest.raises(TypeError, match=r"Chat\.running\(\) returned .*, not a context manager: write '@asynccont"):
        check_made_by_running(type("Chat", (), {}), result)
    entered = nullcontext()
    assert check_made_by_running(object, entered) is entered


def test_running_takes_the_resource_alone() -> None:
    with pytest.raises(TypeError, match=r"Chat\.running is called with \(self\), but takes \(self, server\)"):
        made("running", with_server)


@pytest.mark.parametrize(("name", "value"), [("clients", []), ("clients", set()), ("server", None)])
def test_an_attribute_that_would_hide_the_clients_is_a_type_error(name: str, value: object) -> None:
    """broadcast_text would then send to nobody, and say nothing."""
    with pytest.raises(TypeError, match=rf"Chat\.{name} hides Resource\.{name}, which is kept for you: take another"):
        type("Chat", (Resource,), {name: value})


def test_a_hook_that_was_set_on_an_object_is_checked_when_it_is_registered() -> None:
    resource = Resource()
    resource.received_text = lambda client, message: None  # type: ignore[method-assign,assignment,return-value]
    with pytest.raises(TypeError, match=r"Resource\.received_text must be a coroutine function"):
        Registry().register("/chat", resource)


async def answer_with(resource: Resource, start: str, client: Client, message: str) -> None:
    client.send_text(start + message)


async def test_a_hook_can_be_a_partial_method() -> None:
    class Partial(Resource):
        received_text = functools.partialmethod(answer_with, "> ")

    async with open_client(Partial()) as client:
        client.send_text("one")
        assert await client.receive_text() == "> one"
