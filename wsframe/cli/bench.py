"""``wsframe bench``: measure how many messages a server echoes, and how long each takes."""

from __future__ import annotations

import argparse
import json
import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING, Any

import trio

from wsframe.cli.arguments import add_parser, count, number, size
from wsframe.cli.connect_options import add_remote_options, connect_options, mistakes_told
from wsframe.cli.errors import Failure, Mistake
from wsframe.cli.histogram import LatencyHistogram
from wsframe.outgoing.connect import connect
from wsframe.outgoing.options import ConnectOptions
from wsframe.outgoing.websocket import WebSocket

if TYPE_CHECKING:
    from rich.progress import Progress

    from wsframe.cli.arguments import Commands

__all__ = ["add_command"]

SECONDS = 5.0
# Clients that connect at the same time: more would wait for each other, and servers refuse crowds.
AT_ONCE = 50
# A server that has not answered for this long does not echo.
PATIENCE = 10.0
# With more in flight from one client, both sides could fill their buffers while neither reads.
MOST_UNDER_WAY = 1024 * 1024
BAR = 40

EXAMPLES = """\
  wsframe serve examples/echo.py       # in one terminal
  wsframe bench ws://127.0.0.1:8000/   # in another
  wsframe bench ws://127.0.0.1:8000/ --clients 100 --inflight 10 --size 1K --seconds 10 --json
"""


def add_command(commands: Commands) -> None:
    parser = add_parser(
        commands,
        "bench",
        help="measure a server that echoes",
        description="Measure throughput and latency of a server that sends every message back. All clients share "
        "one core; if it is saturated, you measure the benchmark, not the server.",
        examples=EXAMPLES,
    )
    add_remote_options(parser)
    option = parser.add_argument
    option("--clients", type=count, default=10, metavar="N", help="connections (default 10)")
    option("--messages", type=count, metavar="N", help="messages for each client to send, instead of --seconds")
    option("--seconds", type=number, metavar="SECONDS", help=f"how long to send (default {SECONDS:g})")
    option("--size", type=size, default=64, metavar="SIZE", help="bytes in each message (default 64)")
    option("--inflight", type=count, default=1, metavar="N", help="unanswered messages per client (default 1)")
    option("--binary", action="store_true", help="send binary messages instead of text")
    option("--json", action="store_true", help="print the result as one JSON object")
    parser.set_defaults(command=bench)


@dataclass(kw_only=True, slots=True)
class Load:
    """The messages to send, and the measurements."""

    message: str | bytes
    inflight: int
    messages: int | None
    seconds: float | None
    latencies: LatencyHistogram = field(default_factory=LatencyHistogram)
    until: float = 0.0
    elapsed: float = 0.0

    def more(self, sent: int) -> bool:
        """Return whether a client that has sent this many messages sends another."""
        if self.messages is not None:
            return sent < self.messages
        return perf_counter() < self.until

    def done(self, started: float, clients: int) -> float:
        """Return the share of the work that is done, from 0 to 1."""
        if self.messages is not None:
            return len(self.latencies) / (self.messages * clients)
        return min(1.0, (perf_counter() - started) / (self.seconds or 1.0))


def bench(args: argparse.Namespace) -> None:
    load = load_of(args)
    options = connect_options(args)
    with mistakes_told(), progress(shown=not args.json) as tell:
        trio.run(run_load, args.url, options, load, args.clients, tell)
    if args.json:
        print(json.dumps(figures(load, args.clients)))
    else:
        for line in report(load, args.clients):
            print(line)


