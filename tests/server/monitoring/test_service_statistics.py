"""The whole service as one: workers that answer, that stand still, and that are not there."""

from __future__ import annotations

import errno
import json
import logging
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
import trio
from trio.testing import MockClock

from tests.patience import PATIENCE
from tests.recorder import Recorder
from tests.wire import connected, serving
from tests.workers.stand_ins import equipped
from wsframe.backplane import MemoryBackplane, MemoryHub
from wsframe.resources.resource import Resource
from wsframe.resources.server import Server
from wsframe.server.logs.json_log import JSONFormatter
from wsframe.server.logs.stderr_log import LineFormatter
from wsframe.server.monitoring.metrics import by_worker
from wsframe.server.monitoring.service_statistics import answer_workers, service_snapshot, service_statistics
from wsframe.server.monitoring.statistics_json import snapshot
from wsframe.server.service.service import answer
from wsframe.testing import open_kit
from wsframe.workers.board import SlotState
from wsframe.workers.control_socket import make_control_sockets
from wsframe.workers.inherited import Equipment
from wsframe.workers.supervisor import Supervisor
from wsframe.workers.worker import Worker, inquiries_at


def files(made: Equipment) -> list[str]:
    """Return the paths of all that is in the runtime directory."""
    return list(map(str, Path(made.runtime.folder).iterdir()))


@asynccontextmanager
async def counted(made: Equipment, slot: int, generation: int = 0) -> AsyncIterator[Worker]:
    """Answer inquiries as the worker of a slot, which has one client."""
    async with serving(Recorder()) as server, connected(server), answering(made, slot, server, generation) as worker:
        yield worker


@asynccontextmanager
async def answering(made: Equipment, slot: int, server: Server, generation: int = 0) -> AsyncIterator[Worker]:
    """Answer inquiries as the worker of a slot."""
    ours, theirs = make_control_sockets()
    worker = Worker(
        slot=slot, count=made.count, generation=generation, sockets=(), doors=(), door=theirs, board=made.board,
        link=theirs, folder=made.runtime.folder,
    )  # fmt: skip
    made.board.set_state(slot, SlotState.READY)
    worker.row.ready, worker.row.pid, worker.row.generation = 1, 1000 + slot, generation
    async with trio.open_nursery() as nursery:
        nursery.start_soon(answer_workers, worker, server)
        await trio.testing.wait_all_tasks_blocked()
        yield worker
        nursery.cancel_scope.cancel()
    ours.close()
    theirs.close()


@pytest.mark.parametrize("slots", [(0, 1), (1, 0), (1,)])
async def test_a_supervisor_has_all_servers_rebalance_by_one_of_its_workers(
    tmp_path: Path, slots: tuple[int, ...]
) -> None:
    hub = MemoryHub()
    async with AsyncExitStack() as stack:
        made = stack.enter_context(equipped(tmp_path, 2))
        kits = [await stack.enter_async_context(open_kit(Resource(), backplane=MemoryBackplane(hub))) for _ in range(3)]
        for slot, kit in zip(slots, kits, strict=False):
            await stack.enter_async_context(answering(made, slot, kit.server))
        owned_by_each = [cast("Any", kit.server)._internals.owner.owned for kit in kits]
        with trio.fail_after(PATIENCE):  # one that hears nothing yet would not hear the request either
            while any(len(owned.other_servers.all()) < len(kits) - 1 for owned in owned_by_each):  # noqa: ASYNC110
                await trio.sleep(0.01)
        asked: set[int] = set()
        for number, kit in enumerate(kits):
            giving: Any = kit.server._internals.owner.giving  # type: ignore[attr-defined]
            giving._share_clients = giving._owned.reports.asked_to_share = partial(asked.add, number)
        assert await answer(made, cast("Supervisor", None), b"rebalance") == {}
        with trio.fail_after(PATIENCE):
            while len(asked) < len(kits):  # noqa: ASYNC110
                await trio.sleep(0.01)


async def test_a_supervisor_without_workers_that_answer_says_so(tmp_path: Path) -> None:
    with equipped(tmp_path, 2) as made:
        assert await answer(made, cast("Supervisor", None), b"rebalance") == {"error": "no worker answers"}


