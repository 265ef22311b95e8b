"""The descriptors that all workers inherit from their supervisor: listening sockets, doors, the board, a lock."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from wsframe.net.sockets import Traits
from wsframe.workers.board import Board
from wsframe.workers.door import make_door
from wsframe.workers.runtime import Runtime, make_private
from wsframe.workers.worker import VARIABLE, worker_variable

__all__ = ["Equipment", "equipment"]

NOT_FOR_WORKERS = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")
"""Variables by which a service manager speaks to the supervisor alone."""

RELAY = "relay"
"""The name of the relay's socket in the runtime directory."""


class Equipment:
    """The equipment of a service; the supervisor keeps it, so that all of it outlives each worker.

    Args:
        count: The number of slots.
        runtime: The runtime directory.
        sockets: The listening sockets.
        traits: The hosts that they were bound by, and their manners.
        metrics: The listening sockets for metrics.
        relay: The listening socket of the relay.
    """

    def __init__(
        self,
        *,
        count: int,
        runtime: Runtime,
        sockets: Sequence[socket.socket],
        traits: Sequence[Traits],
        metrics: Sequence[socket.socket],
        relay: socket.socket,
    ) -> None:
        self.count = count
        self.runtime = runtime
        self.board: Board = Board.make(count)
        self.relay: socket.socket = relay
        self._sockets = sockets
        self._traits = traits
        self._metrics = metrics
        self._doors = [make_door() for _ in range(count)]

    def mend(self) -> bool:
        """Bind the relay's socket again if its path has been removed; return whether it had been.

        Raises:
            OSError: If that is impossible.
        """
        path = self.runtime.path(RELAY)
        if os.path.exists(path):
            return False
        make_private(self.runtime.folder)
        listening = listening_at(path, self.count)
        self.relay.close()
        self.relay = listening
        return True

    def environment(self) -> dict[str, str]:
        """Return the environment of a process that is not known to the service manager."""
        return {name: value for name, value in os.environ.items() if name not in NOT_FOR_WORKERS}

    def variable(self, slot: int, generation: int, link: int, giving: int, taking: int) -> dict[str, str]:
        """Return the environment of a worker.

        Args:
            slot: Its slot.
            generation: Its generation.
            link: Its end of the link to the supervisor.
            giving: Its end of the lineage to its successor.
            taking: Its end of that from its predecessor; -1 without one.
        """
        environment = self.environment()
        environment[VARIABLE] = worker_variable(
            slot=slot,
            count=self.count,
            generation=generation,
            sockets=[sock.fileno() for sock in self._sockets],
            traits=self._traits,
            metrics=[sock.fileno() for sock in self._metrics],
            doors=[sending.fileno() for sending, _ in self._doors],
            door=self._doors[slot][1].fileno(),
            board=self.board.fd,
            link=link,
            folder=self.runtime.folder,
            lock=self.runtime.lock,
            supervisor=os.getpid(),
            follows=taking >= 0,
            giving=giving,
            taking=taking,
        )
        return environment

    def descriptors(self, slot: int, link: int, giving: int, taking: int) -> list[int]:
        """Return the descriptors that this worker inherits."""
        lineage = [giving] if taking < 0 else [giving, taking]
        given = [*self._sockets, *self._metrics, *(sending for sending, _ in self._doors), self._doors[slot][1]]
        return [*(sock.fileno() for sock in given), self.board.fd, self.runtime.lock, link, *lineage]

    def close(self) -> None:
        """Close the descriptors made here."""
        for pair in self._doors:
            for end in pair:
                end.close()
        self.board.close()
        self.relay.close()


def listening_at(path: str, count: int) -> socket.socket:
    """Listen at a path for the connections of so many workers to the relay.

    Raises:
        OSError: With the path, which the error of a socket does not name.
    """
    relay = socket.socket(socket.AF_UNIX)
    try:
        relay.bind(path)
        relay.listen(2 * count + 16)
    except OSError as error:
        relay.close()
        raise OSError(error.errno, error.strerror, path) from None
    return relay


@contextmanager
def equipment(
    count: int,
    runtime: Runtime,
    sockets: Sequence[socket.socket],
    traits: Sequence[Traits],
    metrics: Sequence[socket.socket] = (),
) -> Iterator[Equipment]:
    """Make the equipment of a service; close it at the end."""
    with ExitStack() as stack:
        relay = listening_at(runtime.path(RELAY), count)
        made = Equipment(count=count, runtime=runtime, sockets=sockets, traits=traits, metrics=metrics, relay=relay)
        stack.callback(made.close)
        yield made
