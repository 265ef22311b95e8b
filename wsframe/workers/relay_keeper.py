"""Keeps the relay running: a process beside the workers that passes messages between them.

It is started, looked at and replaced like a worker, but it has no part in the start and the end of the service: workers
connect again by themselves, and report a gap. Only the engine that it links the workers to can end the service, by
refusing the first connection for good.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from math import inf

import trio

from wsframe.log import Log, log_for
from wsframe.workers.inherited import Equipment
from wsframe.workers.slots import CANNOT_START, Act, ProcessWatch, RestartBackoff, reason_of

__all__ = ["RelayKeeper"]

logger: Log = log_for(__name__)

PACKAGES = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
"""The folder in which the package is: the program can have found it by a path of its own."""
LONGEST_REASON = 1_000
ENGINE = "WSFRAME_RELAY_ENGINE"
REFUSED = 3
"""The variable and the exit status of ``backplane.relay_process``, which this room does not import."""
PROGRAM = """
import sys
log = sys.argv.pop()
output = None
if log == "json":
    from wsframe.server.logs.json_stderr import json_stderr
    writer = json_stderr()
    output = writer and writer.handler
from wsframe.backplane.relay_process import main
main(output=output)
"""
COMMAND = ["-P", "-c", PROGRAM]


class RelayKeeper:
    """Keeps one relay running.

    Args:
        equipment: Has its listening socket and the board.
        patience: Seconds for which its event loop can stand still.
        engine: The URL of the engine that it links the workers to; ``""`` for none.
        json: Whether each line that it writes to stderr is a JSON object.
    """

    def __init__(self, equipment: Equipment, patience: float = inf, engine: str = "", *, json: bool = False) -> None:
        self._equipment = equipment
        self._engine = engine
        self._log = "json" if json else "text"
        self._patience = patience
        self._process: trio.Process | None = None
        self._watch = ProcessWatch(patience)
        self._again = False
        self._status = 0
        self._complained = False
        """Whether the log says that its socket cannot be made again."""

    @property
    def pid(self) -> int:
        """Its process now; 0 for none."""
        return 0 if self._process is None else self._process.pid

    async def run(self, refused: Callable[[str], object] = lambda reason: None) -> None:
        """Keep a relay running until cancelled; then it has ended, too.

        Args:
            refused: Called with the reason if the engine refuses the first relay for good; none runs then.
        """
        backoff = RestartBackoff()
        while True:
            try:
                ours, theirs = socket.socketpair()
                with ours, theirs:
                    await self._run_one(theirs)
                    words = ours.recv(LONGEST_REASON) if self._status == REFUSED else b""
                if words:
                    refused(words.decode())
                    return
                reason = f"ended with status {self._status}"
            except CANNOT_START as error:
                reason = f"cannot start: {reason_of(error)}"
            pause = backoff.pause(steady=self._watch.steady)
            self._watch = ProcessWatch(self._patience)  # one that cannot start has not been steady
            logger.error("the relay %s; another one starts %s", reason, f"in {pause:.1f} s" if pause else "now")
            self._again = True
            await trio.sleep(pause)

    async def _run_one(self, life: socket.socket) -> None:
        """Run one relay to its end."""
        with trio.CancelScope(shield=True):  # a process that nobody knows of would stay
            process = await self._start(life)
        life.close()
        self._process, self._watch = process, ProcessWatch(self._patience)
        try:
            self._status = await process.wait()
        finally:
            self._process = None
            process.kill()
            with trio.CancelScope(shield=True):
                await process.wait()
            self._equipment.board.clear_relay()

    def _mend(self) -> None:
        """Have another relay start at a new socket if somebody has removed the path of this one."""
        folder = self._equipment.runtime.folder
        try:
            if self._equipment.mend():
                self._complained = False
                logger.error("%s has been removed, and is made again for the relay", folder)
                if self._process is not None:
                    self._process.kill()
        except OSError as error:
            if not self._complained:
                logger.error("%s has been removed, and cannot be made again: %s", folder, error)
            self._complained = True

    async def _start(self, life: socket.socket) -> trio.Process:
        board = self._equipment.board
        fds = [self._equipment.relay.fileno(), life.fileno(), board.fd]
        arguments = map(str, (*fds, board.relay_offset, int(self._again)))
        path = os.pathsep.join(filter(None, [PACKAGES, os.environ.get("PYTHONPATH")]))
        return await trio.lowlevel.open_process(
            [sys.executable, *COMMAND, *arguments, self._log],
            stdin=subprocess.DEVNULL,
            env=self._equipment.environment() | {"PYTHONPATH": path, ENGINE: self._engine},
            pass_fds=fds,
            process_group=0,
        )

    def look(self) -> None:
        """Look at its socket and its beats."""
        self._mend()
        process, beats = self._process, self._equipment.board.relay_beats
        if process is None:
            return
        if beats:
            self._watch.begin()
        act = self._watch.look(beats)
        if act is Act.WARN:
            logger.warning("the relay (process %d) does not turn its event loop", process.pid)
        elif act is Act.KILL_SILENT:
            logger.error("the relay (process %d) has stood still for %g s: SIGKILL", process.pid, self._patience)
            process.kill()
