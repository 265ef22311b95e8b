"""Two servers on one machine, with ``--backplane URL`` and nothing else: one owner, whichever one a client reaches."""

from __future__ import annotations

import signal
import time
from collections import Counter
from contextlib import ExitStack, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import trio
import trustme
from websockets.exceptions import InvalidHandshake
from websockets.sync.client import ClientConnection

from tests.backplane.redis_server import redis_server
from tests.certificates import trusting, write_certificate
from tests.cli.program import Program, serving
from tests.cli.workers import without_coverage
from tests.patience import PATIENCE
from tests.requirements import require_package
from tests.wire import CLOSE, TEXT, Peer, upgrade
from wsframe.cli import main

TARGET = """
import os

import wsframe


class Chat(wsframe.Resource):
    async def client_connected(self, client):
        client.send_text(f"process {os.getpid()}, {len(self.clients)} here")

    async def received_text(self, client, message):
        self.broadcast_text(message)


class Room(Chat):
    scope = "path"


wsframe.register_global_resource("/chat", Chat())
wsframe.register_global_factory("/room/{name}", lambda request: Room(), scope="path")
"""


def let_in(program: Program, path: str, **options: Any) -> ClientConnection:
    """Come as often as it takes: until its owner is known, a newcomer is asked to come again."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return program.open(path, **options)
        except (InvalidHandshake, OSError):
            assert time.monotonic() < deadline
            time.sleep(0.2)


@pytest.mark.parametrize("path", ["/chat", "/room/red"])
def test_clients_of_both_servers_meet_in_one_resource(tmp_path: Path, path: str) -> None:
    require_package("glide")
    (tmp_path / "chat_target.py").write_text(TARGET)
    options = ["chat_target", "--port", "0", "--backplane", f"redis+unix://{tmp_path}/redis.socket"]
    with (
        redis_server(tmp_path),
        serving(tmp_path, *options) as one,
        serving(tmp_path, *options) as two,
        ExitStack() as stack,
    ):
        clients = [stack.enter_context(let_in(program, path)) for program in (one, two, one, two)]
        greetings = [str(client.recv(PATIENCE)) for client in clients]
        assert len({greeting.split(",")[0] for greeting in greetings}) == 1
        assert [greeting.split()[2] for greeting in greetings] == ["1", "2", "3", "4"]
        for number, sender in enumerate(clients):
            sender.send(f"word {number}")
            assert [client.recv(PATIENCE) for client in clients] == [f"word {number}"] * 4
        stack.close()
        one.end(signal.SIGTERM)
        two.end(signal.SIGTERM)


def test_workers_with_tls_and_workers_without_share_resources(tmp_path: Path) -> None:
    require_package("glide")
    (tmp_path / "chat_target.py").write_text(TARGET)
    authority = trustme.CA()
    write_certificate(authority, tmp_path, "chain", "127.0.0.1")
    options = ["chat_target", "--port", "0", "--workers", "2", "--backplane", f"redis+unix://{tmp_path}/redis.socket"]
    tls = ["--tls-cert", "chain.pem", "--tls-key", "chain.key"]
    with (
        TemporaryDirectory(prefix="runtime-") as short,
        redis_server(tmp_path),
        serving(tmp_path, *options, env={**without_coverage(), "XDG_RUNTIME_DIR": short}) as one,
        serving(tmp_path, *options, *tls, env={**without_coverage(), "XDG_RUNTIME_DIR": short}) as two,
    ):
        for number in range(4):
            with ExitStack() as stack:
                path = f"/room/{number}"
                clients = [stack.enter_context(let_in(one, path)) for _ in range(2)]
                clients += [stack.enter_context(let_in(two, path, ssl=trusting(authority))) for _ in range(2)]
                greetings = [str(client.recv(PATIENCE)) for client in clients]
                assert len({greeting.split(",")[0] for greeting in greetings}) == 1
                clients[0].send("word")
                assert [client.recv(PATIENCE) for client in clients] == ["word"] * 4
        one.end(signal.SIGTERM)
        two.end(signal.SIGTERM)


ROOMS = """
import os

import wsframe


class Room(wsframe.Resource):
    scope = "path"

    async def client_connected(self, client):
        client.send_text(str(os.getpid()))

    async def received_text(self, client, message):
        self.publish_text("numbers", f"{client.path} {message}")
        client.send_text(message)


class Numbers(wsframe.Resource):
    scope = "shared"

    async def client_connected(self, client):
        self.subscribe(client, "numbers")
        client.send_text("welcome")

    async def missed(self, topic):
        self.broadcast_text("missed")


