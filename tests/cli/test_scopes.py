"""Resources of each scope in a service of several processes, whose workers are killed and frozen."""

from __future__ import annotations

import signal
import socket
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from websockets.sync.client import ClientConnection, connect

from tests.cli.workers import Service, eventually, service, with_process
from tests.patience import PATIENCE
from wsframe.workers.partitions import partition_of

PROGRAM = """
import os, time
from contextlib import asynccontextmanager
import wsframe


def note(*words):
    with open("lives", "a") as file:
        print(time.monotonic(), os.getpid(), *words, file=file)


class Living(wsframe.Resource):
    def __init__(self, name):
        self.name = name

    @asynccontextmanager
    async def running(self):
        note("begin", self.name)
        try:
            yield
        finally:
            note("end", self.name)

    async def client_connected(self, client):
        client.send_text(str(os.getpid()))

    async def received_text(self, client, message):
        path, _, text = message.partition(" ")
        client.send_text(str(self.server.post(path, text) if text else self.broadcast_text(message).queued))

    async def received_custom(self, message):
        self.broadcast_text("posted " + message)


class Lobby(Living):
    pass


class Room(Living):
    scope = "path"


class Feed(Living):
    scope = "shared"


wsframe.register_global_resource("/lobby", Lobby("lobby"), wsframe.any_origin)
wsframe.register_global_resource("/feed", Feed("feed"), wsframe.any_origin)
wsframe.register_global_factory(
    "/rooms/{room}", lambda request: Room(request.path), wsframe.any_origin, scope="path", linger=60
)
if __name__ == "__main__":
    def started(server):
        print(f"started at {server.addresses[0]}\\n", end="", flush=True)  # one write: others write there, too

    wsframe.run(port=0, workers=3, started=started)
"""


class Running:
    def __init__(self, process: Service, folder: Path, stack: ExitStack) -> None:
        self.process = process
        self.address = process.until("started at").split()[-1]
        self.folder = folder
        self._stack = stack

    def open(self, path: str) -> ClientConnection:
        opening = connect(f"{self.address}{path}", open_timeout=PATIENCE, close_timeout=1, proxy=None)
        client: ClientConnection = self._stack.enter_context(opening)
        return client

    def owner(self, path: str) -> int:
        """Return the process that answers a path."""
        with connect(f"{self.address}{path}", open_timeout=PATIENCE, proxy=None) as client:
            return int(client.recv(PATIENCE))

    def lives(self) -> dict[str, list[tuple[float, int, str]]]:
        """Return the notes of each resource."""
        found = defaultdict(list)
        for line in (self.folder / "lives").read_text().splitlines():
            at, pid, word, name = line.split()
            found[name].append((float(at), int(pid), word))
        return found


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Serve: for all tests, the last of which kills workers."""
    folder = tmp_path_factory.mktemp("scopes")
    (folder / "scopes.py").write_text(PROGRAM)
    with service(folder, "scopes.py") as process, ExitStack() as stack:
        yield Running(process, folder, stack)


def rooms_of(slot: int) -> Iterator[str]:
    """Yield the paths of rooms that live in a slot."""
    for number in range(10_000):
        if partition_of(f"/rooms/{{room}}\n/rooms/{number}", "path") % 3 == slot:
            yield f"/rooms/{number}"


def first_room(slot: int) -> str:
    return next(rooms_of(slot))


def test_1_each_room_is_in_one_process_wherever_its_clients_were_accepted(running: Running) -> None:
    owners = {path: {running.owner(path) for _ in range(4)} for path in (f"/rooms/{number}" for number in range(30))}
    assert all(len(found) == 1 for found in owners.values())
    assert len(set.union(*owners.values())) == 3
    assert {running.owner("/lobby") for _ in range(8)} == {running.owner(first_room(0))}
    assert len({running.owner("/feed") for _ in range(60)}) == 3


def test_posts_and_broadcasts_reach_the_other_processes(running: Running) -> None:
    lobby, room, other = running.open("/lobby"), running.open(first_room(1)), running.open(first_room(2))
    for client in (lobby, room, other):
        client.recv(PATIENCE)
    for number in range(50):
        room.send(f"/lobby {number}")
    other.send(f"{first_room(1)} hello")
    assert [lobby.recv(PATIENCE) for _ in range(50)] == [f"posted {number}" for number in range(50)]
    assert [other.recv(PATIENCE)] == ["True"]
    answers = [room.recv(PATIENCE) for _ in range(51)]
    assert Counter(answers) == {"True": 50, "posted hello": 1}
    feeds = [running.open("/feed") for _ in range(12)]
    assert len({client.recv(PATIENCE) for client in feeds}) > 1
    feeds[0].send("news")
    assert [client.recv(PATIENCE) for client in feeds] == ["news"] * 12


def test_1_and_3_a_frozen_and_killed_worker(running: Running) -> None:
    """Its newcomers wait for its successor, all others for nobody, and no life overlaps another one."""
    paths = {slot: first_room(slot) for slot in range(3)}
    pids = {slot: running.owner(path) for slot, path in paths.items()}
    with_process(pids[1], signal.SIGSTOP)
    try:
        waiting = [raw(running, paths[1]) for _ in range(200)]
        for _ in range(50):
            assert running.owner(paths[2]) == pids[2]
            assert running.owner("/lobby") == pids[0]
    finally:
        with_process(pids[1], signal.SIGKILL)
    answers = Counter(answer(sock) for sock in waiting)
    assert set(answers) <= {"101", "503"}, "each accepted newcomer is answered"
    assert running.owner(paths[1]) not in {pids[1], pids[0], pids[2]}
    with_process(pids[0], signal.SIGKILL)
    eventually(lambda: running.owner("/lobby") not in pids.values())
    check_overlaps(running, {pids[0], pids[1]})


def raw(running: Running, path: str) -> socket.socket:
    """Send a handshake and do not wait."""
    host, port = running.address.removeprefix("ws://").split(":")
    sock = socket.create_connection((host, int(port)), timeout=PATIENCE)
    key = "AAAAAAAAAAAAAAAAAAAAAA=="
    lines = [f"GET {path} HTTP/1.1", f"Host: {host}", "Upgrade: websocket", "Connection: Upgrade"]
    sock.sendall("\r\n".join([*lines, "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}", "", ""]).encode())
    return sock


def answer(sock: socket.socket) -> str:
    with sock:
        try:
            return sock.recv(4096).decode("latin-1").split(" ")[1]
        except (OSError, IndexError):
            return "nothing"


def check_overlaps(running: Running, killed: set[int]) -> None:
    for name, notes in running.lives().items():
        if name == "feed":
            continue
        open_by: int | None = None
        for _, pid, word in notes:
            if word == "begin":
                assert open_by is None or open_by in killed, name
                open_by = pid
            elif pid == open_by:
                open_by = None
