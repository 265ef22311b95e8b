"""Members of a channel through a restart of all workers, and through the death of a server; at the real clock."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import trio
from websockets.sync.client import ClientConnection, connect

from tests.backplane.redis_server import redis_server
from tests.cli.workers import service
from tests.recovery.nodes import Node
from tests.recovery.program import ROOM
from tests.requirements import NODE, require_node
from wsframe.backplane.presence import LINGER, SILENCE

__all__ = ["deploy", "killed"]

MEMBERS = 10
PATIENCE = 120
SDK_MEMBERS = Path(__file__).with_name("sdk_members.cjs")
TARGET = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
import wsframe
from tests.recovery.program import Feed
wsframe.register_global_resource("/connection/websocket", Feed("worker", 1), wsframe.any_origin)
"""


def member(url: str, user: str) -> ClientConnection:
    """Connect as a user, and be a member of the room."""
    client = connect(url, proxy=None, open_timeout=PATIENCE)
    request = {"channel": ROOM, "join_leave": True}
    client.send(json.dumps({"id": 1, "connect": {"token": user}}) + "\n" + json.dumps({"id": 2, "subscribe": request}))
    while True:
        for line in str(client.recv(timeout=PATIENCE)).split("\n"):
            answer = json.loads(line)
            if answer.get("id") == 2:
                assert "subscribe" in answer, answer
                return client


def leaves(client: ClientConnection) -> list[str]:
    """Return the users whose leave comes next."""
    lines = str(client.recv(timeout=PATIENCE)).split("\n")
    if "{}" in lines:
        client.send("{}")
    pushes = [json.loads(line).get("push", {}) for line in lines]
    return [push["leave"]["info"]["user"] for push in pushes if "leave" in push]


async def killed() -> dict[str, Any]:
    """Kill a server with members; return the times of their leaves."""
    with TemporaryDirectory(prefix="wsframe-") as folder, redis_server(Path(folder)) as redis, ExitStack() as stack:
        nodes = [Node(name, redis.url, 1, 10) for name in ("one", "two")]
        for node in nodes:
            stack.callback(node.close)
            await node.start()
        watcher = stack.enter_context(member(nodes[0].url, "watcher"))
        for number in range(MEMBERS):
            stack.enter_context(member(nodes[1].url, f"user-{number}"))
        await trio.sleep(2)
        nodes[1].kill()
        began = trio.current_time()
        times: dict[str, float] = {}
        while len(times) < MEMBERS:
            for user in await trio.to_thread.run_sync(leaves, watcher):
                times[user] = trio.current_time() - began
    first, last = min(times.values()), max(times.values())
    failures = []
    if not 30 <= first <= last <= 40:
        failures.append(f"members of a killed server left {first:.1f} to {last:.1f} s later")
    return {"members": MEMBERS, "first": first, "last": last, "failures": failures}


async def deploy() -> dict[str, Any]:
    """Restart all workers under members that use npm's SDK; nobody may be announced."""
    environment = {**os.environ, "NODE_PATH": str(NODE / "node_modules")}
    with TemporaryDirectory(prefix="wsframe-") as name:
        folder = Path(name)
        target = folder / "program.py"
        target.write_text(TARGET)
        command = ("-m", "wsframe", "serve", str(target), "--port", "0", "--workers", "2", "--log-level", "info")
        with service(folder, *command) as running:
            url = running.until("Serving at").split()[2].rstrip("/") + "/connection/websocket"
            readers = await trio.lowlevel.open_process(
                [require_node(), str(SDK_MEMBERS), url, str(MEMBERS)],
                env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            )  # fmt: skip
            try:
                found = await restarted(running, readers)
            finally:
                readers.kill()
                await readers.wait()
    failures = [f"a restart has announced {found['joins']} joins and {found['leaves']} leaves"]
    fine = not found["joins"] and not found["leaves"] and found["connected"] >= 2 * MEMBERS
    return {"members": MEMBERS, "failures": [] if fine else failures, **found}


async def restarted(running: Any, readers: trio.Process) -> dict[str, Any]:
    assert readers.stdin is not None
    assert readers.stdout is not None
    assert (await readers.stdout.receive_some(100)).startswith(b"ready")
    running.process.send_signal(signal.SIGHUP)
    await trio.to_thread.run_sync(running.until, "have been restarted")
    await trio.sleep(SILENCE + LINGER + 3)  # the former workers are silent, too
    await readers.stdin.send_all(b"report\n")
    report: dict[str, Any] = json.loads(await readers.stdout.receive_some(65536))
    return report
