"""The servers of a storm, each a process of its own, which can be killed and started again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import trio
from websockets.sync.client import connect

from tests.examples.running import address_of, end
from tests.recovery.ledger import Place

__all__ = ["Node", "asked"]

PROGRAM = Path(__file__).with_name("program.py")
ROOT = Path(__file__).parents[2]


class Node:
    """One server.

    Args:
        name: Its name, which is part of all that it publishes.
        url: That of its Redis.
        rate: Publications a second.
        kept: Publications of a channel that are kept.
        channels: The number of channels.
    """

    def __init__(self, name: str, url: str, rate: float, kept: int, channels: int = 1) -> None:
        self.name = name
        numbers = {"--rate": rate, "--kept": kept, "--channels": channels}
        options = [str(word) for option in numbers.items() for word in option]
        self._command = [sys.executable, str(PROGRAM), name, url, *options]
        self._process: subprocess.Popen[str] | None = None
        self.url = ""
        self.address = ("", 0)
        self.seconds = 0.0
        """CPU time of its processes so far, but for those that were killed."""

    async def start(self) -> None:
        """Start it, and wait until it serves."""
        await trio.to_thread.run_sync(self._start)

    def _start(self) -> None:
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONPATH": str(ROOT)}
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True, env=environment)
        address = address_of(self._process)
        host, _, port = address.removeprefix("http://").partition(":")
        self.address = host, int(port)
        self.url = f"ws://{host}:{port}/connection/websocket"

    def kill(self) -> None:
        """Kill it, as a crash does."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self.close()

    async def stop(self) -> None:
        """Have it end by itself."""
        assert self._process is not None
        self.seconds += self._cpu()
        await trio.to_thread.run_sync(end, self._process)
        assert self._process.returncode == 0
        self.close()

    def _cpu(self) -> float:
        assert self._process is not None
        words = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")

    def close(self) -> None:
        """Kill it if it still runs, and close its pipe."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None

    async def ask(self, method: str) -> Any:
        """Call a method of it."""
        answer = await trio.to_thread.run_sync(asked, self.url, {"rpc": {"method": method}})
        return answer["rpc"].get("data")

    async def newest(self, channel: str) -> Place:
        """Return the place of a channel at which a new client begins."""
        answer = await trio.to_thread.run_sync(asked, self.url, {"subscribe": {"channel": channel}})
        return Place(answer["subscribe"]["epoch"], answer["subscribe"].get("offset", 0))


def asked(url: str, command: dict[str, Any]) -> dict[str, Any]:
    """Connect, send a command, and return its reply."""
    with connect(url, proxy=None, open_timeout=60) as client:
        client.send(json.dumps({"id": 1, "connect": {}}) + "\n" + json.dumps({"id": 2, **command}))
        while True:
            for line in str(client.recv(timeout=60)).split("\n"):
                answer: dict[str, Any] = json.loads(line)
                if answer.get("id") == 2:
                    return answer