wsframe.register_global_factory("/room/{name}", lambda request: Room(), wsframe.any_origin, scope="path")
wsframe.register_global_resource("/numbers", Numbers(), wsframe.any_origin)
"""
PATHS = [f"/room/{number}" for number in range(5)]
"""Each of another partition."""


async def text_of(peer: Peer) -> str | None:
    """Return the next text; None at a close, which has to be the one that asks to come back."""
    with suppress(trio.BrokenResourceError):  # an answer to the close that comes late
        while (frame := await peer.receive()) is not None:
            if frame.opcode == TEXT:
                return frame.payload.decode()
            if frame.opcode == CLOSE:
                assert frame.code == 1012
                await peer.close(1012)
                return None
        raise AssertionError("the connection has ended without a close frame")
    return None


class Crowd:
    """Clients of all rooms, which come back when they are told to, and those that hear their numbers."""

    def __init__(self) -> None:
        self.homes: dict[str, str] = {}
        """The process of each room."""
        self.echoed: dict[str, int] = {}
        """The last number of each room."""
        self.heard: dict[str, list[list[str]]] = {}
        """The words of the messages that a listener has got."""
        self.newcomers = 0
        self.over = trio.Event()
        self.peers: list[Peer] = []

    async def opened(self, program: Program, path: str) -> Peer:
        """Open a connection that is let in at the first attempt."""
        host, _, port = program.address.removeprefix("ws://").rpartition(":")
        peer = Peer(await trio.open_tcp_stream(host, int(port)))
        self.peers.append(peer)
        await peer.open(upgrade(path))
        return peer

    async def stay(self, program: Program, path: str) -> None:
        """Send numbers in a room, each once the one before has been echoed; come again after a close."""
        number = 0
        while True:
            peer = await self.opened(program, path)
            home = await text_of(peer)
            while home is not None and not self.over.is_set():
                self.homes[path] = home
                with suppress(trio.BrokenResourceError):
                    await peer.text(str(number))
                echo = await text_of(peer)
                if echo is None:
                    break
                assert int(echo) == number
                self.echoed[path], number = number, number + 1
                await trio.sleep(0.05)
            if self.over.is_set():
                return

    async def come_and_go(self, program: Program) -> None:
        """Have newcomers in all rooms."""
        while not self.over.is_set():
            for path in PATHS:
                peer = await self.opened(program, path)
                await text_of(peer)
                peer.hang_up()
                self.newcomers += 1
                await trio.sleep(0.05)

    async def listen(self, program: Program, name: str, *, task_status: trio.TaskStatus[None]) -> None:
        """Hear all numbers at one server."""
        heard = self.heard[name] = []
        peer = await self.opened(program, "/numbers")
        assert await text_of(peer) == "welcome"
        task_status.started()
        while (words := await text_of(peer)) is not None:
            heard.append(words.split())

    def numbers(self, name: str, path: str) -> set[int]:
        """Return the numbers of a room that a listener has heard."""
        return {int(words[1]) for words in self.heard[name] if words[0] == path}

    async def until_echoed(self, rooms: int) -> None:
        """Wait until this many rooms have answered."""
        while len(self.echoed) < rooms:  # noqa: ASYNC110
            await trio.sleep(0.02)

    async def until_heard(self, name: str) -> None:
        """Wait until a listener has heard the number that each room has come to now."""
        for path, number in tuple(self.echoed.items()):
            while max(self.numbers(name, path), default=-1) < number:  # noqa: ASYNC110
                await trio.sleep(0.02)

    async def end(self) -> None:
        """Have no number follow, and check that the listeners have heard all of each room since their first."""
        self.over.set()
        for name, messages in self.heard.items():
            await self.until_heard(name)
            assert ["missed"] not in messages
            for path in PATHS:
                heard = self.numbers(name, path)
                assert heard.issuperset(range(min(heard), self.echoed[path] + 1))
        assert self.newcomers > len(PATHS)


async def test_rebalancing_shares_rooms_with_a_second_server_and_no_client_is_refused_or_misses_a_number(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    require_package("glide")
    (tmp_path / "rooms_target.py").write_text(ROOMS)
    options = ["rooms_target", "--port", "0", "--backplane", f"redis+unix://{tmp_path}/redis.socket"]
    crowd, admin = Crowd(), str(tmp_path / "admin")
    with trio.fail_after(PATIENCE), redis_server(tmp_path) as redis, ExitStack() as stack:
        redis.grant_leases_at_once()
        one = stack.enter_context(serving(tmp_path, *options))
        with let_in(one, PATHS[0]):
            pass
        async with trio.open_nursery() as nursery:
            for path in PATHS[:3]:
                nursery.start_soon(crowd.stay, one, path)
            await crowd.until_echoed(3)
            with ExitStack() as first:
                for path in PATHS[3:]:  # partitions without clients go to the second server by themselves
                    first.enter_context(let_in(one, path))
                two = stack.enter_context(serving(tmp_path, *options, "--admin", admin))
                with let_in(two, PATHS[0]):
                    pass
                for path in PATHS[3:]:
                    nursery.start_soon(crowd.stay, two, path)  # carried to the first server
                await crowd.until_echoed(len(PATHS))
            for program, name in ((one, "one"), (two, "two")):
                await nursery.start(crowd.listen, program, name)
                nursery.start_soon(crowd.come_and_go, program)
            await crowd.until_heard("two")
            assert len(set(crowd.homes.values())) == 1
            assert await trio.to_thread.run_sync(main, ["rebalance", "--admin", admin]) == 0
            while sorted(Counter(crowd.homes.values()).values()) != [2, 3]:  # noqa: ASYNC110
                await trio.sleep(0.02)
            await crowd.end()
            nursery.cancel_scope.cancel()
        for peer in crowd.peers:
            peer.hang_up()
        one.end(signal.SIGTERM)
        two.end(signal.SIGTERM)
    assert "until each has the same number" in capsys.readouterr().out