def load_of(args: argparse.Namespace) -> Load:
    for name in ("clients", "messages", "size", "inflight"):
        if getattr(args, name) == 0:
            raise Mistake(f"--{name} must be at least 1, not 0")
    if args.messages is not None and args.seconds is not None:
        raise Mistake("give --messages or --seconds, not both")
    if args.inflight > 1 and args.inflight * args.size > MOST_UNDER_WAY:
        raise Mistake("--inflight times --size must be at most 1M: with more, both sides could wait for each other")
    text = ("0123456789abcdef" * (args.size // 16 + 1))[: args.size]
    seconds = SECONDS if args.messages is None and args.seconds is None else args.seconds
    return Load(
        message=text.encode() if args.binary else text,
        inflight=args.inflight,
        messages=args.messages,
        seconds=seconds,
    )


async def run_load(url: str, options: ConnectOptions, load: Load, clients: int, tell: Callable[[float], None]) -> None:
    """Connect all clients, start them together, and record how long all of it took."""
    ready, places = Crowd(clients), trio.CapacityLimiter(AT_ONCE)
    async with trio.open_nursery() as watching:
        async with trio.open_nursery() as nursery:
            for _ in range(clients):
                nursery.start_soon(run_client, url, options, load, ready, places)
            await ready.complete.wait()
            started = perf_counter()
            load.until = started + (load.seconds or 0.0)
            watching.start_soon(tell_progress, load, started, clients, tell)
            ready.go.set()
        load.elapsed = perf_counter() - started
        watching.cancel_scope.cancel()


class Crowd:
    """Clients that wait until all are connected."""

    def __init__(self, clients: int) -> None:
        self._missing = clients
        self.complete: trio.Event = trio.Event()
        self.go: trio.Event = trio.Event()

    async def join(self) -> None:
        """Wait until all clients are here and the run begins."""
        self._missing -= 1
        if not self._missing:
            self.complete.set()
        await self.go.wait()


async def run_client(url: str, options: ConnectOptions, load: Load, ready: Crowd, places: trio.CapacityLimiter) -> None:
    async with AsyncExitStack() as stack:
        async with places:
            websocket = await stack.enter_async_context(connect(url, **options))
        await ready.join()
        await exchange(websocket, load)


async def exchange(websocket: WebSocket, load: Load) -> None:
    """Send messages, at most ``inflight`` unanswered, and record when each comes back."""
    message, under_way, sent = load.message, deque[float](), 0
    while True:
        while len(under_way) < load.inflight and load.more(sent):
            under_way.append(perf_counter())
            await websocket.send(message)
            sent += 1
        if not under_way:
            return
        with trio.move_on_after(PATIENCE) as waiting:
            answer = await websocket.receive()
        if waiting.cancelled_caught or answer != message:
            raise Failure("the server does not echo every message: bench needs an echo server")
        load.latencies.note(perf_counter() - under_way.popleft())


async def tell_progress(load: Load, started: float, clients: int, tell: Callable[[float], None]) -> None:
    while True:
        tell(load.done(started, clients))
        await trio.sleep(0.2)


@contextmanager
def progress(*, shown: bool) -> Iterator[Callable[[float], None]]:
    """Show a progress bar if stderr is a terminal and rich is installed; yield the function that moves it."""
    bar = make_bar() if shown and sys.stderr.isatty() else None
    if bar is None:
        yield lambda share: None
        return
    with bar:
        task = bar.add_task("bench", total=1.0)
        yield lambda share: bar.update(task, completed=share)


def make_bar() -> Progress | None:
    try:
        from rich.console import Console
        from rich.progress import Progress
    except ModuleNotFoundError:
        return None
    return Progress(console=Console(stderr=True), transient=True)


def figures(load: Load, clients: int) -> dict[str, Any]:
    """Return the measurements; times are in seconds."""
    latencies, size = load.latencies, len(load.message)
    rate = len(latencies) / load.elapsed
    return {
        "clients": clients,
        "inflight": load.inflight,
        "size": size,
        "messages": len(latencies),
        "seconds": load.elapsed,
        "messages_per_second": rate,
        "bytes_per_second": rate * size,
        "latency": {
            **{f"p{percent}": latencies.quantile(percent / 100) for percent in (50, 90, 99)},
            "max": latencies.longest,
        },
    }


def report(load: Load, clients: int) -> Iterator[str]:
    """Yield the lines of a report for people."""
    found = figures(load, clients)
    yield f"{clients} clients, {load.inflight} messages of {found['size']} bytes in flight for each"
    yield f"{found['messages']} messages in {load.elapsed:.2f} s: {found['messages_per_second']:.0f}/s each way"
    yield f"{found['bytes_per_second'] / 1e6:.2f} MB/s each way"
    yield "latency " + ", ".join(f"{name} {seconds * 1000:.3f} ms" for name, seconds in found["latency"].items())
    doublings = load.latencies.doublings()
    most = max((count for _, count in doublings), default=1)
    for bound, number_below in doublings:
        yield f"  < {bound * 1000:10.3f} ms {number_below:9} {'#' * round(BAR * number_below / most)}".rstrip()
