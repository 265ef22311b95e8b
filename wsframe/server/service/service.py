"""Serving with several workers: it refuses options, binds the sockets and obeys the signals."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from math import inf, isfinite
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import trio

from wsframe.limits import Capacity, Timeouts
from wsframe.net.sockets import traits_of
from wsframe.server.describe import describe
from wsframe.server.logs.json_stderr import writes_json
from wsframe.server.monitoring.inquiry import REQUEST, answer_inquiries, unknown
from wsframe.server.monitoring.service_statistics import ask_first, service_snapshot
from wsframe.server.notify import notifying
from wsframe.server.ownership.partition_owner import REQUEST_REBALANCE
from wsframe.server.service.supervised_worker import tell_failure
from wsframe.server.sockets.addresses import InheritedAddress, PassedAddress, ServerAddress, TcpAddress, UnixAddress
from wsframe.server.sockets.bind import bound
from wsframe.user_code.errors import only_leaf
from wsframe.workers.partitions import PARTITIONS
from wsframe.workers.runtime import remove_if_last, runtime_folder, runtime_of
from wsframe.workers.worker import Worker

if TYPE_CHECKING:  # a worker imports nothing that is its supervisor's alone
    from wsframe.workers.inherited import Equipment
    from wsframe.workers.supervisor import Supervisor

__all__ = [
    "Service", "ServiceFailed", "as_worker", "check_service", "check_times", "command_again", "names_of",
    "supervise", "worker_count",
]  # fmt: skip

LARGEST_HEAD: Final = 65536
"""A newcomer is passed with its head unread in its socket, so the socket has to hold the head."""
SPARE: Final = 256
"""Descriptors beside those of clients: newcomers, doors, files of the program."""

Obey: TypeAlias = "Callable[[Supervisor], Awaitable[object]]"
"""A task that gives a supervisor orders of its own."""


class ServiceFailed(Exception):
    """The service could not start; the text says why, in one line."""


@dataclass(frozen=True, kw_only=True)
class Service:
    """A service of several workers."""

    count: int
    names: Sequence[str]
    """Names that distinguish it from other services of the user: its addresses."""
    bind: Callable[[], AbstractContextManager[list[socket.socket]]]
    """Binds its listening sockets."""
    timeouts: Timeouts
    """The timeouts of each worker, with no field at INHERIT."""
    metrics: TcpAddress | None = None
    obey: Obey | None = None
    backplane: str = ""
    """The URL of the engine that its relay links the workers to; ``""`` for none."""
    admin: socket.socket | None = None
    """A listening socket for inquiries about the whole service."""
    spare: bool = False
    """Whether the command line waits, before it imports the program, until it is needed as a worker."""


def worker_count(workers: object) -> int:
    """Return the number of workers for an option; ``"auto"`` stands for one for each processor.

    Raises:
        TypeError, ValueError: For another value than a whole number from 1 to that of the partitions.
    """
    if workers == "auto":
        processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return min(processors, PARTITIONS)
    if not isinstance(workers, int) or isinstance(workers, bool):
        raise TypeError(
            f"workers is a number of processes, 'auto' for that of the processors, or None, not {workers!r}"
        )
    if workers < 1:
        raise ValueError(f"workers is at least 1, not {workers}; None serves in this process")
    if workers > PARTITIONS:
        raise ValueError(
            f"workers is at most {PARTITIONS}, the number of partitions, not {workers}; 'auto' fits most machines"
        )
    return workers


def check_service(capacity: Capacity, *, tls: bool, debug: bool) -> None:
    """Refuse options that several workers cannot have; raise the limit of descriptors as far as the system allows.

    Raises:
        ValueError: With the way out.
    """
    needed = hasattr(socket, "AF_UNIX") and hasattr(socket, "SOCK_SEQPACKET") and hasattr(socket, "MSG_CMSG_CLOEXEC")
    if os.name == "nt" or sys.platform == "darwin" or not needed:
        raise ValueError(f"workers need sockets that {sys.platform} does not have: serve in one process there")
    if debug:
        raise ValueError("debug needs the terminal, which several workers cannot share: serve in one process")
    if capacity.max_head > LARGEST_HEAD:
        raise ValueError(f"with workers, Capacity.max_head is at most {LARGEST_HEAD}, not {capacity.max_head}")
    check_descriptors(capacity.max_clients, 2 if tls else 1)


def check_times(timeouts: Timeouts) -> None:
    """Refuse infinite times: a supervisor waits for its workers to leave, and so does the next one.

    Raises:
        ValueError: For one of them.
    """
    for name, seconds in (("lame_duck", timeouts.lame_duck), ("drain", timeouts.drain)):
        if not isfinite(seconds):
            raise ValueError(f"with workers, Timeouts.{name} is a finite number of seconds, not {seconds}")


def check_descriptors(max_clients: int | None, each: int = 1) -> None:
    """Raise the limit of descriptors, which the workers inherit, to the hard one, and check that it is enough.

    Args:
        max_clients: Clients at most.
        each: Descriptors that one client can take of a worker: with TLS its own socket, and the end of a pair.
    """
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    needed = 0 if max_clients is None else each * max_clients + SPARE
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise ValueError(
            f"a process can have {hard} descriptors, and Capacity.max_clients = {max_clients} needs "
            f"{needed} in one worker: raise the limit (ulimit -n, LimitNOFILE=) or lower max_clients"
        )


def command_again() -> list[str]:
    """Return the command line of this process, which each worker runs again.

    Raises:
        RuntimeError: In a process that has none, such as an interactive session.
    """
    main = sys.modules.get("__main__")
    again = sys.orig_argv[1:]
    file = getattr(main, "__file__", None)
    if not again or (getattr(main, "__spec__", None) is None and file is None and "-c" not in again):
        raise RuntimeError("workers run the command line of this process again: save the program in a file, and run it")
    return [sys.executable, *again]


def names_of(addresses: Sequence[ServerAddress], sockets: Sequence[socket.socket] = ()) -> list[str]:
    """Return the names by which the runtime directory of a service is found."""
    names = [absolute(one) if isinstance(one, UnixAddress) else str(one) for one in addresses]
    names += [repr(sock.getsockname()) for sock in sockets]
    if any(isinstance(one, InheritedAddress | PassedAddress) for one in addresses):
        names += [os.getcwd(), *sys.orig_argv]  # the descriptor says nothing
    if any(isinstance(one, TcpAddress) and one.port == 0 for one in addresses):
        names.append(str(os.getpid()))
    return names


def absolute(address: UnixAddress) -> str:
    return address.path if address.path.startswith("@") else os.path.abspath(address.path)


def longest_wait(timeouts: Timeouts) -> float:
    """Return the seconds after which the workers of a killed supervisor have ended, unless they are stopped."""
    from wsframe.workers.supervisor import GRACE

    return timeouts.lame_duck + timeouts.drain + 2 * GRACE


def supervise(service: Service) -> int:
    """Run the workers of a service until it ends; return its exit status.

    Raises:
        ServiceFailed: If it cannot start.
        OSError: If an address cannot be bound, or another supervisor has it.
    """
    from wsframe.workers.inherited import equipment
    from wsframe.workers.relay_keeper import RelayKeeper
    from wsframe.workers.spare import SpareKeeper
    from wsframe.workers.supervisor import ServicePlan, Supervisor

    with ExitStack() as stack:
        stack.enter_context(without_hangup())
        runtime = stack.enter_context(runtime_of(runtime_folder(service.names), longest_wait(service.timeouts)))
        sockets = stack.enter_context(service.bind())
        metrics = [] if service.metrics is None else stack.enter_context(bound([service.metrics], 16))
        traits = [traits_of(sock) for sock in sockets]
        made = stack.enter_context(equipment(service.count, runtime, sockets, traits, metrics))
        timeouts = service.timeouts
        plan = ServicePlan(
            command=command_again(),
            folder=sys.modules["wsframe"].started_in,  # importing it would be a circle
            patience=inf if timeouts.worker is None else timeouts.worker,
            lame_duck=timeouts.lame_duck,
            drain=timeouts.drain,
        )
        started = trio.Event()
        relay = RelayKeeper(made, plan.patience, service.backplane, json=writes_json())
        spares = SpareKeeper(plan.command, plan.folder, made.environment) if service.spare else None
        supervisor = Supervisor(plan, made, started.set, relay=relay, spares=spares)
        trio.run(attend, supervisor, service, started, made)
    if supervisor.failure:
        raise ServiceFailed(supervisor.failure)
    return supervisor.status


@contextmanager
def without_hangup() -> Iterator[None]:
    """Survive an order to restart before there is a worker: all of them load the newest code anyway.

    A service manager can send it to all processes, those that import included. So they hold it back until they can obey
    (``survive_hangup``), by the mask that they inherit from this thread, and another thread hears it here.
    """
    over = threading.Event()
    before = signal.signal(signal.SIGHUP, lambda *_: None)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGHUP,))
    ear = threading.Thread(target=hear_hangups, args=(over,), name="wsframe hangups", daemon=True)
    ear.start()
    try:
        yield
    finally:
        over.set()
        ear.join()
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGHUP, before)


def hear_hangups(over: threading.Event) -> None:
    """Take SIGHUP in this thread; Python then calls its handler in the main one."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGHUP,))
    over.wait()


