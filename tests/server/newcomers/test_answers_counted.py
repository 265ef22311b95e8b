"""The memory of answers of ``http_handler``: held once, counted, refused beyond the budget, broken off in the open."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

import pytest
import trio

from tests.hostile.place import Place, Recorder, Served, until
from tests.local_server import local_server_of
from tests.wire import upgrade
from wsframe import Capacity, Request, Response, static_folder
from wsframe.pages.static import PART

MIB = 1024 * 1024


def http(path: str, method: str = "GET") -> bytes:
    return upgrade(start=f"{method} {path} HTTP/1.1", upgrade=None, connection=None)


def held(served: Served) -> int:
    return local_server_of(served.server).reactor.budget.held


async def still_serves(served: Served) -> None:
    peer = await served.open()
    await peer.text("hello")
    assert await peer.message() == "hello"
    peer.hang_up()


def descriptors(path: Path) -> list[str]:
    """Return those that this process holds of a file; where the system does not tell, none."""
    found = []
    for name in os.listdir("/proc/self/fd") if sys.platform == "linux" else ():
        with suppress(OSError):  # it may be closed meanwhile
            if os.readlink(f"/proc/self/fd/{name}") == str(path):
                found.append(name)
    return found


async def large(request: Request) -> Response:
    return Response(bytes(20 * MIB))


def test_a_body_of_bytes_is_not_copied() -> None:
    body = os.urandom(1000)
    assert Response(body).body is body


async def test_an_answer_is_counted_until_its_peer_has_gone(plain: Place) -> None:
    async with plain.serve(Recorder(), http_handler=large) as served:
        peers = [await served.connect(receive_buffer=4096) for _ in range(3)]
        for peer in peers:
            await peer.send(http("/"))
        await until(lambda: held(served) == 60 * MIB)
        for peer in peers:
            peer.hang_up()
        await until(lambda: held(served) == 0)
        await still_serves(served)


async def test_an_answer_beyond_the_budget_is_refused(plain: Place) -> None:
    async with plain.serve(Recorder(), http_handler=large, capacity=Capacity(max_queued_bytes=50 * MIB)) as served:
        peers = [await served.connect(receive_buffer=4096) for _ in range(2)]
        for peer in peers:
            await peer.send(http("/"))
        await until(lambda: held(served) == 40 * MIB)
        beyond = await served.connect()
        await beyond.send(http("/"))
        answer = await beyond.answer()
        assert (answer.status, answer.body) == (503, b"server out of memory\n")
        assert "retry-after" in answer.fields
        head = await served.connect()
        await head.send(http("/", "HEAD"))
        assert (await head.answer()).status == 200
        await still_serves(served)
        for peer in [*peers, beyond, head]:
            peer.hang_up()
        await until(lambda: held(served) == 0)


async def test_a_handler_is_not_asked_while_the_budget_is_exceeded(plain: Place) -> None:
    asked = []

    async def handler(request: Request) -> Response:
        asked.append(request)
        return Response("fine")

    async with plain.serve(Recorder(), http_handler=handler, capacity=Capacity(max_queued_bytes=MIB)) as served:
        local_server_of(served.server).reactor.budget.held += 2 * MIB
        peer = await served.connect()
        await peer.send(http("/"))
        assert (await peer.answer()).status == 503
        local_server_of(served.server).reactor.budget.held -= 2 * MIB
        assert not asked


async def test_of_a_file_one_part_is_held_for_each_who_takes_it_slowly(plain: Place, tmp_path: Path) -> None:
    (tmp_path / "large.bin").write_bytes(os.urandom(8 * MIB))
    handler = static_folder(tmp_path, max_file=8 * MIB)
    async with plain.serve(Recorder(), http_handler=handler) as served:
        peers = [await served.connect(receive_buffer=4096) for _ in range(5)]
        for peer in peers:
            await peer.send(http("/large.bin"))
        await until(lambda: held(served) == 5 * PART)
        await until(lambda: not descriptors(tmp_path / "large.bin"))
        for peer in peers:
            peer.hang_up()
        await until(lambda: held(served) == 0)


async def test_a_file_that_changes_is_broken_off_by_a_reset(
    place: Place, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Ended in order, the peer could take half of one file for the whole of another."""
    file = tmp_path / "large.bin"
    file.write_bytes(bytes(8 * MIB))
    async with place.serve(Recorder(), http_handler=static_folder(tmp_path, max_file=8 * MIB)) as served:
        peer = await served.connect(receive_buffer=4096)
        await peer.send(http("/large.bin"))
        await until(lambda: held(served) == PART)
        await trio.testing.wait_all_tasks_blocked(0.05)
        file.write_bytes(b"x" * (8 * MIB - 1))
        assert await peer.end() == "reset"
        await until(lambda: held(served) == 0)
        await still_serves(served)
    assert [record.getMessage().partition(": ")[2] for record in caplog.records if record.levelname == "ERROR"] == [
        "an answer broke off"
    ]


@pytest.mark.parametrize("where", ["handler", "part"])
async def test_want_of_memory_costs_its_request_alone(plain: Place, where: str, tmp_path: Path) -> None:
    (tmp_path / "large.bin").write_bytes(bytes(8 * MIB))
    static = static_folder(tmp_path, max_file=8 * MIB)

    async def handler(request: Request) -> Response:
        if where == "handler":
            raise MemoryError
        made = await static(request)

        async def read(offset: int) -> bytes:
            raise MemoryError

        made.read = read  # type: ignore[attr-defined]
        return made

    async with plain.serve(Recorder(), http_handler=handler) as served:
        peer = await served.connect()
        await peer.send(http("/large.bin"))
        if where == "handler":
            assert (await peer.answer()).status == 500
        else:
            assert await peer.end() == "reset"
        await until(lambda: held(served) == 0)
        await still_serves(served)
