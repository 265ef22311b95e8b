"""The relay: the process beside the workers that runs their hub.

Each worker has one unix stream to it. The relay reads a batch of frames, has the hub put reports
into the queues of other workers, and one task for each worker writes the frames of its queue. A
worker that does not read loses messages beyond the limit of its queue, and learns of it as a gap;
it never holds up another one.

The supervisor keeps the listening socket and starts the relay again when it has ended, so workers
can connect at any moment. A relay that starts again has lost histories and leases.
"""

from __future__ import annotations

import mmap
import socket
import sys
import time
from typing import Any

import trio

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
    history_of,
    json_frame,
    kept_to,
    report_frame,
)
from wsframe.backplane.hub import Hub, Member
from wsframe.backplane.interface import Position
from wsframe.backplane.queue import LIMIT, Queue
from wsframe.backplane.stream import Outgoing, read_frames
from wsframe.doorbell import Doorbell
from wsframe.log import Log, log_for

__all__ = ["Worker", "main", "serve_relay"]

logger: Log = log_for(__name__)

SWEEP = 5.0
"""Seconds between two looks for histories that are too old."""
BEAT = 0.25
"""Seconds between two beats: two for each look of the supervisor."""


class Worker:
    """The relay's side of one worker's stream."""

    def __init__(self, hub: Hub, limit: int) -> None:
        self._hub = hub
        self._queue = Queue(limit)
        self._answers = Outgoing(limit)
        self._member: Member | None = None
        self._wanted: dict[str, None] = {}
        """The topics that were named before the greeting."""

    async def serve(self, stream: trio.abc.Stream) -> None:
        """Serve a worker until its stream ends."""
        try:
            async with stream, trio.open_nursery() as nursery:
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
        self._answers.force(json_frame(HELLO, None))
        self._hub.want(self._member, self._wanted)
        self._wanted = {}
        self._queue.doorbell.ring()

    def _answer(self, member: Member, ask: dict[str, Any]) -> None:
        """Answer a request."""
        hub, arguments = self._hub, ask["arguments"]
        result: object = None
        long = ask["method"] in ("since", "kept")
        if long and not self._answers.has_room(1):  # a history would be read in vain
            pass
        elif ask["method"] == "since":
            topic, position, limit = arguments
            result = kept_to(hub.since(topic, Position(*position), limit))
        elif ask["method"] == "newest":
            result = hub.newest(*arguments)
        elif ask["method"] == "kept":
            newest, kept = hub.kept(*arguments)
            result = newest, kept_to(kept)
        elif ask["method"] == "acquire":
            result = hub.acquire(member.node, *arguments)
        elif ask["method"] == "renew":
            result = hub.renew(*arguments)
        elif ask["method"] == "release":
            hub.release(*arguments)
        else:
            raise MalformedFrame(f"a request for {ask['method']!r}, which no relay answers")
        answer = json_frame(ANSWER, {"id": ask["id"], "result": result})
        # A history that no stream can carry, or that a worker leaves unread with others, is not whole.
        if len(answer) > LONGEST or (long and not self._answers.has_room(len(answer))):
            answer = json_frame(ANSWER, {"id": ask["id"], "result": None})
        self._answers.force(answer)
        self._queue.doorbell.ring()


async def serve_relay(
    listener: trio.SocketListener, *, limit: int = LIMIT, forgetful: bool = True, life: socket.socket | None = None
) -> None:
    """Serve the workers that connect, until cancelled.

    Args:
        listener: A listening unix socket.
        limit: Bytes that wait for a worker before messages are dropped.
        forgetful: Whether a relay before this one can have granted leases that still run.
        life: A socket whose other end the supervisor has; after its end the relay leaves with the last worker.
    """
    hub = Hub(time.monotonic, lambda: time.time_ns() // 1_000, forgetful=forgetful)
    connected, fewer = 0, Doorbell()

    async def serve(stream: trio.abc.Stream) -> None:
        nonlocal connected
        connected += 1
        try:
            await Worker(hub, limit).serve(stream)
        finally:
            connected -= 1
            fewer.ring()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        nursery.start_soon(sweep, hub)
        if life is None:
            return
        await trio.lowlevel.wait_readable(life)
        while connected:
            await fewer.wait()
        nursery.cancel_scope.cancel()


async def sweep(hub: Hub) -> None:
    """Forget histories that are too old, for ever."""
    while True:
        await trio.sleep(SWEEP)
        hub.sweep()


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


async def supervised(listener: trio.SocketListener, life: int, memory: int, offset: int, *, forgetful: bool) -> None:
    """Serve as a supervisor's relay."""
    with socket.socket(fileno=life) as end:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(beat, memory, offset)
            await serve_relay(listener, forgetful=forgetful, life=end)
            nursery.cancel_scope.cancel()


def main(arguments: list[str] | None = None) -> None:
    """Run a relay.

    The arguments are descriptors that this process has inherited: a listening socket, and from a supervisor also its
    link, the memory of its board, the place of the relay's beats there, and whether there was a relay before.
    """
    number, *others = map(int, sys.argv[1:] if arguments is None else arguments)
    listening = socket.socket(fileno=number)
    listening.setblocking(False)

    async def serve() -> None:
        listener = trio.SocketListener(trio.socket.from_stdlib_socket(listening))
        if others:
            life, memory, offset, again = others
            await supervised(listener, life, memory, offset, forgetful=bool(again))
        else:
            await serve_relay(listener)

    trio.run(serve)


if __name__ == "__main__":
    main()
