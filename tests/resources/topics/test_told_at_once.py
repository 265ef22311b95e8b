"""Functions of a wrong kind are told where they are given, with the right form."""

from __future__ import annotations

import logging
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from re import search
from typing import Any

import pytest
import trio

import wsframe
from wsframe import Client, Registry, Request, Resource, Response, define_resource, http_routes
from wsframe.testing import Refused, open_kit


async def async_validator(request: Request) -> bool:
    return True


class AsyncValidator:
    async def __call__(self, request: Request) -> bool:
        return True


def by_string() -> bool:
    return True


def two(request: Request, more: object) -> bool:
    return True


@pytest.mark.parametrize(
    ("origins", "words"),
    [
        (async_validator, "must be a plain function, because nothing can wait for it: write 'def async_validator'"),
        (AsyncValidator(), "must be a plain function"),
        (by_string, r"is called with \(request\), but takes \(\)"),
        (two, r"is called with \(request\), but takes \(request, more\)"),
        (wsframe.origin_exact, r"write origin_exact\('https://example.com'\)"),
        (wsframe.origin_prefix, r"write origin_prefix\('https://example.com'\)"),
        ("https://a.com", r"such as origin_exact\('https://a.com'\) or any_origin, not str"),
        (["*"], "or any_origin, not list"),
        (None, "not NoneType"),
        (True, "not bool"),
    ],
)
def test_a_validator_that_cannot_decide_is_a_type_error(origins: Any, words: str) -> None:
    registry = Registry()
    for register in (
        lambda: registry.register("/chat", Resource(), origins),
        lambda: registry.register_factory("/{room}", lambda request: Resource(), origins),
        lambda: registry.register_dispatcher(lambda request: None, origins),
        lambda: define_resource("/chat", origins=origins, registry=registry),
    ):
        with pytest.raises(TypeError, match=words):
            register()
    assert len(registry) == 0


class Room(Resource):
    pass


async def make_async(request: Request) -> Resource:
    return Room()


@pytest.mark.parametrize(
    ("factory", "words"),
    [
        (Room, r"write 'lambda request: Room\(\)'"),
        (Room(), "to register <.*Room object at .*> itself: register"),
        (make_async, "a factory or dispatcher must be a plain function"),
        (lambda: Room(), r"is called with \(request\), but takes \(\)"),
        (None, "a plain function that takes the request is needed, not None"),
    ],
)
def test_a_factory_that_cannot_be_asked_is_a_type_error(factory: Any, words: str) -> None:
    registry = Registry()
    with pytest.raises(TypeError, match=words):
        registry.register_factory("/{room}", factory)
    with pytest.raises(TypeError, match=words):
        registry.register_dispatcher(factory)
    assert len(registry) == 0


class Wrong(Resource):
    def __init__(self) -> None:
        self.max_clients = "9"  # type: ignore[misc,assignment]


class Plain(Resource):
    def __init__(self) -> None:
        self.received_text = self.answer  # type: ignore[method-assign,assignment]

    def answer(self, client: Client, message: str) -> None: ...


