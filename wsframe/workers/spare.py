"""A process that waits to become a worker: it has imported wsframe, and nothing of the program.

Most of a worker's start is importing. So the supervisor keeps one process that has done that; when a worker has died,
it gets all that a worker inherits, and only then imports the program. Before that it has no slot and no descriptor of
the service. It ends with its supervisor. Workers of a rolling restart, which can bring new code, never begin as one.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Callable, MutableMapping, Sequence
from typing import Final, Self

import trio

from wsframe.doorbell import Doorbell
from wsframe.log import Log, log_for
from wsframe.workers import worker
from wsframe.workers.slots import CANNOT_START, reason_of

__all__ = ["Spare", "SpareKeeper", "become_worker", "started"]

logger: Log = log_for(__name__)

VARIABLE: Final = "WSFRAME_SPARE"
"""The environment variable by which a process knows that it is a spare one."""
LONGEST: Final = 64 << 10
MOST: Final = 250
"""Bytes and descriptors of the message that makes it a worker; Linux passes 253 at once."""
CALM: Final = 4
"""Looks of the supervisor at which all is well before it starts one: the start of a worker goes first."""
AGAIN: Final = 120
"""Looks after the unexpected end of one: the next one would perhaps end, too."""


async def started(
    command: Sequence[str], folder: str, environment: dict[str, str], descriptors: Sequence[int]
) -> trio.Process:
    """Start a process of the service, which inherits these descriptors."""
    return await trio.lowlevel.open_process(
        command,
        stdin=subprocess.DEVNULL,  # it is in the background of the terminal
        env=environment,
        pass_fds=descriptors,
        cwd=folder,
        process_group=0,  # one Ctrl-C reaches the supervisor alone
    )


class Spare:
    """A process that waits to become a worker, as the supervisor knows it."""

    def __init__(self, process: trio.Process, link: socket.socket) -> None:
        self.process = process
        self._link = link

    @classmethod
    async def start(cls, command: Sequence[str], folder: str, environment: dict[str, str]) -> Self:
        """Start one by the command line of a worker."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            try:
                told = {**environment, VARIABLE: str(theirs.fileno())}
                process = await started(command, folder, told, [theirs.fileno()])
            except BaseException:
                ours.close()
                raise
        ours.setblocking(False)
        return cls(process, ours)

    def give(self, variable: str, descriptors: Sequence[int]) -> bool:
        """Make it the worker of this variable, with these descriptors; return False if it cannot become one."""
        message = json.dumps([variable, descriptors]).encode()
        with self._link:
            if len(message) > LONGEST or len(descriptors) > MOST:
                return False
            try:
                socket.send_fds(self._link, [message], descriptors)
            except OSError:  # it has ended
                return False
        return True

    def close(self) -> None:
        """Have it end."""
        self._link.close()


class SpareKeeper:
    """Keeps one spare process while all is well.

    Args:
        command: The command line of a worker.
        folder: Its working directory.
        environment: Returns its environment.
    """

    def __init__(self, command: Sequence[str], folder: str, environment: Callable[[], dict[str, str]]) -> None:
        self._command = command
        self._folder = folder
        self._environment = environment
        self._spare: Spare | None = None
        self._ending: list[Spare] = []
        self._given: list[Spare] = []
        """Those that have become workers, or have ended before they could."""
        self._calm = 0
        self._bell = Doorbell()

    def look(self, *, calm: bool) -> None:
        """Start one once all has been well for some looks; forget those that have ended."""
        self._ending = [one for one in self._ending if one.process.poll() is None]
        self._given = [one for one in self._given if one.process.poll() is None]
        if self._spare is not None and self._spare.process.poll() is not None:
            self.discard()
            self._calm = CALM - AGAIN
        elif not calm:
            self._calm = min(self._calm, 0)
        else:
            self._calm += 1
        if self._spare is None and self._calm >= CALM:
            self._calm = 0
            self._bell.ring()

    def take(self) -> Spare | None:
        """Return the spare process, which the caller then owns; None if there is none."""
        spare, self._spare = self._spare, None
        if spare is not None:
            self._given.append(spare)
        return spare

    def discard(self) -> None:
        """End the spare process, whose code can be old or which has ended by itself; another one follows."""
        if self._spare is not None:
            self._spare.close()
            self._ending.append(self._spare)
            self._spare = None

    async def run(self) -> None:
        """Start spare processes until cancelled; then none is left."""
        try:
            while True:
                await self._bell.wait()
                if self._spare is not None:
                    continue
                try:
                    with trio.CancelScope(shield=True):  # a process that nobody knows of would stay
                        self._spare = await Spare.start(self._command, self._folder, self._environment())
                except CANNOT_START as error:
                    logger.warning("a spare process cannot start: %s", reason_of(error), kind="spare")
        finally:
            self.discard()
            for one in self._ending:
                one.process.kill()
            with trio.CancelScope(shield=True):
                for one in self._ending:
                    await one.process.wait()


def become_worker(environment: MutableMapping[str, str] = os.environ) -> None:
    """Wait, in a spare process, until the supervisor makes it a worker; return at once in any other.

    Raises:
        SystemExit: If the supervisor needs it no longer, or has gone.
    """
    number = environment.pop(VARIABLE, None)
    if number is None:
        return
    with socket.socket(fileno=int(number)) as link:
        try:
            message, received, _, _ = socket.recv_fds(link, LONGEST, MOST)
        except KeyboardInterrupt:
            message, received = b"", []
    if not message:
        raise SystemExit(0)
    variable, given = json.loads(message)
    environment[worker.VARIABLE] = worker.renumbered(variable, dict(zip(given, received, strict=True)))
