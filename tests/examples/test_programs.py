"""Each example works as described, run as a program and served by the command line."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, build_opener

import pytest
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.examples.running import example_running, example_served
from tests.patience import PATIENCE

TIME = r"\d\d:\d\d:\d\d"

urlopen = build_opener(ProxyHandler({})).open  # whatever proxies the environment names

Runner = Callable[..., AbstractContextManager[str]]


@pytest.fixture(params=[example_running, example_served])
def runner(request: pytest.FixtureRequest) -> Runner:
    chosen: Runner = request.param
    return chosen


@pytest.fixture
def chat() -> Iterator[str]:
    with example_running("chat.py", "--port", "0") as address:
        yield address


def open_at(address: str, path: str) -> ClientConnection:
    return connect(f"ws{address.removeprefix('http')}{path}", open_timeout=PATIENCE, proxy=None)


def receive(client: ClientConnection) -> Any:
    """Return the next message, decoded."""
    return json.loads(client.recv(timeout=PATIENCE))


def test_echo_sends_every_message_back(runner: Runner) -> None:
    with runner("echo.py", "--port", "0") as address, open_at(address, "/") as client:
        for message in ("hello", b"\x00\xff", ""):
            client.send(message)
            assert client.recv(timeout=PATIENCE) == message


def test_clock_tells_the_time_at_once_and_every_second(runner: Runner) -> None:
    with runner("clock.py", "--port", "0") as address:
        with urlopen(f"{address}/", timeout=PATIENCE) as answer:
            assert b"new WebSocket" in answer.read()
        with open_at(address, "/clock") as first, open_at(address, "/clock") as second:
            for client in (first, first, second, second):
                assert re.fullmatch(TIME, str(client.recv(timeout=PATIENCE)))


def test_chat_is_served_by_the_command_line_too() -> None:
    with example_served("chat.py", "--port", "0") as address:
        with urlopen(f"{address}/", timeout=PATIENCE) as answer:
            assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
            assert b'<form id="say"' in answer.read()
        with pytest.raises(HTTPError, match="404"):
            urlopen(f"{address}/elsewhere", timeout=PATIENCE)
        with open_at(address, "/chat") as client:
            assert receive(client) == {"nickname": "user-1"}


def test_chat_announces_joins_and_leaves_and_sends_to_all(chat: str) -> None:
    with open_at(chat, "/chat?nick=ann") as ann:
        assert receive(ann) == {"nickname": "ann"}
        assert receive(ann) == {"note": "ann joined"}
        with open_at(chat, "/chat?nick=bob") as bob:
            assert [receive(bob), receive(bob)] == [{"nickname": "bob"}, {"note": "bob joined"}]
            assert receive(ann) == {"note": "bob joined"}
            bob.send("hello")
            assert receive(ann) == receive(bob) == {"from": "bob", "text": "hello"}
        assert receive(ann) == {"note": "bob left"}


def test_chat_changes_nicknames_but_gives_none_twice(chat: str) -> None:
    with open_at(chat, "/chat") as first, open_at(chat, "/chat?nick=user-1") as second:
        assert receive(second) == {"nickname": "user-2"}
        assert receive(second) == {"note": "user-2 joined"}
        second.send("/nick user-1")
        assert receive(second) == {"note": "somebody else is called user-1"}
        second.send("/nick " + "x" * 21)
        assert "1 to 20 characters" in receive(second)["note"]
        second.send("   ")
        second.send("/nick cleo")
        assert receive(second) == {"nickname": "cleo"}
        assert receive(second) == {"note": "user-2 is now cleo"}
        seen = [receive(first) for _ in range(4)]
        assert seen[-2:] == [{"note": "user-2 joined"}, {"note": "user-2 is now cleo"}]


def test_chat_refuses_long_messages(chat: str) -> None:
    with open_at(chat, "/chat") as client:
        client.send("x" * 4097)
        with pytest.raises(ConnectionClosedError, match="1009"):
            list(client)


def test_rooms_lead_from_the_lobby_to_a_room_and_back(runner: Runner) -> None:
    def expect(client: ClientConnection, *lines: str) -> None:
        assert [client.recv(timeout=PATIENCE) for _ in lines] == list(lines)

    welcome = "Lobby: type the name of a room. In use: "
    with runner("rooms.py", "--port", "0") as address:
        with urlopen(f"{address}/", timeout=PATIENCE) as answer:
            assert b"new WebSocket" in answer.read()
        with open_at(address, "/lobby") as ann, open_at(address, "/rooms/kitchen") as bob:
            expect(bob, "kitchen: somebody came, 1 here")
            for line in ("../kitchen", "kitchen", "hello", "/leave"):
                ann.send(line)
            assert str(ann.recv(timeout=PATIENCE)).startswith(welcome)
            expect(ann, "You cannot go there.", "kitchen: somebody came, 2 here", "kitchen: hello")
            expect(ann, f"{welcome}kitchen (1)")
            expect(bob, "kitchen: somebody came, 2 here", "kitchen: hello", "kitchen: somebody left, 1 here")
            bob.close()
        with pytest.raises(InvalidStatus, match="404"):
            open_at(address, "/rooms/a.b")
        with open_at(address, "/lobby") as cleo:
            expect(cleo, f"{welcome}none")
