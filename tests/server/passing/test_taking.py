"""Newcomers of other workers come out of the door: each once, and one that is lost is told."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack

import pytest

from tests.server.worker_rooms import Peer, come, head, register, room_of
from tests.workers.services import opened
from wsframe.workers.door import Passed, give


async def test_10_a_newcomer_is_passed_once_and_refused_where_it_does_not_belong(
    stack: ExitStack, caplog: pytest.LogCaptureFixture
) -> None:
    """As if two workers had different programs."""
    async with opened(2, register) as service:
        with stack:
            listening = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            peer = Peer(listening.getsockname())
            stack.callback(peer.sock.close)
            accepted, _ = listening.accept()
            peer.send(head("/lobby"))
            with accepted:
                assert give(service.doors[1][0], accepted, Passed(time.monotonic(), 0, 1))
            assert await peer.status() == "503"
            passage = service.engines[1].admission.passage
            assert passage is not None
            assert passage.counts.passed == 0
    errors = [one for one in caplog.records if one.levelname == "ERROR"]
    assert len(errors) == 1
    assert "/lobby lives in worker 0, and this is worker 1" in errors[0].message


async def test_a_lost_descriptor_is_counted_and_told(stack: ExitStack, caplog: pytest.LogCaptureFixture) -> None:
    async with opened(2, register) as service:
        service.doors[1][0].send(b"not a newcomer")
        with stack:
            assert await come(service, 0, head(room_of(1, 2)), stack).worker() == 1
    assert "a newcomer of another worker is lost" in caplog.text
