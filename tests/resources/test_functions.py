"""Resources made of functions: the same guarantees as a class, and a server in one call."""

import logging
from collections.abc import Callable

import pytest
import trio

import wsframe
from tests.recorder import Functions, Journal
from tests.rooms import opened as serving
from tests.wire import BINARY, connected, frame, status, text
from wsframe import Client, Registry, Reject, Request, define_resource


@pytest.mark.parametrize("wait", [False, True])
async def test_functions_are_called_like_hooks(wait: bool) -> None:
    functions, registry = Functions(wait=wait), Registry()
    made = define_resource(
        "/x", open=functions.open, message=functions.message, close=functions.close, registry=registry
    )
    assert isinstance(made, wsframe.Resource)
    assert registry.find("/x") is made
    async with serving(registry) as server:
        async with connected(server, "/x") as peer:
            await peer.send(text("hi"), frame(BINARY, b"\xff"))
            assert await peer.receive_text() == "hi"
            binary = await peer.receive()
            assert binary is not None
            assert (binary.opcode, binary.payload) == (BINARY, b"\xff")
            await peer.finish(4000)
        await functions.journal.until("close 4000")
    assert functions.journal.notes == ["open /x", "message 'hi'", "message b'\\xff'", "close 4000"]


async def test_async_functions_never_overlap() -> None:
    registry, inside, most = Registry(), 0, 0

    async def message(client: Client, message: str | bytes) -> None:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        for _ in range(3):
            await trio.lowlevel.checkpoint()
        inside -= 1
        client.send(message)

    define_resource("/", message=message, registry=registry)
    async with serving(registry) as server, connected(server) as first, connected(server) as second:
        for number in range(20):
            await first.send(text(str(number)))
            await second.send(text(str(number)))
        for peer in (first, second):
            assert [await peer.receive_text() for _ in range(20)] == [str(number) for number in range(20)]
    assert most == 1


@pytest.mark.parametrize(("data", "reason"), [(text("x"), "text"), (frame(BINARY, b"x"), "binary")])
async def test_all_are_optional_and_messages_without_a_function_close_1003(data: bytes, reason: str) -> None:
    registry = Registry()
    define_resource("/", registry=registry)
    async with serving(registry) as server:
        async with connected(server) as peer:
            await peer.finish()
        async with connected(server, trailing=data) as peer:
            assert await peer.receive_close() == (1003, f"{reason} is not supported here")


async def test_decorators_give_functions_also_to_clients_that_are_there() -> None:
    registry, journal = Registry(), Journal()
    echo = define_resource("/", registry=registry)

    @echo.on_open
    def opened(client: Client) -> None:
        journal.add("open")

    @echo.on_message
    def reply(client: Client, message: str | bytes) -> None:
        client.send(f"first {message!r}")

    async with serving(registry) as server, connected(server, trailing=text("a")) as peer:
        assert await peer.receive_text() == "first 'a'"

        @echo.on_message
        async def reply_again(client: Client, message: str | bytes) -> None:
            await trio.lowlevel.checkpoint()
            if message == "c":
                raise KeyError(message)
            client.send(f"second {message!r}")

        @echo.on_close
        async def closed(client: Client) -> None:
            journal.add(f"close {client.close_code}")

        @echo.on_error
        async def failed(client: Client, error: BaseException) -> None:
            client.send(repr(error))

        await peer.send(text("b"), text("c"))
        assert await peer.receive_text() == "second 'b'"
        assert await peer.receive_text() == "KeyError('c')"
        await peer.finish()
        await journal.until("close 1000")
    assert journal.notes == ["open", "close 1000"]
    assert callable(opened)
    assert callable(failed), "a decorated function is still a function"


async def test_redefinition_replaces_for_newcomers() -> None:
    registry = Registry()
    define_resource("/", message=lambda client, message: client.send("old"), registry=registry)
    async with serving(registry) as server, connected(server, trailing=text("x")) as before:
        assert await before.receive_text() == "old"
        define_resource("/", message=lambda client, message: client.send("new"), registry=registry)
        async with connected(server, trailing=text("x")) as after:
            assert await after.receive_text() == "new"
        await before.send(text("x"))
        assert await before.receive_text() == "old"
    assert registry.paths() == ["/"]


