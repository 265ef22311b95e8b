"""The relay: the process beside the workers that runs their hub.

Each worker has one unix stream to it. A loop over the streams (``relay.loop``) calls the
:class:`~wsframe.backplane.relay.worker.RelayWorker` of each.

With the URL of an engine it is also the machine's one link to that (``uplink``), and histories and leases are there.
Then trio runs a task for each stream, as it does where the kernel has no epoll.

The supervisor keeps the listening socket and starts the relay again when it has ended, so workers
can connect at any moment. A relay without an engine that starts again has lost histories and leases.
"""

from __future__ import annotations

import gc
import logging
import mmap
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Sequence
from logging.handlers import QueueHandler, QueueListener
from queue import SimpleQueue
from secrets import token_hex
from typing import Any, Final

import trio

from wsframe.backplane.at_url import backplane_at
from wsframe.backplane.engines.engine import BackplaneRefused
from wsframe.backplane.engines.supervised import SupervisedBackplane, innermost
from wsframe.backplane.hub import Hub
from wsframe.backplane.queue import LIMIT
from wsframe.backplane.relay.loop import BEAT, SWEEP, RelayLoop
from wsframe.backplane.relay.stream import WriteTurn
from wsframe.backplane.relay.uplink import Uplink
from wsframe.backplane.relay.worker import RelayWorker
from wsframe.doorbell import Doorbell
from wsframe.log import Log, log_for

__all__ = ["ENGINE", "REFUSED", "main", "serve_relay"]

logger: Log = log_for(__name__)

ENGINE: Final = "WSFRAME_RELAY_ENGINE"
"""The environment variable with the URL of the engine: all users of the machine can see the command line."""
REFUSED: Final = 3
"""The exit status of a relay whose engine refuses it for good; it sends the supervisor the reason."""

ORDERS: Final = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM) if hasattr(signal, "SIGHUP") else ()
"""Signals that a relay with a supervisor ignores. A service manager can send them to all processes of a service, and
the workers need the relay until they end."""
RETRY = 1.0
"""Seconds before another attempt with an engine that refuses a later connection."""
MOST_LINES = 1_000
"""Log lines that wait to be written; others are left out."""


async def serve_relay(
    listener: trio.SocketListener,
    *,
    limit: int = LIMIT,
    forgetful: bool = True,
    life: socket.socket | None = None,
    engine: SupervisedBackplane | None = None,
) -> None:
    """Serve the workers that connect, until cancelled.

    Args:
        listener: A listening unix socket.
        limit: Bytes that wait for a worker before messages are dropped.
        forgetful: Whether a relay before this one can have granted leases that still run.
        life: A socket whose other end the supervisor has; after its end the relay leaves with the last worker.
        engine: The link to the engine of the service; None for none.

    Raises:
        BackplaneRefused: If the engine refuses the first connection for good, and no relay was here before.
    """
    hub = new_hub(forgetful=forgetful)
    uplink = None if engine is None else Uplink(engine)
    connected, fewer, turn = 0, Doorbell(), WriteTurn()

    async def serve(stream: trio.abc.Stream) -> None:
        nonlocal connected
        connected += 1
        try:
            await RelayWorker(uplink or hub, limit, turn).serve(stream)
        finally:
            connected -= 1
            fewer.ring()

    with turn.of_trio():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.serve_listeners, serve, [listener])
            nursery.start_soon(sweep, hub)
            if engine is not None and uplink is not None:
                nursery.start_soon(keep_linked, engine, uplink, forgetful)
                nursery.start_soon(uplink.watch_room)
            if life is None:
                return
            await trio.lowlevel.wait_readable(life)
            while connected:
                await fewer.wait()
            nursery.cancel_scope.cancel()


