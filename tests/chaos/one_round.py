"""One round: servers, clients, and the checks when all is over."""

import gc
import logging
import os
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from traceback import format_exception
from typing import Literal, TypeAlias

import trio

import wsframe
from tests.certificates import Contexts
from tests.chaos.moving_rooms import register_rooms
from tests.chaos.polite import POLITE
from tests.chaos.resources import LIMITS, TIMEOUTS, Deliberate, Ledger, registry
from tests.chaos.rough import Address
from tests.chaos.rude import RUDE
from tests.chaos.visit import Program, Visit

__all__ = ["Outcome", "resident", "run_round"]

Poller: TypeAlias = Literal["auto", "task"]

ARRIVALS = 80
"""Clients that arrive in a second."""
BUSY = 25
"""Those that do something at the same time: on a slow machine the others come later."""
POLITE_SHARE = 0.55
# Most seconds that a program and the settling can take on a machine that is slow or busy with other things.
PATIENCE = 300.0
# Classes of which no object may be left, by module and name.
KEPT = {"Client", "Connection", "Inbox", "Link", "Newcomer", "Outbox", "TLSCodec"}
# Pongs of one receive buffer full of pings are beyond the outbox limit (RFC 6455 section 5.5.3).
PONGS = 64 * 1024


@dataclass
class Outcome:
    """The outcome of a round."""

    seed: int
    clients: int
    seconds: float = 0.0
    events: int = 0
    """Hook calls, and the actions of the clients."""
    lives: int = 0
    programs: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    late: float = 0.0
    """Seconds by which the event loop was late at worst: with much of it, faults may be the machine's."""
    grown: int = 0
    """Bytes by which the resident memory grew."""


class ErrorLog(logging.Handler):
    """Collects log records of errors, apart from those that hooks raise on purpose."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.deliberate = 0
        self.faults: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, Deliberate):
            self.deliberate += 1
        else:
            trace = "".join(format_exception(error)) if error else ""
            self.faults.append(f"logged: {record.getMessage()} {trace}".strip())


class World:
    """The servers of one round and all that belongs to them."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.ledger = Ledger()
        self.gates: dict[str, trio.Event] = {}
        self.released = trio.Event()
        self.busy = trio.Semaphore(BUSY)
        self.servers: list[wsframe.Server] = []
        self.registries: list[wsframe.Registry] = []
        self.addresses: list[Address] = []
        self.faults = self.ledger.faults
        self.visits: list[Visit] = []
        self.late = 0.0

    @asynccontextmanager
    async def serving(self, contexts: Contexts) -> AsyncIterator[None]:
        """Serve with each poller, plain and over TLS."""
        pollers: list[Poller] = ["auto", "task"]
        async with AsyncExitStack() as stack:
            for poller in pollers:
                for server_context, client_context in ((None, None), contexts):
                    served = registry(self.ledger, self.gates)
                    register_rooms(served, self.ledger)
                    server = await stack.enter_async_context(
                        wsframe.open_server(
                            served,
                            port=0,
                            ssl_context=server_context,
                            poller=poller,
                            limits=LIMITS,
                            timeouts=TIMEOUTS,
                            capacity=wsframe.Capacity(max_pending_handshakes=200),
                        )
                    )
                    self.servers.append(server)
                    self.registries.append(served)
                    self.addresses.append(Address(int(server.addresses[0].rpartition(":")[2]), client_context))
            yield

    def cast(self, number: int, clients: int) -> tuple[Visit, Program, float]:
        """Choose one of that many clients: its kind, its actions and its times. All of it follows from the seed."""
        random = Random(f"{self.seed}/{number}")
        programs = POLITE if random.random() < POLITE_SHARE else RUDE
        (program,) = random.choices(list(programs), list(programs.values()))
        address = random.choice(self.addresses)
        arrival = random.random() * clients / ARRIVALS
        visit = Visit(f"{number}-{program.__name__}", random, address, self.gates, self.released, self.busy)
        self.visits.append(visit)
        return visit, program, arrival

    async def play(self, visit: Visit, program: Program, arrival: float) -> None:
        """Run one client's program; a hostile one may lose its connection, an honest one may not."""
        await trio.sleep(arrival)
        await self.busy.acquire()
        try:
            with trio.move_on_after(PATIENCE) as patience:
                await program(visit)
            if patience.cancelled_caught:
                self.faults.append(f"{visit.name}: not done after {PATIENCE:.0f} s {visit.trail}")
        except OSError as error:
            if program in POLITE:
                self.faults.append(f"{visit.name}: {error!r}")
        except Exception as error:
            self.faults.append(f"{visit.name}: {first_of(error)!r} {visit.trail}")
        finally:
            visit.retire()

    async def settle(self) -> None:
        """Wait until every server has got rid of its clients by itself; some still hold their sockets open."""
        with trio.move_on_after(PATIENCE):
            while any(leftovers(server) for server in self.servers):  # noqa: ASYNC110
                await trio.sleep(0.05)
        for server in self.servers:
            if left := leftovers(server):
                self.faults.append(f"{server}: still there: {left}")

    async def watch_limits(self) -> None:
        """Look now and then at the bytes that the servers hold for each client."""
        outbox = LIMITS.max_outbox + LIMITS.max_message + PONGS
        while True:
            due = trio.current_time() + 0.03
            await trio.sleep_until(due)
            self.late = max(self.late, trio.current_time() - due)
            for resource in (resource for registered in self.registries for resource in registered.table.resources()):
                for client in resource.clients:
                    held = client.statistics()
                    if held.messages_waiting > LIMITS.max_queued_messages or held.bytes_waiting > outbox:
                        self.faults.append(f"{client!r} holds too much: {held}")

    def judge(self) -> None:
        """Compare the calls of the hooks with the actions of the clients."""
        for visit in self.visits:
            life = self.ledger.lives.pop(visit.name, None)
            count = 0 if life is None else life.connected
            if count > 1 or (visit.lives is not None and count != visit.lives):
                self.faults.append(f"{visit.name}: client_connected ran {count} times {visit.trail}")
            if life is None:
                continue
            if life.disconnected != 1:
                self.faults.append(f"{visit.name}: disconnected ran {life.disconnected} times")
            if visit.promised is not None and life.messages != visit.promised:
                told, wanted = len(life.messages), len(visit.promised)
                self.faults.append(f"{visit.name}: hooks were told {told} messages, not the {wanted} that were sent")
            if visit.closes_with is not None and life.close_code != visit.closes_with:
                closed = f"{life.close_code} {life.close_reason!r}"
                self.faults.append(f"{visit.name}: closed {closed}, not {visit.closes_with}")
        if self.ledger.lives:
            self.faults.append(f"hooks ran for nobody: {list(self.ledger.lives)}")


