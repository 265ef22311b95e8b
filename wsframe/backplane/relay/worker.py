"""The relay's side of one worker: it reads the worker's stream, and writes the reports for it.

It reads a batch of frames, has the hub put reports into the queues of other workers, and writes to each of these once
when the batch is done. It forwards messages that are not kept in the bytes in which it read them, several on one topic
as one piece. A worker that does not read loses messages beyond the limit of its queue, and learns of it as a gap; it
never holds up another one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any, Protocol

import trio

from wsframe.backplane.hub_members import HubMember
from wsframe.backplane.interface import History, Position
from wsframe.backplane.queue import Queue, Run
from wsframe.backplane.relay.frames import (
    ANSWER,
    ASK,
    FORMAT,
    HELLO,
    LONGEST,
    LOST,
    PUBLISH,
    UNWANT,
    WANT,
    MalformedFrame,
    RelayFrame,
    RunReader,
    frame,
    history_of,
    json_frame,
    kept_to,
    report_frame,
)
from wsframe.backplane.relay.stream import Outgoing, WriteTurn, read_all
from wsframe.backplane.relay.uplink import Uplink
from wsframe.log import Log, log_for

__all__ = ["RelayWorker"]

logger: Log = log_for(__name__)

MOST_ASKED = 1_000
"""Requests of a worker that wait for the engine; it gets no answer to further ones, as if the engine were away."""
LEASES = ("acquire", "renew", "release")
"""Requests that are answered however many others wait: they are few, and of no use when late."""
LONG = ("since", "kept")
"""Requests whose answers can be long."""


class Center(Protocol):
    """The center of a machine: a hub, or the uplink to an engine, whose answers come later."""

    def attach(self, node: str, queue: Queue) -> HubMember: ...
    def detach(self, member: HubMember) -> None: ...
    def want(self, member: HubMember, topics: Collection[str]) -> None: ...
    def unwant(self, member: HubMember, topics: Collection[str]) -> None: ...
    def publish(self, member: HubMember, topic: str, payload: bytes, keep: History | None) -> None: ...
    def pass_on(self, member: HubMember, run: Run) -> None: ...
    def report_gap(self, topic: str | None) -> None: ...
    def sent(self) -> object: ...
    def since(self, topic: str, position: Position, limit: int) -> object: ...
    def newest(self, topic: str) -> object: ...
    def kept(self, topic: str) -> object: ...
    def acquire(self, node: str, keys: Sequence[str], seconds: float) -> object: ...
    def renew(self, keys: Sequence[tuple[str, int]], seconds: float) -> object: ...
    def release(self, keys: Sequence[tuple[str, int]]) -> object: ...


class RelayWorker:
    """The relay's side of one worker's stream.

    Args:
        hub: Has the topics of all workers.
        limit: Bytes that wait for the worker before messages are dropped.
        turn: The turn of the relay's loop, in which all of its streams are filled.
        blocked: Called when more waits for it than the kernel takes; None has a task write the rest.
    """

    def __init__(self, hub: Center, limit: int, turn: WriteTurn, blocked: Callable[[], object] | None = None) -> None:
        self._hub = hub
        self._tasks: trio.Nursery
        self._asked = 0
        self._reader = RunReader()
        self.outgoing: Outgoing = Outgoing(limit, self._reports, turn, blocked)
        self._queue = Queue(limit, self.outgoing.ring)
        self._member: HubMember | None = None
        self._sender = b""
        """The name of the worker, as its messages have it."""
        self._wanted: dict[str, None] = {}
        """The topics that were named before the greeting."""

    async def serve(self, stream: trio.abc.Stream) -> None:
        """Serve a worker until its stream ends; raises nothing because of it."""
        try:
            async with stream, trio.open_nursery() as nursery:
                self._tasks = nursery
                nursery.start_soon(self.outgoing.write, stream)
                await read_all(stream, self.receive)
                nursery.cancel_scope.cancel()
        except* Exception as group:  # costs this worker its stream, and no other
            self.fail(group.exceptions[0])
        finally:
            self.detach()

    def receive(self, data: bytes) -> None:
        """Act on bytes of the worker.

        Raises:
            Exception: If they are not those of a worker.
        """
        for one in self._reader.feed(data):
            if type(one) is Run:
                self._pass_on(one)
            else:
                assert isinstance(one, RelayFrame)
                self._take(one)

    def fail(self, error: BaseException) -> None:
        """Say why its stream is closed, unless it has ended, and was read to the end."""
        if not isinstance(error, ConnectionError) and not isinstance(error.__cause__, ConnectionError):
            logger.error("a worker's stream is closed: %r", error)
            self._hub.report_gap(None)  # it can have written more

    def detach(self) -> None:
        """Send it no more."""
        if self._member is not None:
            self._hub.detach(self._member)

    def _reports(self) -> bytes:
        """Return the reports that wait; they wait no longer."""
        reports = self._queue.take()
        return report_frame(reports[0]) if len(reports) == 1 else b"".join(map(report_frame, reports))

    def _pass_on(self, run: Run) -> None:
        """Send messages to the other workers."""
        if self._member is None or run.sender != self._sender:
            raise MalformedFrame(f"a message of {run.sender!r}, and this is {self._sender!r}")
        self._hub.pass_on(self._member, run)

    def _take(self, read: RelayFrame) -> None:
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
        self._sender = hello["node"].encode()
        self._member = self._hub.attach(hello["node"], self._queue)
        away = isinstance(self._hub, Uplink) and not self._hub.up
        self.outgoing.force(frame(HELLO, b"null", flag=away))
        self._hub.want(self._member, self._wanted)
        self._wanted = {}

    def _answer(self, member: HubMember, ask: dict[str, Any]) -> None:
        """Answer a request: now, or once the engine has answered."""
        number, method = ask["id"], ask["method"]
        if method in LONG and not self.outgoing.has_room(1):  # a history would be read in vain
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
        if len(answer) > LONGEST or (method in LONG and not self.outgoing.has_room(len(answer))):
            answer = json_frame(ANSWER, {"id": number, "result": None})
        self.outgoing.force(answer)


def asked_of(center: Center, member: HubMember, method: str, arguments: list[Any]) -> object:
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
