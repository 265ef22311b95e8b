"""The calls on the way of one client."""

from __future__ import annotations

import sys

import pytest

from benchmarks.hops import WAYS, Call, Way, files, hops
from wsframe.speedups import IN_USE


@pytest.fixture
async def found(monkeypatch: pytest.MonkeyPatch) -> dict[Way, list[Call]]:
    monkeypatch.setenv("WSFRAME_SPIN", "0")
    return await hops()


async def test_each_way_has_its_calls_in_order(found: dict[Way, list[Call]]) -> None:
    assert tuple(found) == WAYS
    landmarks: dict[Way, list[str]] = {
        "newcomer": ["Admission.admit_at_once", "Reactor.adopt", "HookCaller._connected"],
        "message": ["Reactor._read_ready", "HookCaller.batch", "Client.send_text", "Flusher.flush"],
        "close": ["Closing.note", "HookCaller._ended", "Outbox.put_close", "Leaving.linger", "Leaving.dispose"],
    }
    for way, functions in landmarks.items():
        assert [call.function for call in found[way] if call.function in functions] == functions


async def test_a_call_has_its_file_and_depth(found: dict[Way, list[Call]]) -> None:
    batch, sent = (
        next(call for call in found["message"] if call.function == function)
        for function in ("HookCaller.batch", "Client.send_text")
    )
    assert (batch.file, sent.file, sent.depth) == ("hooks/caller.py", "resources/client.py", batch.depth + 1)
    assert files([batch, sent, sent]) == {"hooks/caller.py", "resources/client.py"}
    assert ("connection/outbox.py" in files(found["message"])) is (IN_USE == "python")


async def test_nothing_is_recorded_afterwards(found: dict[Way, list[Call]]) -> None:
    assert sys.getprofile() is None