async def test_a_service_has_the_sum_of_its_workers_and_each_of_them(tmp_path: Path) -> None:
    with equipped(tmp_path, 3) as made:
        async with counted(made, 0) as worker, counted(made, 2) as other:
            async with serving(Recorder()) as server:
                found = await service_statistics(worker, server.statistics())
            assert found.total.clients == 2
            assert [(one.slot, one.pid, one.state) for one in found.workers] == [
                (0, 1000, "ready"), (1, 0, "down"), (2, 1002, "ready"),
            ]  # fmt: skip
            assert [one.statistics and one.statistics.clients for one in found.workers] == [1, None, 1]
            told = await service_snapshot(made.runtime.folder, made.board)
            assert (told["clients"], len(told["workers"]), len(told["by_resource"])) == (2, 3, 1)
        assert inquiries_at(made.runtime.folder, other.slot, 0) not in files(made)


async def refused(*_: object) -> None:
    raise OSError(errno.EMFILE, "Too many open files")


@pytest.mark.parametrize("step", ["bind", "answer"])
async def test_a_worker_that_cannot_listen_for_inquiries_serves_on(
    step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with equipped(tmp_path, 1) as made:
        if step == "bind":
            monkeypatch.setattr(
                "wsframe.server.monitoring.service_statistics.inquiries_at",
                lambda *_: str(tmp_path / "missing" / "socket"),
            )
        else:
            monkeypatch.setattr("wsframe.server.monitoring.service_statistics.answer_inquiries", refused)
        before = files(made)
        async with counted(made, 0):
            assert files(made) == before
    (line,) = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert line.startswith("this worker answers no inquiries: ")


async def test_a_worker_answers_again_once_the_runtime_directory_that_was_removed_has_been_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The supervisor makes it, for its relay."""
    monkeypatch.setattr("wsframe.server.monitoring.service_statistics.LOOK", 0.01)
    with equipped(tmp_path, 1) as made, trio.fail_after(PATIENCE):
        async with counted(made, 0):
            shutil.rmtree(made.runtime.folder)
            await trio.sleep(0.05)
            made.mend()
            while inquiries_at(made.runtime.folder, 0, 0) not in files(made):  # noqa: ASYNC110
                await trio.sleep(0.01)
            told = await service_snapshot(made.runtime.folder, made.board)
            assert told["workers"][0]["statistics"]["clients"] == 1
        assert files(made) == [made.runtime.path("relay")]


async def test_a_worker_that_stands_still_is_named_without_numbers_in_time(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    with equipped(tmp_path, 2) as made, socket.socket(socket.AF_UNIX) as frozen:
        frozen.bind(inquiries_at(made.runtime.folder, 1, 0))
        frozen.listen()
        async with counted(made, 0) as worker:
            made.board.row(1, 0).ready = 1
            made.board.set_state(1, SlotState.SILENT)
            begun = trio.current_time()
            async with serving(Recorder()) as server:
                found = await service_statistics(worker, server.statistics())
            assert trio.current_time() <= begun + 3
            assert [(one.state, one.statistics is None) for one in found.workers] == [
                ("ready", False),
                ("silent", True),
            ]


async def test_a_worker_that_ends_while_it_is_asked_gives_its_place_to_its_successor(tmp_path: Path) -> None:
    with equipped(tmp_path, 2) as made, trio.socket.socket(socket.AF_UNIX) as listening:
        await listening.bind(inquiries_at(made.runtime.folder, 1, 0))
        listening.listen()
        board, asked = made.board, trio.Event()

        async def end_when_asked() -> None:
            conversation, _ = await listening.accept()
            board.row(1, 0).clear()
            new = board.row(1, 1)
            new.ready, new.pid, new.generation = 1, 2001, 1
            conversation.close()
            asked.set()

        async with counted(made, 0), trio.open_nursery() as nursery:
            row = board.row(1, 0)
            row.ready, row.pid = 1, 1001
            board.set_state(1, SlotState.READY)
            nursery.start_soon(end_when_asked)
            told = await service_snapshot(made.runtime.folder, board)
            assert asked.is_set()
            assert [(one["slot"], one["pid"], one["state"]) for one in told["workers"]] == [
                (0, 1000, "ready"),
                (1, 2001, "ready"),
            ]


@pytest.mark.parametrize("part", ["slowest", "clients", "metrics"])
async def test_a_worker_of_another_version_is_named_without_numbers(
    part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def snapshot_of_another_version(server: Server) -> dict[str, Any]:
        return {name: value for name, value in snapshot(server).items() if name != part}

    with equipped(tmp_path, 1) as made:
        async with counted(made, 0):
            monkeypatch.setattr("wsframe.server.monitoring.service_statistics.snapshot", snapshot_of_another_version)
            told = await service_snapshot(made.runtime.folder, made.board)
            assert [(one["slot"], one["statistics"]) for one in told["workers"]] == [(0, None)]
            assert told["clients"] == 0


async def test_two_generations_of_a_slot_are_both_seen(tmp_path: Path) -> None:
    with equipped(tmp_path, 1) as made:
        async with counted(made, 0):
            new = made.board.row(0, 1)
            new.ready, new.generation = 1, 1
            told = await service_snapshot(made.runtime.folder, made.board)
            assert [(one["slot"], one["generation"]) for one in told["workers"]] == [(0, 0), (0, 1)]


async def test_a_server_alone_is_the_whole_service() -> None:
    async with serving(Recorder()) as server, connected(server):
        found = await server.service_statistics()
        assert found.total.admitted == 1
        (alone,) = found.workers
        assert (alone.slot, alone.state, alone.statistics) == (0, "ready", found.total)


@pytest.fixture(autouse=True)
def no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have this process be no worker, whatever other tests have made of it."""
    monkeypatch.setattr("wsframe.workers.worker.made", [])


async def test_metrics_are_of_all_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with equipped(tmp_path, 3) as made:
        async with counted(made, 0) as worker, counted(made, 2):
            async with serving(Recorder()) as server:
                found = await service_statistics(worker, server.statistics())
            numbers = by_worker(found)
            assert numbers["wsframe_ready"] == {("0",): 1, ("2",): 1}
            assert set(numbers["wsframe_clients"]) == {("/", "0"), ("/", "2")}


async def test_each_worker_is_up_or_not(tmp_path: Path) -> None:
    with equipped(tmp_path, 3) as made:
        async with counted(made, 0) as worker, counted(made, 1), serving(Recorder()) as server:
            made.board.set_state(1, SlotState.SILENT)
            numbers = by_worker(await service_statistics(worker, server.statistics()))
    assert numbers["wsframe_worker_up"] == {("0",): 1, ("1",): 0, ("2",): 0}


async def test_metrics_of_a_worker_that_is_restarted_are_of_both_generations(tmp_path: Path) -> None:
    with equipped(tmp_path, 1) as made:
        async with counted(made, 0) as worker, counted(made, 0, 1):
            async with serving(Recorder()) as server:
                numbers = by_worker(await service_statistics(worker, server.statistics()))
            assert numbers["wsframe_clients"] == {("/", "0"): 2}
            assert numbers["wsframe_ready"] == {("0",): 1}
            assert set(numbers["wsframe_bytes_total"]) == {
                (direction, "/", "0", generation) for direction in ("in", "out") for generation in ("0", "1")
            }, "a sum of both would fall at the end of the older one"


async def test_log_lines_name_the_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = logging.LogRecord("wsframe.server", logging.INFO, "", 0, "serving at %s", ("ws://x",), None)
    assert LineFormatter("%(levelname)s %(message)s").format(record) == "INFO serving at ws://x"
    assert "worker" not in json.loads(JSONFormatter().format(record))
    with equipped(tmp_path, 3) as made:
        async with counted(made, 2) as worker:
            monkeypatch.setattr("wsframe.workers.worker.made", [worker])
            assert LineFormatter("%(levelname)s %(message)s").format(record) == "INFO worker 2: serving at ws://x"
            assert json.loads(JSONFormatter().format(record))["worker"] == 2
