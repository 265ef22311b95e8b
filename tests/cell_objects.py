"""Live objects for the Python in the cells of tables, by the names that the tables explain.

An expression must not merely be there. One that is False has failed, one that names a function
without calling it says nothing, and objects that it makes are put to use: hooks get their events, answers
answer a newcomer, options are those of a server, and newcomers come to registered resources.
"""

from __future__ import annotations

import inspect
import json
import logging
import ssl
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from functools import cache, partial, wraps
from itertools import product
from typing import Any

import pytest
import trio
import trustme
from trio.testing import wait_all_tasks_blocked

import wsframe
import wsframe.testing
from tests.cells import Failed, Source
from tests.patience import PATIENCE
from wsframe import Accept, Capacity, Client, Deflate, Limits, Registry, Reject, Request, Resource, Response, Timeouts
from wsframe.resources.resource import HOOKS
from wsframe.testing import Kit, MemoryClient, Refused, open_kit
from wsframe.user_code.errors import only_leaf

__all__ = ["GIVEN", "perform"]

BOUND = PATIENCE
PONG = 10
ORIGIN = "http://localhost:8080"
OPTIONS = {Limits: "limits", Timeouts: "timeouts", Capacity: "capacity", Deflate: "deflate"}
PATHS = ("/new", "/chat", "/rooms/pantry", "/dispatched", "/anything")
PROGRAMS = ("run", "run_handlers")
STARTS = {*PROGRAMS, "serve", "serve_handlers", "open_server", "open_kit", "open_client"}
"""Calls that serve by themselves, so that nothing else does."""


class Deliberate(Exception):
    """Raised in a hook to see its effect."""


class Room(Resource):
    """The class of ``resource`` and ``other``."""

    subprotocols = ("chat",)

    async def received_text(self, client: Client, message: str) -> None:
        client.send_text(message)

    async def received_binary(self, client: Client, message: bytes) -> None:
        client.send_binary(message)

    async def received_custom(self, message: object) -> None:
        self.broadcast_text(str(message))


def welcome(client: Client) -> None:
    client.send("welcome")


def answer(client: Client, message: str | bytes) -> None:
    client.send(message)


def goodbye(client: Client) -> None:
    assert client.close_code


def tell(client: Client, error: BaseException) -> None:
    client.send(str(error))


def known(request: Request) -> bool:
    return "token" in request.query


def dispatch(request: Request) -> Resource | None:
    return Room() if request.path == "/dispatched" else None


def make_room(request: Request) -> Resource:
    return Room()


async def page(request: Request) -> Response:
    return Response("hello", content_type="text/html")


async def work() -> None:
    await trio.lowlevel.checkpoint()


def count() -> int:
    return 1


FUNCTIONS = (welcome, answer, goodbye, tell, known, dispatch, make_room, page, work, count)
LIVE = ("client", "clients", "kit", "other", "registry", "request", "resource", "server")
GIVEN = {*LIVE, "context", "url", *(function.__name__ for function in FUNCTIONS)}
"""The names there are besides those of wsframe."""


@cache
def tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(context)
    return context


def on_a_free_port(options: dict[str, Any]) -> dict[str, Any]:
    """Replace the port that is shown: others may use it."""
    return options if "unix" in options else {**options, "port": 0}


def program(run: Callable[..., None]) -> Callable[..., None]:
    """Have a program start and, once it serves, end."""

    def run_and_close(*args: Any, **options: Any) -> None:
        run(*args, started=wsframe.Server.close, **on_a_free_port(options))

    return run_and_close


def service(serve: Callable[..., Any]) -> Callable[..., Any]:
    """Have a server start and, once it serves, end."""

    async def serve_and_close(*args: Any, **options: Any) -> None:
        async with trio.open_nursery() as nursery:
            server = await nursery.start(partial(serve, *args, **on_a_free_port(options)))
            server.close()

    return serve_and_close


def open_server(*args: Any, **options: Any) -> Any:
    return wsframe.open_server(*args, **on_a_free_port(options))


def names_to_import() -> dict[str, Any]:
    """Return the names of wsframe and its testing kit, of the modules used, and the functions given."""
    names = {name: getattr(module, name) for module in (wsframe.testing, wsframe) for name in module.__all__}
    names |= {"json": json, "logging": logging, "trio": trio, "open_server": open_server}
    names |= {name: program(names[name]) for name in PROGRAMS}
    names |= {name: service(names[name]) for name in ("serve", "serve_handlers")}
    return names | {function.__name__: function for function in FUNCTIONS}


def resources() -> dict[str, Any]:
    """Make resources and register them, in a registry and in the global one."""
    registry, resource, other = Registry(alone=True), Room(), Room()
    registry.register("/rooms/{room}", resource, wsframe.any_origin)
    registry.register("/chat", other, wsframe.any_origin)
    wsframe.register_global_resource("/chat", Room())
    return {"registry": registry, "resource": resource, "other": other}