async def attend(supervisor: Supervisor, service: Service, started: trio.Event, made: Equipment) -> None:
    """Run a supervisor, with the tasks that give it orders and tell the service manager."""
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(obey_signals, supervisor, signals)
            nursery.start_soon(tell_manager, supervisor, started, service.count)
            if service.admin is not None:
                nursery.start_soon(answer_inquiries, service.admin, partial(answer, made, supervisor))
            if service.obey is not None:
                nursery.start_soon(service.obey, supervisor)
            await supervisor.run()
            nursery.cancel_scope.cancel()


async def answer(made: Equipment, supervisor: Supervisor, request: bytes) -> dict[str, Any]:
    """Answer an inquiry about the whole service, or restart its workers and answer when that is done."""
    if request == b"restart":
        restart = supervisor.restart()
        if restart is None:
            return {"error": "the service ends"}
        await restart.done.wait()
        return {"error": restart.failure or ("" if restart.table.done else "the service ends")}
    if request == REQUEST_REBALANCE:
        return await ask_first(made.runtime.folder, made.board, request)
    return await service_snapshot(made.runtime.folder, made.board) if request == REQUEST else unknown(request)


async def obey_signals(supervisor: Supervisor, signals: AsyncIterator[int]) -> None:
    """Restart the workers at SIGHUP; drain at the first other signal, hurry at the second."""
    end: Callable[[], object] = supervisor.drain
    async for number in signals:
        if number == signal.SIGHUP:
            supervisor.restart()
        else:
            end()
            end = supervisor.hurry


async def tell_manager(supervisor: Supervisor, started: trio.Event, count: int) -> None:
    """Tell the service manager that the service is ready, alive and stopping."""
    await started.wait()
    async with notifying(supervisor.leaving.wait, f"serving with {count} workers"):
        await trio.sleep_forever()


@contextmanager
def as_worker(worker: Worker | None) -> Iterator[None]:
    """Tell the supervisor in one line why its worker cannot start; leave nothing where that has gone before.

    Raises:
        SystemExit: In place of an error that keeps the worker from its start.
    """
    try:
        yield
    except Exception as error:
        if worker is None or worker.row.ready:
            raise
        tell_failure(worker, describe(only_leaf(error)))
        raise SystemExit(2) from None
    finally:
        if worker is not None and os.getppid() != worker.supervisor:
            remove_if_last(worker.folder, worker.lock)