def first_of(error: Exception) -> Exception:
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


def leftovers(server: wsframe.Server) -> dict[str, int]:
    """Return the server's statistics that are not back to zero."""
    now = server.statistics()
    counts = {"clients": now.clients, "reserved": now.reserved, "pending_handshakes": now.pending_handshakes}
    return {name: count for name, count in counts.items() if count}


def descriptors() -> int | None:
    """Count the process's descriptors, where the system tells."""
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else None


def resident() -> int:
    """Return the process's resident bytes, 0 where the system does not tell."""
    if not os.path.exists("/proc/self/statm"):
        return 0
    with open("/proc/self/statm", "rb") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def living() -> Counter[str]:
    """Count the objects that belong to connections."""
    gc.collect()
    kinds = (type(found) for found in gc.get_objects())
    return Counter(f"{kind.__module__}.{kind.__name__}" for kind in kinds if is_kept(kind))


def is_kept(kind: type) -> bool:
    return kind.__name__ in KEPT and str(kind.__module__).startswith("wsframe.")


async def run_round(seed: int, clients: int, contexts: Contexts) -> Outcome:
    """Run a round; the outcome names the faults, if there were any."""
    outcome = Outcome(seed, clients)
    log, logger = ErrorLog(), logging.getLogger("wsframe")
    logger.addHandler(log)
    # Others would keep the records, their tracebacks and so the clients.
    propagate, logger.propagate = logger.propagate, False
    began, before = trio.current_time(), living()
    tasks, open_before, size = trio.lowlevel.current_statistics().tasks_living, descriptors(), resident()
    world = World(seed)
    try:
        async with world.serving(contexts), trio.open_nursery() as watching:
            watching.start_soon(world.watch_limits)
            async with trio.open_nursery() as holding:
                await play_all(world, outcome, holding)
            watching.cancel_scope.cancel()
    finally:
        logger.removeHandler(log)
        logger.propagate = propagate
    world.judge()
    if log.deliberate != world.ledger.raised:
        log.faults.append(f"{world.ledger.raised} hooks raised, {log.deliberate} were logged")
    outcome.faults = world.faults + log.faults
    outcome.events = world.ledger.calls + sum(visit.acts for visit in world.visits)
    outcome.lives = sum(server.statistics().admitted for server in world.servers)
    outcome.seconds, outcome.late = trio.current_time() - began, world.late
    del world
    if (after := living()) != before:
        outcome.faults.append(f"objects left: {after - before}")
    if (now := trio.lowlevel.current_statistics().tasks_living) != tasks:
        outcome.faults.append(f"tasks left: {now - tasks}")
    if (opened := descriptors()) != open_before:
        outcome.faults.append(f"descriptors: {open_before} before, {opened} after")
    outcome.grown = resident() - size
    return outcome


async def play_all(world: World, outcome: Outcome, holding: trio.Nursery) -> None:
    """Play every client; one that holds a socket open does so until all servers have forgotten everybody."""
    for number in range(outcome.clients):
        visit, program, arrival = world.cast(number, outcome.clients)
        outcome.programs[program.__name__] += 1
        holding.start_soon(world.play, visit, program, arrival)
    while not all(visit.retired for visit in world.visits):  # noqa: ASYNC110
        await trio.sleep(0.05)
    await world.settle()
    world.released.set()
