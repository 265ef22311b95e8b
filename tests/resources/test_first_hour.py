"""Mistakes of the first hour: each is told, with the right form, and none is silent."""

from __future__ import annotations

import asyncio
import logging
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

import wsframe
from tests.wire import status
from wsframe import Client, Registry, Resource, broadcast_binary, broadcast_text, define_resource
from wsframe.testing import Refused, open_client, open_kit


class Trying(Resource):
    """Does the test's action with each message, and keeps the error."""

    def __init__(self, attempt: Callable[[Trying, Client], object]) -> None:
        self.attempt = attempt
        self.error: Exception | None = None

    async def received_text(self, client: Client, message: str) -> None:
        try:
            self.attempt(self, client)
        except Exception as error:
            self.error = error
        client.send_text("over")


BROADCASTS: dict[str, tuple[Callable[[Trying, Client], object], str]] = {
    "exclude a name": (lambda r, c: r.broadcast_text("x", exclude="ann"), "exclude is a client, .*, not str"),  # type: ignore[arg-type]
    "exclude an id": (lambda r, c: r.broadcast_text("x", exclude=c.id), "exclude is a client, .*, not str"),  # type: ignore[arg-type]
    "exclude ids": (lambda r, c: r.broadcast_text("x", exclude=[c.id]), "exclude is a client, .*, not of str"),  # type: ignore[list-item]
    "exclude names": (lambda r, c: r.broadcast_binary(b"x", exclude={"ann": c}), "collection of clients, not of str"),  # type: ignore[dict-item]
    "exclude a function": (lambda r, c: r.broadcast_text("x", exclude=lambda c: True), "not function"),  # type: ignore[arg-type]
    "exclude True": (lambda r, c: r.broadcast_text("x", exclude=True), "not bool"),  # type: ignore[arg-type]
    "names": (lambda r, c: broadcast_text(["ann"], "x"), "such as those of a resource, .*: not to a str"),  # type: ignore[list-item]
    "binary to names": (lambda r, c: broadcast_binary(["ann"], b"x"), "not to a str"),  # type: ignore[list-item]
    "a dict": (lambda r, c: broadcast_text({"ann": c}, "x"), "or the values of a dict: not to a str"),  # type: ignore[dict-item]
    "with a key": (lambda r, c: broadcast_text(["ann"], "x", key=1), "not to a str"),  # type: ignore[list-item]
    "one client": (lambda r, c: broadcast_text(c, "x"), r"give \[client\], or call client\.send_text"),  # type: ignore[arg-type]
    "binary to one": (lambda r, c: broadcast_binary(c, b"x"), r"give \[client\]"),  # type: ignore[arg-type]
    "turned round": (lambda r, c: broadcast_text("x", r.clients), "clients first, then the message; got a str first"),  # type: ignore[arg-type]
    "to nobody": (lambda r, c: broadcast_text("", "x"), "clients first"),  # type: ignore[arg-type]
    "resources": (lambda r, c: broadcast_text([r], "x"), "not to a Trying"),  # type: ignore[list-item]
}


@pytest.mark.parametrize("mistake", BROADCASTS)
async def test_a_broadcast_to_or_without_what_is_no_client_is_a_type_error(mistake: str) -> None:
    attempt, words = BROADCASTS[mistake]
    resource = Trying(attempt)
    async with open_client(resource) as client:
        client.send_text("go")
        assert await client.receive() == "over"
    assert isinstance(resource.error, TypeError)
    with pytest.raises(TypeError, match=words):
        raise resource.error


@pytest.mark.parametrize("exclude", [(), [], set(), frozenset()])
async def test_nobody_to_exclude_is_nobody(exclude: Any) -> None:
    resource = Trying(lambda resource, client: resource.broadcast_text("x", exclude=exclude))
    async with open_client(resource) as client:
        client.send_text("go")
        assert [await client.receive(), await client.receive()] == ["x", "over"]


async def await_send(resource: Any, client: Any) -> None:
    await client.send_text("x")


async def await_broadcast(resource: Any, client: Any) -> None:
    await resource.broadcast_text("x")


async def await_close(resource: Any, client: Any) -> None:
    await client.close()


async def asyncio_sleep(resource: Any, client: Any) -> None:
    await asyncio.sleep(1)


async def iterate(resource: Any, client: Any) -> None:
    async for message in client:
        client.send_text(message)


async def receive(resource: Any, client: Any) -> None:
    await client.receive()


async def write_json(resource: Any, client: Any) -> None:
    client.write_json({})


async def resource_send_json(resource: Any, client: Any) -> None:
    resource.send_json(client, {})


async def send_a_dict(resource: Any, client: Any) -> None:
    client.send_text({})


async def send_a_date(resource: Any, client: Any) -> None:
    client.send_json({"at": datetime.now(UTC)})