class Errors(logging.Handler):
    """Keeps the errors that are logged."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@contextmanager
def no_complaints() -> Iterator[None]:
    """Fail for errors that are logged, as those of hooks are, and for coroutines that are never awaited."""
    errors = Errors()
    logger = logging.getLogger("wsframe")
    level = logger.level
    logger.addHandler(errors)
    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.filterwarnings("always", ".* was never awaited", RuntimeWarning)
            yield
    finally:
        logger.removeHandler(errors)
        logger.setLevel(level)
    for warning in warned:
        raise Failed(str(warning.message))
    for error in errors.records:
        if not (error.exc_info and isinstance(error.exc_info[1], Deliberate)):
            raise Failed(error.getMessage()) from (error.exc_info[1] if error.exc_info else None)


def perform(text: str) -> None:
    """Run the Python of a cell, with new objects.

    Raises:
        Failed: If it is not Python, does nothing, or not the right thing.
        Exception: Any that it raises.
    """
    source = Source(text)
    names = names_to_import()
    if "context" in source.names:
        names["context"] = tls()
    with no_complaints():
        if source.names.isdisjoint(PROGRAMS):
            try:
                trio.run(play, source, names)
            except Exception as error:
                raise only_leaf(error) from None
        else:
            source.run(names | resources())


async def play(source: Source, names: dict[str, Any]) -> None:
    with trio.fail_after(BOUND):
        async with AsyncExitStack() as stack:
            if "url" in source.names:
                names["url"] = await stack.enter_async_context(served_at_url())
            kit = None
            names |= resources()
            if source.names.isdisjoint(STARTS):
                kit = await stack.enter_async_context(open_kit(names["registry"], deflate=Deflate.shared()))
                names |= await join(kit, names["resource"])
            before = names.copy()
            registered = names["registry"].snapshot()
            value = await source.evaluate(names)
            await wait_all_tasks_blocked()
            if kit is not None:
                trial = Trial(kit, names["registry"])
                if names["registry"].snapshot() != registered:
                    await trial.of_paths()
                await trial.of_all({name: new for name, new in names.items() if name not in before} | {"": value})


@asynccontextmanager
async def served_at_url() -> AsyncIterator[str]:
    registry = Registry(alone=True)
    registry.register("/chat", Room())
    async with wsframe.open_server(registry, port=0) as server:
        yield f"{server.addresses[0]}/chat"


async def connect(kit: Kit, path: str, origin: str | None = ORIGIN) -> MemoryClient:
    return await kit.connect(path, origin=origin, subprotocols=["chat"], headers={"User-Agent": "tester"})


async def join(kit: Kit, resource: Resource) -> dict[str, Any]:
    """Connect clients and return the objects by their names."""
    for path in ("/rooms/kitchen?token=sesame&x=1", "/rooms/kitchen", "/chat"):
        await connect(kit, path)
    client = next(iter(resource.clients))
    return {
        "client": client, "clients": list(resource.clients), "request": client.request,
        "server": kit.server, "kit": kit,
    }  # fmt: skip


class Trial:
    """Puts the made objects to use."""

    def __init__(self, kit: Kit, registry: Registry) -> None:
        self.kit = kit
        self.registry = registry

    async def of_paths(self) -> None:
        """Have a page and a program come to each path that there may be; their origin may be wrong."""
        for path, origin in product(PATHS, (ORIGIN, None)):
            try:
                await connect(self.kit, path, origin)
            except Refused as refused:
                if refused.status not in (403, 404):
                    raise

    async def of_all(self, made: dict[str, object]) -> None:
        for name, value in made.items():
            if isinstance(value, Accept | Reject):
                await self.of_answer(value)
            elif type(value) in OPTIONS:
                await self.of_option(value)
            elif isinstance(value, Resource):
                await self.of_resource(value)
            elif isinstance(value, type) and issubclass(value, Resource):
                await self.of_resource(value())
            elif inspect.isfunction(value) and name:
                await self.of_hook(name, value)

    async def of_answer(self, given: Accept | Reject) -> None:
        class Door(Resource):
            async def accept_client(self, request: Request) -> Accept | Reject:
                return given

        self.registry.register("/made/{room}", Door(), wsframe.any_origin)
        if isinstance(given, Reject):
            with pytest.raises(Refused) as refused:
                await connect(self.kit, "/made/kitchen")
            assert refused.value.status == given.status
            assert given.body in refused.value.body
            return
        peer = await connect(self.kit, "/made/kitchen")
        (client,) = [one for one in self.kit.server.list_clients() if one.path == "/made/kitchen"]
        assert client.data is given.data
        assert given.deliver_to in (None, client.resource)
        assert given.subprotocol in (None, client.subprotocol)
        assert all(peer.answer.headers[name] == value for name, value in given.headers)

    async def of_option(self, value: object) -> None:
        options: Any = {OPTIONS[type(value)]: value}
        async with open_kit(Room(), **options) as kit:
            peer = await kit.connect()
            peer.send_text("hello")
            assert await peer.receive() == "hello"

    async def of_hook(self, name: str, hook: Callable[..., Any]) -> None:
        base = wsframe.JSONResource if name in ("received_json", "invalid_message") else Resource
        if name not in (*HOOKS, "check_message", "received_json", "invalid_message"):
            raise Failed(f"nothing calls {name}")
        called = []

        @wraps(hook)
        def noting(*args: Any, **named: Any) -> Any:
            called.append(args)
            return hook(*args, **named)

        body: dict[str, Any] = {name: noting}
        if name == "hook_failed":
            body["received_text"] = fail
        await self.of_resource(type("Made", (base,), body)())
        if not called:
            raise Failed(f"{name} was not called")

    async def of_resource(self, resource: Resource) -> None:
        """Serve a resource to clients of which each does something else."""
        self.registry.register("/made/{room}", resource, wsframe.any_origin)
        takes_posts = type(resource).received_custom is not Resource.received_custom
        for act in (
            lambda peer: peer.send_text('{"x": 1}'),
            lambda peer: peer.send_binary(b"hello"),
            lambda peer: peer.send_frame(PONG, b"hello"),
            lambda peer: resource.post("news") if takes_posts else None,
        ):
            try:
                peer = await connect(self.kit, "/made/kitchen?token=sesame&x=1")
            except Refused as refused:
                if refused.status >= 500:
                    raise
                return
            act(peer)
            await wait_all_tasks_blocked()
            peer.close()
            await peer.ended()


async def fail(self: Resource, client: Client, message: str) -> None:
    raise Deliberate