async def coroutine() -> Resource:
    return Room()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (Wrong, "Wrong.max_clients must be an int or None, not str"),
        (Plain, "Plain.received_text must be a coroutine function"),
        (lambda: Room, "register an object, not the class: Room()"),
        (lambda: "/chat", "a resource is an object of a Resource subclass, not str"),
        (coroutine, "a resource is an object of a Resource subclass, not coroutine"),
        (lambda: coroutine, "not function: define_resource(path, message=echo) makes one of functions"),
    ],
)
async def test_what_a_factory_makes_is_checked_as_what_is_registered(
    make: Callable[[], Any], words: str, caplog: pytest.LogCaptureFixture
) -> None:
    registry = Registry(alone=True)
    registry.register_factory("/rooms/{room}", lambda request: make())
    registry.register_dispatcher(lambda request: make())
    async with open_kit(registry) as kit:
        for path in ("/rooms/a", "/chosen"):
            caplog.clear()
            with pytest.raises(Refused, match="500"):
                await kit.connect(path)
            (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
            assert words in record.getMessage()


@pytest.mark.parametrize("args", [(Room(), "/chat"), (Room, "/chat")])
def test_the_path_comes_first(args: Any) -> None:
    with pytest.raises(TypeError, match=r"the path comes first: register\('/chat', Chat\(\)\)"):
        Registry().register(*args)


def page(request: Request) -> Response:
    return Response("x")


async def good_page(request: Request) -> Response:
    return Response("x")


async def no_request() -> Response:
    return Response("x")


@pytest.mark.parametrize(
    ("handler", "words"),
    [
        (page, "is an async function: write 'async def page', not 'def page'"),
        (no_request, r"is called with \(request\), but takes \(\)"),
        (Response("x"), "is an async function.*, not Response"),
        ({"/": good_page}, "is an async function.*, not dict"),
    ],
)
async def test_an_http_handler_that_cannot_be_awaited_is_a_type_error(handler: Any, words: str) -> None:
    with pytest.raises(TypeError, match=f"http_handler {words}"):
        await wsframe.serve(Registry(alone=True), port=0, http_handler=handler)
    with pytest.raises(TypeError, match=f"a handler {words}"):
        http_routes({"/": handler})


async def test_an_http_handler_that_was_called_is_a_type_error() -> None:
    called: Any = good_page(Request("/", []))
    with pytest.raises(TypeError, match=r"http_handler is an async function itself: write good_page, not the call"):
        await wsframe.serve(Registry(alone=True), port=0, http_handler=called)


class CallablePage:
    async def __call__(self, request: Request) -> Response:
        return Response("object")


@pytest.mark.parametrize("handler", [good_page, CallablePage(), lambda request: good_page(request)])
async def test_whatever_returns_an_awaitable_serves(handler: Any) -> None:
    async with open_kit(Registry(alone=True), http_handler=http_routes({"/": handler})) as kit:
        assert (await kit.request("/")).status == 200


async def async_started(server: wsframe.Server) -> None: ...


@pytest.mark.parametrize(
    ("started", "words"),
    [
        (async_started, "started must be a plain function"),
        (lambda: None, r"started is called with \(server\), but takes \(\)"),
        ("print", "started is a function that takes the server, not str"),
    ],
)
def test_what_cannot_be_called_with_the_server_is_a_type_error_before_it_starts(started: Any, words: str) -> None:
    for run in (wsframe.run, wsframe.run_handlers):
        with pytest.raises(TypeError, match=words):
            run(port=0, started=started)


TASKS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "plain": (
        lambda room: (room.plain,),
        "is an async function: write 'async def plain', not 'def plain'; run blocking code",
    ),
    "called": (lambda room: (room.tick(),), r"is an async function itself: write tick, not the call tick\(...\)"),
    "arguments": (lambda room: (room.tick, 1), r"takes 1 positional argument but 2 were given"),
    "lambda": (lambda room: (lambda: None,), "an async function, but .* returned None"),
    "none": (lambda room: (None,), "is an async function, not NoneType"),
}


class Starter(Resource):
    def __init__(self, args: Callable[[Any], Any]) -> None:
        self.args = args
        self.errors: list[TypeError] = []
        self.ran = False

    def plain(self) -> None:
        self.ran = True

    async def tick(self) -> None:
        await trio.lowlevel.checkpoint()

    def try_to(self, start: Callable[..., object]) -> None:
        try:
            start(*self.args(self))
        except TypeError as error:
            self.errors.append(error)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        self.try_to(self.start_soon)
        yield

    async def client_connected(self, client: Client) -> None:
        self.try_to(self.start_soon)
        self.try_to(client.start_soon)
        client.send_text("served")


