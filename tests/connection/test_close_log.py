"""Each connection that ends has one line in the log, with the figures of its life."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import trio
from trio.testing import MockClock

import wsframe
from tests.hostile.place import Recorder
from wsframe import Client, Limits, Timeouts
from wsframe.testing import open_kit

FIELDS = (
    "peer", "path", "code", "reason", "seconds",
    "messages_in", "messages_out", "bytes_in", "bytes_out", "queue_peak",
)  # fmt: skip


@pytest.fixture
def ends(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """The records of connections that have ended."""
    caplog.set_level("INFO", "wsframe")

    class Ends(list[logging.LogRecord]):
        def __len__(self) -> int:
            self[:] = [record for record in caplog.records if hasattr(record, "queue_peak")]
            return super().__len__()

    return Ends()


def fields(record: logging.LogRecord) -> dict[str, Any]:
    return {name: getattr(record, name) for name in FIELDS}


async def test_the_line_has_the_figures_of_the_connection(
    autojump_clock: MockClock, ends: list[logging.LogRecord]
) -> None:
    async with open_kit(Recorder()) as kit:
        client = await kit.connect("/?secret=1")
        for _ in range(3):
            client.send_text("hello")
            await client.receive()
        await trio.sleep(12.5)
        client.close(4000, "done")
        await client.ended()
    assert len(ends) == 1
    (record,) = ends
    assert (record.name, record.levelname) == ("wsframe.connection", "INFO")
    assert (record.filename, record.funcName) == ("close_log.py", "log_end")
    assert fields(record) == {
        "peer": "127.0.0.1:50001", "path": "/", "code": 4000, "reason": "done", "seconds": 12.5,
        "messages_in": 3, "messages_out": 3, "bytes_in": 3 * (6 + 5) + 6 + 2 + 4, "bytes_out": 3 * 7 + 2 + 2 + 4,
        "queue_peak": 0,
    }  # fmt: skip
    assert record.getMessage() == (
        "127.0.0.1:50001 /: closed 4000 (done) after 12.5 s; 3 messages and 45 bytes in, 3 and 29 out, queue peak 0"
    )


def test_no_field_has_the_name_of_another_attribute() -> None:
    assert not {*FIELDS} & {*vars(logging.LogRecord("", 0, "", 0, "", (), None)), "message", "asctime"}


async def test_the_peak_is_the_most_that_waited_for_a_slow_client(
    autojump_clock: MockClock, ends: list[logging.LogRecord]
) -> None:
    class Flood(Recorder):
        async def received_text(self, client: Client, message: str) -> None:
            for _ in range(20):
                client.send_binary(bytes(10_000))

    async with open_kit(Flood(), limits=Limits(max_outbox=400_000)) as kit:
        client = await kit.connect(buffer=20_000, bytes_per_second=50_000)
        client.send_text("go")
        for _ in range(20):
            await client.receive()
        client.close()
        await client.ended()
    assert len(ends) == 1
    assert 150_000 < fields(ends[0])["queue_peak"] <= 400_000
    assert fields(ends[0])["messages_out"] == 20


@pytest.mark.parametrize("end", ["reset", "eof", "abort", "violation", "drain", "silence", "kicked"])
async def test_each_way_to_end_has_one_line(autojump_clock: MockClock, ends: list[logging.LogRecord], end: str) -> None:
    class Kicking(Recorder):
        async def received_text(self, client: Client, message: str) -> None:
            if message == "abort":
                client.abort()
            else:
                client.reject(4003, "out")

    resource = Kicking()
    async with open_kit(resource, timeouts=Timeouts(close=2)) as kit:
        client = await kit.connect()
        if end == "reset":
            client.reset()
        elif end == "eof":
            client.hang_up()
        elif end in ("abort", "kicked"):
            client.send_text(end)
        elif end == "violation":
            client.send_bytes(b"\xff" * 20)
        elif end == "drain":
            kit.server.close()
        else:
            client.answer_close = False
            kit.server.close()
        await resource.until(lambda: len(resource.log) == 2)
        await trio.sleep(10)
        assert len(ends) == 1
        assert (ends[0].code, ends[0].reason) == {  # type: ignore[attr-defined]
            "reset": (1006, "connection lost"),
            "eof": (1006, "connection lost"),
            "abort": (1006, "aborted"),
            "violation": (1002, ends[0].reason),  # type: ignore[attr-defined]
            "drain": (1001, ""),
            "silence": (1006, "close timeout"),
            "kicked": (4003, ""),
        }[end]
    assert len(ends) == 1


async def test_the_line_does_not_wait_for_slow_hooks(autojump_clock: MockClock, ends: list[logging.LogRecord]) -> None:
    resource = Recorder()
    async with open_kit(resource) as kit:
        client = await kit.connect()
        client.send_text("wait")
        await resource.until(lambda: "wait" in resource.log)
        client.reset()
        await trio.sleep(1)
        assert len(ends) == 1
        assert resource.log == ["+", "wait"]
        resource.gate.set()
    assert len(ends) == 1


async def test_no_peer_can_forge_or_stretch_a_line(autojump_clock: MockClock, ends: list[logging.LogRecord]) -> None:
    async with open_kit(Recorder()) as kit:
        for reason in ("\n2026 ERROR forged", "\x1b[2J\x07", "\u202e" * 40):
            client = await kit.connect()
            client.close(4000, reason)
            await client.ended()
        long = await kit.connect(f"/?{'q' * 1000}")
        long.close()
        await long.ended()
    assert len(ends) == 4
    for record in ends:
        assert record.getMessage().isprintable()
        assert str(fields(record)["reason"]).isprintable()
        assert len(record.getMessage()) < 400


async def test_every_line_is_shown_however_many_end(autojump_clock: MockClock, ends: list[logging.LogRecord]) -> None:
    async with open_kit(Recorder()) as kit:
        clients = [await kit.connect() for _ in range(60)]
        for client in clients:
            client.reset()
    assert len(ends) == 60


async def test_without_info_nothing_is_formatted(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> str:
        raise AssertionError

    monkeypatch.setattr("wsframe.connection.close_log.escaped", never)
    caplog.set_level("WARNING", "wsframe")
    async with open_kit(Recorder()) as kit:
        client = await kit.connect()
        client.close()
        await client.ended()
    assert caplog.records == []


async def test_the_level_counts_from_the_moment_it_changes(
    autojump_clock: MockClock, ends: list[logging.LogRecord], caplog: pytest.LogCaptureFixture
) -> None:
    async with open_kit(Recorder()) as kit:
        for level, count in (("WARNING", 0), ("INFO", 1), ("ERROR", 1), ("DEBUG", 2)):
            caplog.set_level(level, "wsframe.connection")
            client = await kit.connect()
            client.reset()
            await trio.sleep(1)
            assert len(ends) == count


async def test_messages_posted_are_not_logged(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    class Plain(wsframe.Resource):
        pass

    resource = Plain()
    async with open_kit(resource) as kit:
        await kit.connect()
        resource.post("a secret")
        await trio.sleep(1)
    assert "Plain has no received_custom for a str" in caplog.text
    assert "secret" not in caplog.text
