"""A process that waits to become a worker: it takes descriptors and a variable, and ends with its supervisor."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.patience import PATIENCE
from wsframe.workers.spare import AGAIN, CALM, Spare, SpareKeeper, become_worker
from wsframe.workers.worker import DESCRIPTORS, VARIABLE

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="workers are for Linux")

PROGRAM = f"""
import json, os
from wsframe.workers.spare import become_worker
become_worker()
told = json.loads(os.environ["{VARIABLE}"])
os.write(told["board"], json.dumps(told).encode())
"""
COMMAND = [sys.executable, "-c", PROGRAM]


def environment() -> dict[str, str]:
    return dict(os.environ)


def variable(**fields: object) -> str:
    return json.dumps(dict.fromkeys(DESCRIPTORS, -1) | {"sockets": [], "metrics": [], "doors": []} | fields)


async def test_a_spare_process_becomes_the_worker_of_a_variable(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    with trio.fail_after(PATIENCE):
        spare = await Spare.start(COMMAND, str(tmp_path), environment())
        unused, other = os.pipe()  # so that the process has other numbers than the supervisor
        again = os.dup(writing)
        assert spare.give(variable(board=again, doors=[writing, again], slot=5), [again, writing])
        for fd in (writing, again, unused, other):
            os.close(fd)
        assert await spare.process.wait() == 0
        told = json.loads(os.read(reading, 10_000))
        os.close(reading)
    assert told["slot"] == 5
    assert told["taking"] == -1
    assert told["doors"][0] != told["doors"][1] == told["board"]


async def test_a_spare_process_ends_with_its_supervisor(tmp_path: Path) -> None:
    with trio.fail_after(PATIENCE):
        spare = await Spare.start(COMMAND, str(tmp_path), environment())
        spare.close()
        assert await spare.process.wait() == 0


async def test_a_spare_process_that_has_ended_becomes_no_worker(tmp_path: Path) -> None:
    with trio.fail_after(PATIENCE):
        spare = await Spare.start([sys.executable, "-c", "pass"], str(tmp_path), environment())
        assert await spare.process.wait() == 0
        assert not spare.give(variable(), [0])


async def test_more_descriptors_than_a_message_has_are_for_a_process_of_its_own(tmp_path: Path) -> None:
    with trio.fail_after(PATIENCE):
        spare = await Spare.start(COMMAND, str(tmp_path), environment())
        assert not spare.give(variable(), [0] * 251)
        assert await spare.process.wait() == 0


async def begun(keeper: SpareKeeper) -> None:
    """Look until there is a spare process."""
    for _ in range(CALM - 1):
        keeper.look(calm=True)
    await wait_all_tasks_blocked()
    assert keeper._spare is None
    keeper.look(calm=True)
    while keeper._spare is None:  # noqa: ASYNC110
        await trio.sleep(0.01)


@asynccontextmanager
async def kept(folder: Path) -> AsyncIterator[SpareKeeper]:
    """Run a keeper."""
    keeper = SpareKeeper(COMMAND, str(folder), environment)
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keeper.run)
            yield keeper
            nursery.cancel_scope.cancel()


async def test_one_is_kept_while_all_is_well(tmp_path: Path) -> None:
    async with kept(tmp_path) as keeper:
        for number in range(2 * CALM):
            keeper.look(calm=number % CALM != 0)
        await wait_all_tasks_blocked()
        assert keeper.take() is None
        keeper.look(calm=False)
        await begun(keeper)
        first = keeper.take()
        assert first is not None
        assert keeper.take() is None
        await begun(keeper)
        second = keeper._spare
        keeper.discard()  # as a restart does
        assert keeper.take() is None
        await begun(keeper)
        third = keeper._spare
        first.close()
    assert second is not None
    assert third is not None
    assert None not in (second.process.returncode, third.process.returncode)
    assert await first.process.wait() == 0


async def test_one_that_has_ended_by_itself_is_followed_later(tmp_path: Path) -> None:
    async with kept(tmp_path) as keeper:
        await begun(keeper)
        assert keeper._spare is not None
        keeper._spare.process.kill()
        await keeper._spare.process.wait()
        for _ in range(1 + AGAIN - CALM):  # the first one sees it
            keeper.look(calm=True)
        await begun(keeper)


async def test_a_process_that_cannot_start_is_tried_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    keeper = SpareKeeper(["/no/such/program"], str(tmp_path), environment)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keeper.run)
        while caplog.text.count("a spare process cannot start: ") < 1:
            keeper.look(calm=True)
            await trio.sleep(0.01)
        nursery.cancel_scope.cancel()


def test_another_process_does_not_wait() -> None:
    become_worker({})
