"""The ``websockets`` package's client talks to a wsframe server."""

from collections.abc import AsyncIterator

import pytest
import trio
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.trio.client import ClientConnection, connect
from websockets.typing import Origin

from tests.integration.conftest import Served
from tests.patience import PATIENCE


@pytest.fixture(params=["deflate", None], ids=["offers-deflate", "offers-nothing"])
async def connection(request: pytest.FixtureRequest, served: Served) -> AsyncIterator[ClientConnection]:
    compression: str | None = request.param
    url = f"{served.address}/echo"
    async with connect(url, ssl=served.client_context, compression=compression, proxy=None) as connection:
        yield connection


@pytest.mark.parametrize(
    "message",
    [
        "hello",
        "",
        "žluťoučký kůň 🐎",
        b"\x00\xff",
        b"",
        "x" * 125,
        "x" * 126,
        b"x" * 65_535,
        b"x" * 65_536,
        "x" * 500_000,
    ],
    ids=lambda message: f"{type(message).__name__}-{len(message)}",
)
async def test_a_message_comes_back_as_it_was_sent(connection: ClientConnection, message: str | bytes) -> None:
    with trio.fail_after(PATIENCE):
        await connection.send(message)
        assert await connection.recv() == message


async def test_a_fragmented_message_comes_back_whole(connection: ClientConnection) -> None:
    with trio.fail_after(PATIENCE):
        await connection.send(["frag", "", "men", "ted ž"])
        assert await connection.recv() == "fragmented ž"
        await connection.send([b"\xc5", b"\xbe"])
        assert await connection.recv() == b"\xc5\xbe"


async def test_a_ping_is_answered_between_the_fragments_of_a_message(connection: ClientConnection) -> None:
    async def fragments() -> AsyncIterator[str]:
        yield "before "
        answered = await connection.ping()
        await answered.wait()
        yield "after"

    with trio.fail_after(PATIENCE):
        await connection.send(fragments())
        assert await connection.recv() == "before after"


async def test_messages_sent_together_come_back_in_order(connection: ClientConnection) -> None:
    messages = [f"message {number}" for number in range(300)]
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send_all, connection, messages)
            assert [await connection.recv() for _ in messages] == messages


async def send_all(connection: ClientConnection, messages: list[str]) -> None:
    for message in messages:
        await connection.send(message)


async def test_the_client_closes(connection: ClientConnection) -> None:
    with trio.fail_after(PATIENCE):
        await connection.send("last words")
        await connection.aclose(4000, "enough")
    assert (connection.close_code, connection.close_reason) == (4000, "enough")


async def test_the_server_closes(connection: ClientConnection) -> None:
    with trio.fail_after(PATIENCE):
        await connection.send("close")
        with pytest.raises(ConnectionClosed):
            await connection.recv()
        await connection.wait_closed()
    assert (connection.close_code, connection.close_reason) == (4001, "as you wish")


async def test_many_clients_at_once_each_get_their_own(served: Served) -> None:
    async def converse(name: str) -> None:
        async with connect(f"{served.address}/echo", ssl=served.client_context, proxy=None) as connection:
            for number in range(5):
                await connection.send(f"{name} {number}")
                assert await connection.recv() == f"{name} {number}"

    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            for number in range(50):
                nursery.start_soon(converse, f"client {number}")


@pytest.mark.parametrize(
    ("path", "origin", "status"),
    [("/nowhere", None, 404), ("/exact", "https://example.org", 403), ("/exact", None, 403)],
)
async def test_a_refusal_is_an_answer_in_http(served: Served, path: str, origin: str | None, status: int) -> None:
    sent = Origin(origin) if origin else None
    with trio.fail_after(PATIENCE):
        with pytest.raises(InvalidStatus) as refusal:
            async with connect(f"{served.address}{path}", origin=sent, ssl=served.client_context, proxy=None):
                pytest.fail("the server let it in")
        assert refusal.value.response.status_code == status


async def test_the_right_origin_is_let_in(served: Served) -> None:
    url = f"{served.address}/exact"
    with trio.fail_after(PATIENCE):
        async with connect(url, origin=Origin("https://example.com"), ssl=served.client_context, proxy=None) as let_in:
            await let_in.send("hello")
            assert await let_in.recv() == "hello"