async def broadcast_a_set(resource: Any, client: Any) -> None:
    resource.broadcast_json({"ann", "bob"})


async def keep_name(resource: Any, client: Any) -> None:
    client.name = "ann"


async def add_client(resource: Any, client: Any) -> None:
    resource.clients.add(client)


async def append_client(resource: Any, client: Any) -> None:
    resource.clients.append(client)


async def first_client(resource: Any, client: Any) -> None:
    resource.clients[0].send_text("x")


async def broadcast(resource: Any, client: Any) -> None:
    resource.broadcast("x")


HINTS: dict[Callable[[Any, Any], Any], str] = {
    await_send: "no await",
    await_broadcast: "no await",
    await_close: "no await",
    asyncio_sleep: "trio.sleep for asyncio.sleep",
    iterate: "messages come to received_text",
    receive: "messages come to received_text",
    write_json: "client.send_json(message)",
    resource_send_json: "client.send_json(message)",
    send_a_dict: "client.send_json, broadcast_json",
    send_a_date: "a JSONResource encodes dates",
    broadcast_a_set: "a JSONResource encodes dates",
    keep_name: "keep data of a client in client.data",
    add_client: "the clients of a resource come and go by themselves",
    append_client: "the clients of a resource come and go by themselves",
    first_client: "list(self.clients)[0]",
    broadcast: "self.broadcast_text, broadcast_binary",
}


