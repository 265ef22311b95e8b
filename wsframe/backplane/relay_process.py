"""The relay: the process beside the workers that runs their hub.

Each worker has one unix stream to it. The relay reads a batch of frames, has the hub put reports
into the queues of other workers, and one task for each worker writes the frames of its queue. A
worker that does not read loses messages beyond the limit of its queue, and learns of it as a gap;
it never holds up another one.

With the URL of an engine it is also the machine's one link to that (``uplink``), and histories and leases are there.

The supervisor keeps the listening socket and starts the relay again when it has ended, so workers
can connect at any moment. A relay without an engine that starts again has lost histories and leases.
"""

from __future__ import annotations

import logging
import mmap
import os
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from logging.handlers import QueueHandler, QueueListener
from queue import SimpleQueue
from secrets import token_hex
from typing import Any, Final, Protocol

import trio

from wsframe.backplane.at_url import backplane_at
from wsframe.backplane.engine import BackplaneRefused
from wsframe.backplane.frames import (
    ANSWER,
    ASK,
    FORMAT,
    HELLO,
    LONGEST,
    LOST,
    PUBLISH,
    UNWANT,
    WANT,
    Frame,
    MalformedFrame,
    frame,
    history_of,
    json_frame,
    kept_to,
    report_frame,
)
from wsframe.backplane.hub import Hub
from wsframe.backplane.interface import History, Position
from wsframe.backplane.members import Member
from wsframe.backplane.queue import LIMIT, Queue
from wsframe.backplane.stream import Outgoing, read_frames
from wsframe.backplane.supervised import SupervisedBackplane, innermost
from wsframe.backplane.uplink import Uplink
from wsframe.doorbell import Doorbell
from wsframe.log import Log, log_for

__all__ = ["ENGINE", "REFUSED", "Worker", "main", "serve_relay"]

logger: Log = log_for(__name__)

ENGINE: Final = "WSFRAME_RELAY_ENGINE"
"""The environment variable with the URL of the engine: the command line can be seen by everybody on the machine."""
REFUSED: Final = 3
"""The exit status of a relay whose engine refuses it for good; its end of the supervisor's link has the reason."""

SWEEP = 5.0
"""Seconds between two looks for histories that are too old."""
BEAT = 0.25
"""Seconds between two beats: two for each look of the supervisor."""
RETRY = 1.0
"""Seconds until an engine that has refused us later is tried again."""
MOST_ASKED = 1_000
"""Requests of a worker that wait for the engine; it gets no answer to further ones, as if the engine were away."""
MOST_LINES = 1_000
"""Log lines that wait to be written; others are left out."""
LEASES = ("acquire", "renew", "release")
"""Requests that are answered however many others wait: they are few, and of no use when late."""
LONG = ("since", "kept")
"""Requests whose answers can be long."""


class Center(Protocol):
    """The center of a machine: a hub, or the uplink to an engine, whose answers come later."""

    def attach(self, node: str, queue: Queue) -> Member: ...
    def detach(self, member: Member) -> None: ...
    def want(self, member: Member, topics: Collection[str]) -> None: ...
    def unwant(self, member: Member, topics: Collection[str]) -> None: ...
    def publish(self, member: Member, topic: str, payload: bytes, keep: History | None) -> None: ...
    def report_gap(self, topic: str | None) -> None: ...
    def sent(self) -> object: ...
    def since(self, topic: str, position: Position, limit: int) -> object: ...
    def newest(self, topic: str) -> object: ...
    def kept(self, topic: str) -> object: ...
    def acquire(self, node: str, keys: Sequence[str], seconds: float) -> object: ...
    def renew(self, keys: Sequence[tuple[str, int]], seconds: float) -> object: ...
    def release(self, keys: Sequence[tuple[str, int]]) -> object: ...