def new_hub(*, forgetful: bool) -> Hub:
    """Return a hub by the clocks of this machine."""
    return Hub(time.monotonic, lambda: time.time_ns() // 1_000, forgetful=forgetful)


async def sweep(hub: Hub) -> None:
    """Forget histories that are too old, again and again."""
    while True:
        await trio.sleep(SWEEP)
        hub.sweep()


async def keep_linked(engine: SupervisedBackplane, uplink: Uplink, again: bool) -> None:
    """Run the link to the engine, for ever; a relay that is started again does not end the service."""
    node = f"{socket.gethostname()}:{os.getpid()}:{token_hex(4)}"
    told = False
    while True:
        try:
            await engine.run(node, uplink)
        except* BackplaneRefused as group:
            if not again:
                raise
            if not told:
                logger.error("%s; trying again", innermost(group))
            told = True
        await trio.sleep(RETRY)


async def beat(memory: int, offset: int) -> None:
    """Count the turns of the event loop in memory that the supervisor looks at, for ever."""
    with mmap.mmap(memory, 0) as board:
        words = memoryview(board).cast("Q")
        try:
            while True:
                words[offset // 8] += 1
                await trio.sleep(BEAT)
        finally:
            words.release()


async def supervised(
    listener: trio.SocketListener,
    life: int,
    memory: int,
    offset: int,
    *,
    forgetful: bool,
    engine: SupervisedBackplane | None,
) -> None:
    """Serve as a supervisor's relay."""
    reason = ""
    with socket.socket(fileno=life) as end:
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(beat, memory, offset)
                await serve_relay(listener, forgetful=forgetful, life=end, engine=engine)
                nursery.cancel_scope.cancel()
        except* BackplaneRefused as group:
            reason = str(innermost(group))
        if reason:
            end.sendall(reason.encode())
    if reason:
        sys.exit(REFUSED)


def serve_in_loop(listener: socket.socket, others: Sequence[int]) -> None:
    """Serve without an engine, and without tasks.

    Args:
        listener: A listening unix socket that does not block.
        others: The further arguments of the process, for a supervisor's relay.
    """
    if not others:
        RelayLoop(listener, new_hub(forgetful=True)).run()
        return
    life, memory, offset, again = others
    with socket.socket(fileno=life) as end, mmap.mmap(memory, 0) as board, memoryview(board).cast("Q") as words:

        def beat() -> None:
            words[offset // 8] += 1

        RelayLoop(listener, new_hub(forgetful=bool(again)), life=end, beat=beat).run()


def log_in_thread() -> None:
    """Write log lines to stderr in a thread: a pipe that nobody reads must not hold up the messages of a machine."""
    lines: SimpleQueue[Any] = SimpleQueue()
    output = logging.StreamHandler()
    output.setFormatter(logging.Formatter("%(asctime)s %(levelname)s relay: %(message)s"))
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[BoundedHandler(lines)])
    QueueListener(lines, output).start()


def of_the_relay(record: logging.LogRecord) -> bool:
    """Give a record the field that distinguishes the relay's lines from those of workers."""
    record.relay = True
    return True


class BoundedHandler(QueueHandler):
    """Queues lines for another thread."""

    def __init__(self, lines: SimpleQueue[Any]) -> None:
        super().__init__(lines)
        self._lines = lines

    def enqueue(self, record: logging.LogRecord) -> None:
        """Queue a line, if there is room."""
        if self._lines.qsize() < MOST_LINES:
            self._lines.put(record)


def main(arguments: list[str] | None = None, output: logging.Handler | None = None) -> None:
    """Run a relay.

    The arguments are descriptors that this process has inherited: a listening socket, and from a supervisor also its
    link, the memory of its board, the place of the relay's beats there, and whether there was a relay before. The URL
    of the engine, if there is one, is in the environment. ``output`` writes the log where its lines are not text.
    """
    if output is None:
        log_in_thread()
    else:
        output.addFilter(of_the_relay)
        logging.basicConfig(level=logging.WARNING, handlers=[output])
    number, *others = map(int, sys.argv[1:] if arguments is None else arguments)
    if others:
        for one in ORDERS:
            signal.signal(one, signal.SIG_IGN)
    listening = socket.socket(fileno=number)
    listening.setblocking(False)
    url = os.environ.pop(ENGINE, "")
    engine = backplane_at(url) if url else None
    assert engine is None or isinstance(engine, SupervisedBackplane)

    gc.freeze()  # the modules are here to stay: looking for garbage in them would evict the messages from the caches

    if engine is None and hasattr(select, "epoll"):
        serve_in_loop(listening, others)
        return

    async def serve() -> None:
        listener = trio.SocketListener(trio.socket.from_stdlib_socket(listening))
        if others:
            life, memory, offset, again = others
            await supervised(listener, life, memory, offset, forgetful=bool(again), engine=engine)
        else:
            await serve_relay(listener, engine=engine)

    trio.run(serve)


if __name__ == "__main__":
    main()