@pytest.mark.parametrize("mistake", HINTS)
@pytest.mark.parametrize("by_function", [False, True])
async def test_the_log_of_a_failed_hook_says_what_was_meant(
    mistake: Callable[[Any, Any], Any], by_function: bool, caplog: pytest.LogCaptureFixture
) -> None:
    class Trying(Resource):
        async def received_text(self, client: Client, message: str) -> None:
            await mistake(self, client)

    def made() -> Resource:
        if not by_function:
            return Trying()

        async def message(client: Client, message: str | bytes) -> None:
            await mistake(room, client)

        room = define_resource(
            "/x", message=message, error=lambda client, error: client.close(4000), registry=Registry()
        )
        return room

    async with open_client(made()) as client:
        client.send_text("go")
        await client.closed()
    (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert record.exc_info is not None
    assert record.exc_info[1] is not None
    (note,) = record.exc_info[1].__notes__
    assert note.startswith("wsframe: ")
    assert HINTS[mistake] in note


async def test_errors_of_other_kinds_have_no_hint(caplog: pytest.LogCaptureFixture) -> None:
    class Failing(Resource):
        async def received_text(self, client: Client, message: str) -> None:
            raise TypeError("mine")

    async with open_client(Failing()) as client:
        client.send_text("go")
        await client.closed()
    (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert record.exc_info is not None
    assert not hasattr(record.exc_info[1], "__notes__")


async def test_a_path_registered_twice_before_the_server_runs_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    """Python shows warnings on stderr where logging is not set up, as in a program that has not come to run()."""

    def register(registry: Registry) -> None:
        registry.register("/chat", Resource())
        registry.route("/chat", lambda request: wsframe.healthz(request))

    registry = Registry(alone=True)
    register(registry)
    assert caplog.records == []
    register(registry)
    assert [record.levelno for record in caplog.records] == [logging.WARNING, logging.WARNING]
    async with wsframe.open_server(registry, port=0):
        caplog.clear()
        with caplog.at_level(logging.INFO):
            register(registry)
        assert [record.levelno for record in caplog.records] == [logging.INFO, logging.INFO]


def test_a_path_registered_again_is_a_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    registry, chat = Registry(), Resource()
    with caplog.at_level(logging.INFO, "wsframe"):
        registry.register("/chat", chat)
        registry.register("/chat", chat, wsframe.any_origin)
        registry.register("/{room}", chat)
        assert caplog.messages == []
        registry.register("/chat", Trying(lambda resource, client: None))
        registry.register_factory("/{room}", lambda request: Resource())
    assert [message.partition(": ")[0] for message in caplog.messages] == [
        "/chat is registered again", "/{room} is registered again",
    ]  # fmt: skip
    assert caplog.messages[0].endswith("newcomers get Trying")


async def test_a_server_of_nothing_says_so(caplog: pytest.LogCaptureFixture) -> None:
    async with wsframe.open_server(Registry(alone=True), port=0) as server:
        assert await status(server, "/chat") == 404
    assert "nothing is registered yet: every path is answered 404" in caplog.messages
    caplog.clear()
    registry = Registry(alone=True)
    registry.register("/chat", Resource())
    async with wsframe.open_server(registry, port=0):
        pass
    assert not any("nothing is registered" in message for message in caplog.messages)


async def test_a_decorator_that_was_assigned_to_is_an_attribute_error() -> None:
    """It would be called by nobody."""
    room = define_resource("/x", registry=Registry())
    for name in ("on_open", "on_message", "on_close", "on_error"):
        with pytest.raises(AttributeError, match=rf"{name} is a decorator: write room\.{name}\(function\), or @room"):
            setattr(room, name, print)


@dataclass(frozen=True)
class Frozen(Resource):
    greeting: str

    async def client_connected(self, client: Client) -> None:
        client.send_text(self.greeting)


@dataclass(slots=True)
class Slotted(Resource):
    greeting: str

    async def client_connected(self, client: Client) -> None:
        client.send_text(self.greeting)


class Odd(Resource):
    """Is equal to everything, false, empty, and has whatever it is asked for."""

    def __init__(self, greeting: str) -> None:
        super().__init__()
        object.__setattr__(self, "greeting", greeting)

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]

    def __bool__(self) -> bool:
        return False

    def __len__(self) -> int:
        return 0

    def __getattr__(self, name: str) -> Any:
        return None

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(name)

    async def client_connected(self, client: Client) -> None:
        client.send_text(self.greeting)


@pytest.mark.parametrize("cls", [Frozen, Slotted, Odd])
async def test_resources_of_any_make_are_served_side_by_side(cls: Callable[[str], Resource]) -> None:
    registry = Registry(alone=True)
    registry.register("/a", cls("a"))
    registry.register("/b", cls("b"))
    registry.register_factory("/made/{x}", lambda request: cls("made"))
    registry.register_dispatcher(lambda request: cls("chosen") if request.path == "/chosen" else None)
    async with open_kit(registry) as kit:
        for path, greeting in {"/a": "a", "/b": "b", "/made/1": "made", "/chosen": "chosen"}.items():
            assert await (await kit.connect(path)).receive() == greeting


def test_a_name_that_wsframe_needs_itself_is_a_type_error() -> None:
    class Room(Resource):
        def __init__(self) -> None:
            self._listener = "mine"  # type: ignore[assignment]

    with pytest.raises(TypeError, match=r"Room\._listener is a name that wsframe uses itself: take another"):
        Registry().register("/x", Room())


def test_a_resource_with_attributes_of_each_thread_is_a_type_error() -> None:
    class Room(Resource, threading.local):
        pass

    with pytest.raises(TypeError, match=r"Room cannot be a resource and a _?local: keep that in an attribute"):
        Registry().register("/x", Room())


def test_a_task_too_early_is_told_where_to_start_it() -> None:
    class Room(Resource):
        def __init__(self) -> None:
            self.start_soon(self.tick)

        async def tick(self) -> None: ...

    with pytest.raises(RuntimeError, match=r"Room is not being served: start its tasks in running\(\)"):
        Room()


async def test_a_refusal_that_is_returned_refuses_as_one_that_is_raised() -> None:
    """Else a client would be let in that was to be refused."""

    class Closed(Resource):
        async def client_connected(self, client: Client) -> Any:
            return wsframe.Reject(403, body="not today")

    registry = Registry(alone=True)
    registry.register("/class", Closed())
    define_resource("/function", open=lambda client: wsframe.Reject(403, body="not today"), registry=registry)
    async with open_kit(registry) as kit:
        for path in ("/class", "/function"):
            client = await kit.connect(path)
            assert await client.closed() == (1008, "not today")


def matched(request: wsframe.Request) -> Any:
    return re.match("/x", request.path)


def forgotten(request: wsframe.Request) -> Any: ...


@pytest.mark.parametrize(("decide", "name"), [(matched, "Match"), (forgotten, "NoneType")])
async def test_what_decides_by_something_else_than_true_refuses_and_says_why(
    decide: Callable[[wsframe.Request], Any], name: str, caplog: pytest.LogCaptureFixture
) -> None:
    registry = Registry(alone=True)
    registry.register("/x", Resource(), decide)
    define_resource("/x/verified", request_verifier=decide, registry=registry)
    async with open_kit(registry) as kit:
        for path in ("/x", "/x/verified"):
            with pytest.raises(Refused, match="403"):
                await kit.connect(path)
    assert f"the origin validator returned a {name}; only True lets a newcomer in" in caplog.messages
    assert f"the request verifier returned a {name}, and only True lets in" in caplog.messages


async def test_a_validator_that_returns_a_coroutine_refuses_and_says_why(caplog: pytest.LogCaptureFixture) -> None:
    async def decide(request: wsframe.Request) -> bool:
        return True

    registry = Registry(alone=True)
    registry.register("/x", Resource(), lambda request: decide(request))  # type: ignore[arg-type,return-value]
    async with open_kit(registry) as kit:
        with pytest.raises(Refused, match="403"):
            await kit.connect("/x")
    assert "the origin validator returned a coroutine; only True lets a newcomer in" in caplog.messages
