"""A hook that takes long is named in the log while it does, with the place at which it waits."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import trio

import wsframe
from tests.hostile.place import Place, Recorder, until
from wsframe import Client, Timeouts
from wsframe.server.monitoring import slow_hooks
from wsframe.server.monitoring.slow_hooks import waiting_frames


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slow_hooks, "LOOK", 0.0)


def told_of(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if "has taken more than" in record.getMessage()]


class Slow(Recorder):
    async def received_text(self, client: Client, message: str) -> None:
        self.note(message)
        if message == "wait":
            await self.ask_the_database()

    async def ask_the_database(self) -> None:
        await self.gate.wait()


@pytest.mark.parametrize("ordering", ["resource", "client"])
async def test_a_hook_that_waits_is_named_once_with_its_stack(
    plain: Place, caplog: pytest.LogCaptureFixture, ordering: Any
) -> None:
    class Ordered(Slow):
        pass

    Ordered.ordering = ordering
    resource = Ordered()
    async with plain.serve(resource, timeouts=Timeouts(slow_hook=0.05)) as served:
        peer = await served.open()
        await peer.text("wait")
        await until(lambda: told_of(caplog))
        await trio.sleep(0.5)
        resource.gate.set()
        await peer.text("done")
        await resource.until(lambda: "done" in resource.log)
    (record,) = told_of(caplog)
    assert (record.levelname, record.name) == ("WARNING", "wsframe.server")
    assert record.getMessage() == (
        "received_text of Ordered has taken more than 0.05 s and has not ended; the hooks after it wait"
    )
    assert record.stack_info is not None
    assert "in ask_the_database" in record.stack_info
    assert "await self.gate.wait()" in record.stack_info
    assert "wait'" not in record.stack_info


async def test_each_slow_call_is_named(plain: Place, caplog: pytest.LogCaptureFixture) -> None:
    class Twice(Recorder):
        async def client_connected(self, client: Client) -> None:
            await until(lambda: told_of(caplog))

        async def disconnected(self, client: Client) -> None:
            await until(lambda: len(told_of(caplog)) > 1)
            self.note("over")

    resource = Twice()
    async with plain.serve(resource, timeouts=Timeouts(slow_hook=0.05)) as served:
        peer = await served.open()
        peer.hang_up()
        await resource.until(lambda: "over" in resource.log)
    names = [record.getMessage().partition(" has taken")[0] for record in told_of(caplog)]
    assert names == ["client_connected of Twice", "disconnected of Twice"]


@pytest.mark.parametrize("of_resource", [True, False])
async def test_a_resource_whose_hooks_are_slow_on_purpose_is_left_alone(
    plain: Place, caplog: pytest.LogCaptureFixture, of_resource: bool
) -> None:
    class Patient(Slow):
        if of_resource:
            timeouts = Timeouts(slow_hook=None)

    patient, hasty = Patient(), Slow()
    timeouts = Timeouts(slow_hook=0.05 if of_resource else None)
    async with plain.serve(patient, hasty, timeouts=timeouts) as served:
        peer, other = await served.open(), await served.open("/1")
        await peer.text("wait")
        await patient.until(lambda: "wait" in patient.log)
        await other.text("wait")
        await hasty.until(lambda: "wait" in hasty.log)
        if of_resource:
            await until(lambda: told_of(caplog))
        else:
            await trio.sleep(0.5)
        patient.gate.set()
        hasty.gate.set()
    assert len(told_of(caplog)) == of_resource


async def test_hooks_that_end_in_time_are_not_named(plain: Place, caplog: pytest.LogCaptureFixture) -> None:
    async with plain.serve(Recorder(), timeouts=Timeouts(slow_hook=600)) as served:
        peer = await served.open()
        for number in range(50):
            await peer.text(str(number))
            await peer.message()
            await trio.sleep(0.01)
    assert told_of(caplog) == []


def test_the_default_is_a_second() -> None:
    assert wsframe.limits.DEFAULT_TIMEOUTS.slow_hook == 1


def test_that_which_does_not_wait_has_no_frames() -> None:
    assert waiting_frames(None) == []
    assert waiting_frames(object()) == []