class Worker:
    """The relay's side of one worker's stream."""

    def __init__(self, hub: Center, limit: int) -> None:
        self._hub = hub
        self._tasks: trio.Nursery
        self._asked = 0
        self._queue = Queue(limit)
        self._answers = Outgoing(limit)
        self._member: Member | None = None
        self._wanted: dict[str, None] = {}
        """The topics that were named before the greeting."""

    async def serve(self, stream: trio.abc.Stream) -> None:
        """Serve a worker until its stream ends."""
        try:
            async with stream, trio.open_nursery() as nursery:
                self._tasks = nursery
                nursery.start_soon(self._write, stream)
                await read_frames(stream, self._take)
                nursery.cancel_scope.cancel()
        except* Exception as group:  # costs this worker its stream, and no other
            error = group.exceptions[0]
            if not isinstance(error.__cause__, ConnectionError):  # of a worker that has ended, and was read to the end
                logger.error("a worker's stream is closed: %r", error)
                self._hub.report_gap(None)  # it can have written more
        finally:
            if self._member is not None:
                self._hub.detach(self._member)

    async def _write(self, stream: trio.abc.Stream) -> None:
        while True:
            data = self._answers.take() + b"".join(map(report_frame, self._queue.take()))
            if data:
                await stream.send_all(data)
            else:
                await self._queue.doorbell.wait()

    def _take(self, read: Frame) -> None:
        """Act on a frame of the worker."""
        if self._member is None:
            if read.kind == WANT:
                self._wanted.update(dict.fromkeys(read.json()))
            elif read.kind == HELLO:
                self._greet(read.json())
            else:
                raise MalformedFrame(f"a frame of kind {read.kind} before the greeting of a worker")
        elif read.kind == PUBLISH:
            self._hub.publish(self._member, read.topic, read.payload, history_of(read))
        elif read.kind == WANT:
            self._hub.want(self._member, read.json())
        elif read.kind == UNWANT:
            self._hub.unwant(self._member, read.json())
        elif read.kind == LOST:
            for topic in read.json():
                self._hub.report_gap(topic)
        elif read.kind == ASK:
            self._answer(self._member, read.json())
        else:
            raise MalformedFrame(f"a frame of kind {read.kind}, which a worker does not send")

    def _greet(self, hello: dict[str, Any]) -> None:
        """Attach a worker with all that it wants, in one step: no message falls between."""
        if (theirs := hello.get("format")) != FORMAT:
            versions = f"format {theirs!r}, not {FORMAT}"
            raise MalformedFrame(
                f"its wsframe is of another version ({versions}): stop the service, and start it again"
            )
        for topic in hello["lost"]:
            self._hub.report_gap(topic)
        self._member = self._hub.attach(hello["node"], self._queue)
        away = isinstance(self._hub, Uplink) and not self._hub.up
        self._answers.force(frame(HELLO, b"null", flag=away))
        self._hub.want(self._member, self._wanted)
        self._wanted = {}
        self._queue.doorbell.ring()

    def _answer(self, member: Member, ask: dict[str, Any]) -> None:
        """Answer a request: now, or once the engine has answered."""
        number, method = ask["id"], ask["method"]
        if method in LONG and not self._answers.has_room(1):  # a history would be read in vain
            self._tell(number, method, None)
        elif self._asked < MOST_ASKED or method in LEASES:
            result = asked_of(self._hub, member, method, ask["arguments"])
            if isinstance(result, Awaitable):
                self._asked += 1
                self._tasks.start_soon(self._answer_later, number, method, result)
            else:
                self._tell(number, method, result)

    async def _answer_later(self, number: object, method: str, result: Awaitable[object]) -> None:
        try:
            self._tell(number, method, await result)
        finally:
            self._asked -= 1

    def _tell(self, number: object, method: str, result: Any) -> None:
        """Write an answer."""
        if method == "since":
            result = kept_to(result)
        elif method == "kept" and result is not None:
            result = result[0], kept_to(result[1])
        answer = json_frame(ANSWER, {"id": number, "result": result})
        # A history that no stream can carry, or that a worker leaves unread with others, is not whole.
        if len(answer) > LONGEST or (method in LONG and not self._answers.has_room(len(answer))):
            answer = json_frame(ANSWER, {"id": number, "result": None})
        self._answers.force(answer)
        self._queue.doorbell.ring()


def asked_of(center: Center, member: Member, method: str, arguments: list[Any]) -> object:
    """Ask for history, or for leases in the name of a worker; return the result, or the wait for it."""
    if method == "since":
        topic, position, limit = arguments
        return center.since(topic, Position(*position), limit)
    if method == "acquire":
        return center.acquire(member.node, *arguments)
    known: dict[str, Callable[..., object]] = {
        "newest": center.newest,
        "kept": center.kept,
        "renew": center.renew,
        "release": center.release,
        "sent": center.sent,
    }
    if method not in known:
        raise MalformedFrame(f"a request for {method!r}, which no relay answers")
    return known[method](*arguments)


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
    hub = Hub(time.monotonic, lambda: time.time_ns() // 1_000, forgetful=forgetful)
    uplink = None if engine is None else Uplink(engine)
    connected, fewer = 0, Doorbell()

    async def serve(stream: trio.abc.Stream) -> None:
        nonlocal connected
        connected += 1
        try:
            await Worker(uplink or hub, limit).serve(stream)
        finally:
            connected -= 1
            fewer.ring()

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
    listening = socket.socket(fileno=number)
    listening.setblocking(False)
    url = os.environ.pop(ENGINE, "")
    engine = backplane_at(url) if url else None
    assert engine is None or isinstance(engine, SupervisedBackplane)

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
