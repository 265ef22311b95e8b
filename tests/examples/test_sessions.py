"""Sessions that are resumed by their id."""

import json
import runpy
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager
from typing import Any

import pytest
import trio
from websockets.exceptions import ConnectionClosedError
from websockets.sync.client import ClientConnection, connect
from websockets.trio.client import connect as trio_connect
from websockets.trio.connection import Connection

import wsframe
from tests.examples.running import EXAMPLES, example_running, example_served
from tests.patience import PATIENCE


def open_at(address: str, query: str = "") -> ClientConnection:
    return connect(f"ws{address.removeprefix('http')}/{query}", open_timeout=PATIENCE, proxy=None)


def receive(client: ClientConnection) -> Any:
    return json.loads(client.recv(timeout=PATIENCE))


@pytest.mark.parametrize("runner", [example_running, example_served])
def test_a_session_is_resumed_after_its_connection_has_ended(
    runner: Callable[..., AbstractContextManager[str]],
) -> None:
    with runner("sessions.py", "--port", "0") as address:
        with open_at(address) as client:
            session = receive(client)["session"]
            client.send("apples")
            assert receive(client) == {"basket": ["apples"]}
        with open_at(address, f"?session={session}") as client:
            assert receive(client) == {"session": session, "basket": ["apples"]}
            client.send("pears")
            assert receive(client) == {"basket": ["apples", "pears"]}
        with open_at(address) as other:
            welcome = receive(other)
            assert welcome["session"] != session
            assert welcome["basket"] == []


def test_a_known_id_takes_over_from_the_old_connection_which_is_told_why() -> None:
    with example_running("sessions.py", "--port", "0") as address, open_at(address) as old:
        session = receive(old)["session"]
        old.send("apples")
        receive(old)
        with open_at(address, f"?session={session}") as new:
            assert receive(new)["basket"] == ["apples"]
            with pytest.raises(ConnectionClosedError) as info:
                old.recv(timeout=PATIENCE)
            assert info.value.rcvd is not None
            assert (info.value.rcvd.code, info.value.rcvd.reason) == (4001, "resumed elsewhere")
        with open_at(address, f"?session={session}") as newest:
            assert receive(newest)["basket"] == ["apples"], "the old one's end has parked nothing"


def test_an_unknown_id_is_refused_without_a_reason() -> None:
    with example_running("sessions.py", "--port", "0") as address, open_at(address, "?session=guessed") as client:
        with pytest.raises(ConnectionClosedError) as info:
            client.recv(timeout=PATIENCE)
        assert info.value.rcvd is not None
        assert (info.value.rcvd.code, info.value.rcvd.reason) == (1008, "")


Served = Callable[..., AbstractAsyncContextManager[Callable[[str], AbstractAsyncContextManager[Connection]]]]


@pytest.fixture
def serving() -> Served:
    """Give a way to serve the resource of the example with other arguments, and to connect to it."""
    made = runpy.run_path(str(EXAMPLES / "sessions.py"))["Sessions"]
    wsframe.unregister_global_resource("/")

    @asynccontextmanager
    async def serve(**arguments: float) -> AsyncIterator[Callable[[str], AbstractAsyncContextManager[Connection]]]:
        sessions = made(**arguments)
        registry = wsframe.Registry()
        registry.register("/", sessions)
        async with wsframe.open_server(registry, port=0) as server:

            @asynccontextmanager
            async def visit(query: str) -> AsyncIterator[Connection]:
                async with trio_connect(f"{server.addresses[0]}/{query}", proxy=None) as client:
                    yield client
                while len(sessions.clients) or server.clients:  # its end has been taken note of
                    await trio.lowlevel.checkpoint()

            with trio.fail_after(PATIENCE):
                yield visit

    return serve


async def session_of(client: Connection) -> str:
    return str(json.loads(await client.recv())["session"])


async def refused(client: Connection) -> bool:
    await client.wait_closed()
    return client.close_code == 1008


async def test_a_session_expires(serving: Served) -> None:
    async with serving(lifetime=0) as visit:
        async with visit("") as client:
            session = await session_of(client)
        async with visit(f"?session={session}") as client:
            assert await refused(client)


async def test_of_too_many_parked_sessions_the_oldest_are_forgotten(serving: Served) -> None:
    async with serving(max_parked=2) as visit:
        sessions = []
        for _ in range(3):
            async with visit("") as client:
                sessions.append(await session_of(client))
        async with visit(f"?session={sessions[0]}") as client:
            assert await refused(client)
        for session in sessions[1:]:
            async with visit(f"?session={session}") as client:
                assert await session_of(client) == session


async def test_a_basket_has_so_many_things_and_no_more(serving: Served) -> None:
    async with serving() as visit, visit("") as client:
        await session_of(client)
        baskets = []
        for number in range(25):
            await client.send(str(number))
            baskets.append(json.loads(await client.recv())["basket"])
        assert baskets[-1] == [str(number) for number in range(5, 25)]
