"""Clients of other makers with our server."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

import wsframe
from tests.foreign.conversation import CODES, OURS, THEIRS, Ending, Served
from tests.foreign.peers import ENVIRONMENT, PEERS, Peer
from tests.patience import PATIENCE
from wsframe import Deflate, Reject, Request

CLIENTS = [pytest.param(peer, id=peer.name) for peer in PEERS if "client" in peer.roles]

pytestmark = pytest.mark.parametrize("peer", CLIENTS)


class Refusing(wsframe.Resource):
    def __init__(self, status: int) -> None:
        self.status = status

    async def accept_client(self, request: Request) -> Reject:
        return Reject(self.status, body="no, thank you\n")


async def visit(peer: Peer, place: Path, resources: dict[str, wsframe.Resource], *more: str) -> list[str]:
    """Serve resources, have the peer visit each, and then more paths; return the lines that it prints."""
    registry = wsframe.Registry()
    for path, resource in resources.items():
        registry.register(path, resource, wsframe.any_origin)
    with trio.fail_after(PATIENCE):
        async with wsframe.open_server(registry, port=0) as server:
            urls = [f"{server.addresses[0]}{path}" for path in (*resources, *more)]
            command = [*peer.command(place), "client", *urls]
            done = await trio.run_process(command, capture_stdout=True, env=ENVIRONMENT)
    lines = done.stdout.decode().splitlines()
    assert len(lines) == len(urls), lines
    return lines


async def test_messages_pings_and_their_close(peer: Peer, place: Path) -> None:
    deflates = {
        "/plain": None,
        "/shared": Deflate.shared(threshold=0),
        "/dedicated": Deflate.dedicated(threshold=0),
        "/widest": Deflate.dedicated(window_bits=15, threshold=0),
    }
    served = {path: Served(peer.says, deflate) for path, deflate in deflates.items()}
    lines = await visit(peer, place, dict(served))
    for line, (path, resource) in zip(lines, served.items(), strict=True):
        (ending,) = resource.ended
        if ending.error is not None:
            raise AssertionError(f"{path} {ending.extensions}: {ending!r}, {line}") from ending.error
        compressed = path != "/plain" and "client" in peer.compresses
        assert ending == Ending(path, ending.extensions, *THEIRS, cleanly=True, error=None)
        assert bool(ending.extensions) is compressed
        assert line.startswith("closed "), line


async def test_each_close_code_of_ours_arrives(peer: Peer, place: Path) -> None:
    known = [code for code in CODES if str(code) not in peer.differs]
    served = {f"/close/{code}": Served(peer.says, code=code) for code in known}
    lines = await visit(peer, place, dict(served))
    assert lines == [f"closed {code} {OURS[1]}" for code in known]
    for resource in list(served.values())[:-1]:  # a program can end before its last answer has left
        (ending,) = resource.ended
        assert ending.cleanly is ("clean" not in peer.differs), ending


async def test_refusals(peer: Peer, place: Path) -> None:
    statuses = (401, 403, 429, 500, 503)
    lines = await visit(peer, place, {f"/{status}": Refusing(status) for status in statuses}, "/nowhere")
    if "status" in peer.differs:
        assert lines == ["refused"] * (len(statuses) + 1)
    else:
        assert lines == [f"refused {status}" for status in (*statuses, 404)]
