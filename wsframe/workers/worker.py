"""This process as the supervisor has made it: its slot, and the descriptors that it has inherited."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from wsframe.net.forked import keep_from_children
from wsframe.net.sockets import NamedSocket, Traits
from wsframe.workers.board import Board, Row
from wsframe.workers.orders import FORMAT, encode_message

__all__ = ["VARIABLE", "Worker", "inquiries_at", "known_worker", "renumbered", "this_worker", "worker_variable"]

VARIABLE: Final = "WSFRAME_WORKER"
"""The environment variable by which a process knows that it is a worker."""
DESCRIPTORS: Final = ("sockets", "metrics", "doors", "door", "link", "board", "lock", "giving", "taking")
"""The fields of its value that are descriptors, or lists of them."""


@dataclass(frozen=True, kw_only=True)
class Worker:
    """A worker process."""

    slot: int
    """Its number, from 0."""
    count: int
    """The number of slots."""
    generation: int
    """How often the service has been restarted; two generations can run at once."""
    sockets: tuple[socket.socket, ...]
    """The listening sockets, which all workers share: closing them closes this process's alone."""
    doors: tuple[socket.socket, ...]
    """The sending ends of all doors, by slot."""
    door: socket.socket
    """The receiving end of the door of its own slot."""
    board: Board
    link: socket.socket
    """The messages to and from the supervisor (``orders``)."""
    folder: str
    """The runtime directory of the service, which only its user can enter."""
    metrics: tuple[socket.socket, ...] = ()
    """The listening sockets for metrics, shared in the same way."""
    lock: int = -1
    """The descriptor by which it holds the lock of the runtime directory."""
    supervisor: int = 0
    """The process of the supervisor."""
    follows: bool = False
    """Whether the generation before has its partitions until it is told to begin them."""
    giving: socket.socket | None = None
    """The end of the lineage to the generation after it, for the clients that it hands over."""
    taking: socket.socket | None = None
    """The end of the lineage from the generation before it."""

    @property
    def row(self) -> Row:
        """Its row of the board."""
        return self.board.row(self.slot, self.generation)

    @property
    def relay(self) -> str:
        """The address of the relay's unix socket."""
        return os.path.join(self.folder, "relay")

    @property
    def name(self) -> str:
        """Its name in log lines."""
        return f"worker {self.slot}"


def inquiries_at(folder: str, slot: int, generation: int) -> str:
    """Return the path at which a worker answers inquiries of the other processes of its service."""
    return os.path.join(folder, f"worker-{slot}-{generation}")


def worker_variable(
    *,
    slot: int,
    count: int,
    generation: int,
    sockets: Sequence[int],
    traits: Sequence[Traits],
    metrics: Sequence[int],
    doors: Sequence[int],
    door: int,
    board: int,
    link: int,
    folder: str,
    lock: int,
    supervisor: int,
    follows: bool,
    giving: int,
    taking: int,
) -> str:
    """Write the value of the variable, for the supervisor: numbers, and descriptors that the process inherits."""
    return json.dumps(locals() | {"format": FORMAT})


def renumbered(written: str, numbers: Mapping[int, int]) -> str:
    """Return the value of the variable for a process that has the descriptors under other numbers."""
    told = json.loads(written)
    for name in DESCRIPTORS:
        fds = told[name]
        told[name] = [numbers[fd] for fd in fds] if isinstance(fds, list) else numbers.get(fds, -1)
    return json.dumps(told)


made: list[Worker] = []
"""The worker that this process is, once it has been asked for."""


def this_worker(environment: MutableMapping[str, str] = os.environ) -> Worker | None:
    """Return the worker that this process is; None in a process that no supervisor has started.

    It removes the variable: neither that nor the descriptors are meant for programs that this process starts.

    Raises:
        SystemExit: If the supervisor is of a version of wsframe that this one does not understand.
    """
    written = environment.pop(VARIABLE, None)
    if written is not None:
        told = json.loads(written)
        check_format(told)
        worker = worker_of(told)
        ends = (worker.door, worker.link, worker.giving, worker.taking, worker.lock)
        survive_hangup()
        keep_from_children(*worker.sockets, *worker.metrics, *worker.doors, *(one for one in ends if one is not None))
        made.append(worker)
    return made[0] if made else None


def survive_hangup() -> None:
    """Do nothing at a SIGHUP to all processes of the service: it is the supervisor's order to restart.

    A worker with certificates, or whose program has a handler of its own, obeys it all the same. Until here it was held
    back: the supervisor starts processes with it blocked.
    """
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        signal.signal(signal.SIGHUP, lambda *_: None)  # programs that hooks start would inherit SIG_IGN
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGHUP,))


def check_format(told: dict[str, Any]) -> None:
    """Tell the supervisor that its worker cannot start, if they do not understand each other."""
    if told.get("format") == FORMAT:
        return
    reason = (
        f"the supervisor runs another version of wsframe (format {told.get('format')!r}, not {FORMAT}): "
        "stop the service, and start it again"
    )
    try:
        with socket.socket(fileno=told["link"]) as link:
            link.send(encode_message("failed", reason=reason))
    except (OSError, KeyError):
        raise SystemExit(reason) from None
    raise SystemExit(2)


def known_worker() -> Worker | None:
    """Return the worker that this process is, if it has been asked for already."""
    return made[0] if made else None


def worker_of(told: dict[str, Any]) -> Worker:
    """Take over the descriptors that the variable names."""
    for name in DESCRIPTORS:
        for fd in told[name] if isinstance(told[name], list) else [told[name]]:
            if fd >= 0:
                os.set_inheritable(fd, False)
    return Worker(
        slot=told["slot"],
        count=told["count"],
        generation=told["generation"],
        sockets=tuple(map(inherited, told["sockets"], told["traits"])),
        metrics=tuple(map(inherited, told["metrics"])),
        doors=tuple(map(inherited, told["doors"])),
        door=inherited(told["door"]),
        board=Board(told["board"], told["count"]),
        link=inherited(told["link"]),
        folder=told["folder"],
        lock=told["lock"],
        supervisor=told["supervisor"],
        follows=told["follows"],
        giving=inherited(told["giving"]) if told["giving"] >= 0 else None,
        taking=inherited(told["taking"]) if told["taking"] >= 0 else None,
    )


def inherited(fd: int, traits: Sequence[Any] = (None,)) -> socket.socket:
    sock = NamedSocket(fileno=fd).with_traits(traits)
    sock.setblocking(False)
    return sock
