"""``python -m benchmarks.waiting_keys``: the cost of a message for a client that does not read.

Prints the CPU time of a message in microseconds with 100 and with 100 000 waiting messages, and
their ratio. Everything runs in one process, and no kernel accepts data.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import trio

from wsframe.connection.flusher import Flusher
from wsframe.connection.memory_budget import FRAME_COST, KEY_COST
from wsframe.connection.outbox import Outbox
from wsframe.limits import Overflow
from wsframe.protocol.frames import TEXT, data_frame

MESSAGES = 20_000
FEW, MANY = 100, 100_000
EACH = 10 + FRAME_COST + KEY_COST


class Wire:
    """A stand-in for a link, whose methods do nothing."""

    def blocked(self, *, progress: bool) -> None:
        """Do nothing."""

    def unblocked(self) -> None:
        """Do nothing."""

    def emptied(self) -> None:
        """Do nothing."""

    def broken(self) -> None:
        """Do nothing."""

    def overflowed(self) -> None:
        """Do nothing."""


def full(data: bytes | memoryview) -> int:
    """Accept no data, like a kernel whose buffer is full."""
    raise BlockingIOError


def filled(keys: int, overflow: Overflow) -> Outbox:
    """Make a full outbox, in which a message waits for each key."""
    outbox = Outbox(full, Wire(), keys * EACH, overflow, Flusher())
    outbox.put_latest(0, data_frame(TEXT, b"%08d" % 0))
    outbox.flush()
    for key in range(1, keys):
        outbox.put_latest(key, data_frame(TEXT, b"%08d" % key))
    return outbox


OPERATIONS: dict[str, tuple[Overflow, Callable[[Outbox, int, int], object]]] = {
    "replaced by key": ("disconnect", lambda o, n, keys: o.put_latest(n * 7919 % keys, data_frame(TEXT, b"%08d" % n))),
    "longer than the one it replaces": (
        "drop_oldest",
        lambda o, n, keys: o.put_latest(n * 7919 % keys, data_frame(TEXT, b"%08d" % n + b"x" * (1 + n // keys))),
    ),
    "of a new key, the oldest dropped": (
        "drop_oldest",
        lambda o, n, keys: o.put_latest(keys + n, data_frame(TEXT, b"%08d" % n)),
    ),
    "without a key, the oldest dropped": ("drop_oldest", lambda o, n, _: o.put(data_frame(TEXT, b"%08d" % n))),
}


def cost(keys: int, overflow: Overflow, operation: Callable[[Outbox, int, int], object]) -> float:
    """Return the microseconds for a message."""
    outbox = filled(keys, overflow)
    began = time.process_time()
    for number in range(MESSAGES):
        operation(outbox, number, keys)
    return (time.process_time() - began) / MESSAGES * 1e6


async def measure() -> None:
    """Measure each operation and print it."""
    print(f"{'a message':36}{FEW:>10,}{MANY:>10,}   waiting; us, and how they compare")
    for name, (overflow, operation) in OPERATIONS.items():
        few, many = (min(cost(keys, overflow, operation) for _ in range(3)) for keys in (FEW, MANY))
        print(f"{name:36}{few:>10.2f}{many:>10.2f}{many / few:>7.1f}")
        await trio.lowlevel.checkpoint()


if __name__ == "__main__":
    trio.run(measure)