def test_the_global_registry_is_the_default() -> None:
    made = define_resource("/of-functions")
    try:
        assert wsframe.find_global_resource("/of-functions") is made
    finally:
        assert wsframe.unregister_global_resource("/of-functions")


@pytest.mark.parametrize("name", ["open", "message", "close", "error", "request_verifier"])
def test_what_cannot_be_called_is_a_type_error_and_nothing_is_registered(name: str) -> None:
    registry = Registry()
    with pytest.raises(TypeError, match="a handler is a function, not str"):
        define_resource("/", registry=registry, **{name: "echo"})  # type: ignore[arg-type]
    assert registry.paths() == []


def test_bad_path_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="begins with '/'"):
        define_resource("echo", registry=Registry())


def fail(client: Client, *message: object) -> None:
    raise ZeroDivisionError("in a function")


async def test_without_an_error_function_the_client_is_closed_1011(caplog: pytest.LogCaptureFixture) -> None:
    registry = Registry()
    define_resource("/", message=fail, registry=registry)
    async with serving(registry) as server, connected(server, trailing=text("x")) as peer:
        assert await peer.receive_close() == (1011, "internal error")
    assert [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_error_function_keeps_the_client_and_the_error_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    registry, journal = Registry(), Journal()

    def error(client: Client, error: BaseException) -> None:
        journal.add(f"error {error}")
        client.send(f"error: {error}")

    define_resource("/", open=fail, message=fail, close=fail, error=error, registry=registry)
    async with serving(registry) as server:
        async with connected(server, trailing=text("x")) as peer:
            assert [await peer.receive_text() for _ in range(2)] == ["error: in a function"] * 2
            await peer.finish()
        await journal.until("error in a function", 3)
    logged = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert [line.partition(" of FunctionResource failed for <Client ")[0] for line in logged] == [
        "client_connected", "received_text", "disconnected",
    ]  # fmt: skip


async def test_error_function_may_close_and_one_that_raises_closes_1011() -> None:
    registry = Registry()
    define_resource("/close", message=fail, error=lambda client, error: client.close(4000), registry=registry)
    define_resource("/raise", message=fail, error=fail, registry=registry)
    async with serving(registry) as server:
        async with connected(server, "/close", trailing=text("x")) as peer:
            assert (await peer.receive_close())[0] == 4000
        async with connected(server, "/raise", trailing=text("x")) as peer:
            assert await peer.receive_close() == (1011, "internal error")


async def test_error_of_a_post_is_nobodys_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    registry = Registry()
    made = define_resource("/", error=fail, registry=registry)

    async def received_custom(message: object) -> None:
        raise ZeroDivisionError

    made.received_custom = received_custom  # type: ignore[method-assign]
    async with serving(registry) as server, connected(server) as peer:
        made.post("x")
        await peer.finish()
    assert [record for record in caplog.records if record.getMessage().startswith("received_custom of FunctionR")]


async def sleepy(request: Request) -> object:
    await trio.lowlevel.checkpoint()
    return "token" in request.query


async def refuse(request: Request) -> object:
    raise Reject(401, body="log in")


@pytest.mark.parametrize(
    ("verifier", "query", "expected"),
    [
        (sleepy, "?token=1", 101),
        (sleepy, "?other=1", 403),
        (lambda request: True, "", 101),
        (lambda request: False, "", 403),
        (lambda request: None, "", 403),
        (lambda request: 1, "", 403),
        (refuse, "", 401),
        (lambda request: 1 / 0, "", 500),
    ],
)
async def test_request_verifier_lets_in_by_true_alone(
    verifier: Callable[[Request], object], query: str, expected: int
) -> None:
    registry = Registry()
    define_resource("/", request_verifier=verifier, registry=registry)
    async with serving(registry) as server:
        if expected == 101:
            async with connected(server, f"/{query}") as peer:
                await peer.finish()
        else:
            assert await status(server, f"/{query}") == expected


async def test_origins_are_checked() -> None:
    registry = Registry()
    define_resource("/", origins=wsframe.origin_exact("https://a.example"), registry=registry)
    async with serving(registry) as server:
        assert await status(server, "/", {"Origin": "https://b.example"}) == 403
        async with connected(server, "/", {"Origin": "https://a.example"}) as peer:
            await peer.finish()