@pytest.mark.parametrize("mistake", TASKS)
async def test_start_soon_takes_async_functions_and_says_so_where_it_is_called(mistake: str) -> None:
    args, words = TASKS[mistake]
    room = Starter(args)
    async with open_kit(room) as kit:
        for _ in range(2):
            client = await kit.connect()
            assert await client.receive() == "served"
    assert len(room.errors) == 5
    assert all(search(words, str(error)) for error in room.errors), room.errors
    assert not room.ran, "an object that is not an async function is not called either"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"open": lambda: None}, r"open is called with \(client\), but takes \(\)"),
        ({"message": lambda message: None}, r"message is called with \(client, message\), but takes \(message\)"),
        ({"close": lambda client, code: None}, r"close is called with \(client\), but takes \(client, code\)"),
        ({"error": lambda error: None}, r"error is called with \(client, error\), but takes \(error\)"),
        ({"request_verifier": lambda: True}, r"request_verifier is called with \(request\)"),
    ],
)
def test_functions_that_take_something_else_are_a_type_error(options: Any, words: str) -> None:
    registry = Registry()
    with pytest.raises(TypeError, match=words):
        define_resource("/x", registry=registry, **options)
    assert len(registry) == 0
    made = define_resource("/x", registry=registry)
    (name, function), *_ = options.items()
    if name != "request_verifier":
        with pytest.raises(TypeError, match=words):
            getattr(made, f"on_{name}")(function)


@pytest.mark.parametrize(
    ("name", "meant"),
    [("on_message", "message"), ("handler", "message"), ("on_connect", "open"), ("verifier", "request_verifier")],
)
def test_a_function_under_another_name_is_told_the_right_one(name: str, meant: str) -> None:
    options: Any = {name: print}
    with pytest.raises(TypeError, match=f"there is no option '{name}': is it '{meant}'\\?"):
        wsframe.run_handlers(port=0, **options)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"max_resources": "5"}, TypeError, "max_resources must be an int, not str"),
        ({"max_resources": True}, TypeError, "max_resources must be an int, not bool"),
        ({"max_resources": 0}, ValueError, "max_resources must be at least 1"),
        ({"linger": None}, TypeError, "linger must be a number, not NoneType"),
        ({"linger": -1}, ValueError, "linger must be at least 0"),
    ],
)
def test_the_numbers_of_a_factory_are_checked(options: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        Registry().register_factory("/{room}", lambda request: Resource(), **options)


def test_what_is_true_or_false_is_nothing_else() -> None:
    """Only True lets pass: missing="yes" would have refused."""
    wrong: Any = "yes"
    for make in (wsframe.origin_exact, wsframe.origin_prefix):
        with pytest.raises(TypeError, match="missing is True or False, not 'yes'"):
            make("https://a.com", missing=wrong)
    with pytest.raises(TypeError, match="alone is True or False, not 'yes'"):
        Registry(alone=wrong)


@pytest.mark.parametrize("path", [None, Resource(), b"/chat"])
def test_a_path_to_look_up_is_a_str(path: Any) -> None:
    registry = Registry()
    for look in (registry.find, registry.unregister):
        with pytest.raises(TypeError, match=f"a path is a str, not {type(path).__name__}"):
            look(path)


@pytest.mark.parametrize(
    ("name", "value", "meant"),
    [
        ("max_client", 5, "max_clients"),
        ("limit", wsframe.Limits(max_message=1), "limits"),
        ("timeout", wsframe.Timeouts(close=1), "timeouts"),
        ("subprotocol", ("chat",), "subprotocols"),
        ("overflows", "drop_oldest", "overflow"),
    ],
)
def test_an_attribute_that_nothing_reads_is_a_warning(name: str, value: object, meant: str) -> None:
    with pytest.warns(UserWarning, match=rf"^nothing reads Chat\.{name}: did you mean {meant}\?$") as warned:
        type("Chat", (Resource,), {name: value})
    assert warned[0].filename == __file__


@pytest.mark.parametrize(
    ("name", "value"), [("timeout", 5), ("limit", 10), ("order", "client"), ("_limit", wsframe.Limits())]
)
def test_attributes_that_could_not_be_it_are_free(name: str, value: object) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        type("Chat", (Resource,), {name: value})
