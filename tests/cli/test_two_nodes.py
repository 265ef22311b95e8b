"""Two servers on one machine, with ``--backplane URL`` and nothing else: one owner, whichever one a client reaches."""

from __future__ import annotations

import signal
import time
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import trustme
from websockets.exceptions import InvalidHandshake
from websockets.sync.client import ClientConnection

from tests.backplane.redis_server import redis_server
from tests.certificates import trusting, write_certificate
from tests.cli.program import Program, serving
from tests.cli.workers import without_coverage
from tests.patience import PATIENCE
from tests.requirements import require_package

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
