"""A backplane between processes of one machine, as a worker sees it: a stream to the relay.

The stream is opened again whenever it breaks. Messages are lost in the meantime, on both sides:

* Others' messages: once the relay has answered the greeting, which follows the names of all topics wanted, a gap
  of all topics is reported, before any message of the new stream. Topics that are wanted, and messages that are
  refused, between the greeting and its answer follow in frames of their own.
* Our own that had not been written, and those that ``publish`` had to refuse: their topics stand in the
  greeting as lost, and the relay reports gaps to the members that want them.

A message that is refused because too much waits to be written is a hole at the others as well: a frame
that names its topic follows the frames that wait.

A relay can link its machine to an engine. While the engine is away or overloaded, the relay refuses messages with
history; others reach the workers of this machine.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from functools import partial
from itertools import count
from random import Random
from typing import Any, cast

import trio

from wsframe.backplane.boottime import boottime
from wsframe.backplane.interface import MARGIN, History, Kept, Lease, Position, Told
from wsframe.backplane.queue import LIMIT, MOST_HOLES
from wsframe.backplane.relay.frames import (
    ANSWER,
    ASK,
    FLAG,
    FORMAT,
    GAP,
    HELLO,
    LONGEST,
    LOST,
    MESSAGE,
    REACH,
    UNWANT,
    WANT,
    WANTED,
    MalformedFrame,
    RelayFrame,
    json_frame,
    kept_from,
    position_of,
    publish_frame,
    topic_frames,
)
from wsframe.backplane.relay.stream import Outgoing, WriteTurn, read_frames
from wsframe.doorbell import Signal, check_trio
from wsframe.log import Log, log_for
from wsframe.net.forked import keep_from_children
from wsframe.user_code.protected_nursery import ProtectedNursery

__all__ = ["RelayBackplane"]

logger: Log = log_for(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
"""Seconds before the stream is opened again."""
PATIENCE = 2.0
"""Seconds in which the relay answers a request."""
MOST_GIVEN_UP = 100
"""Requests for leases whose late answers are acted on."""


def granted_of(keys: Sequence[str], result: list[int | str] | None) -> list[list[object]]:
    """Return the keys that an answer grants, each with its token."""
    return [[key, token] for key, token in zip(keys, result or [], strict=False) if not isinstance(token, str)]


class RelayBackplane:
    """A worker's side of the relay; it implements :class:`~wsframe.backplane.interface.Backplane`.

    Args:
        path: The path of the relay's listening unix socket.
        limit: Bytes that wait to be written before ``publish`` returns False.
        connect: Opens a stream to the relay instead, or raises OSError; None opens ``path``.
        clock: Returns the seconds by which leases end; the default also runs while the machine sleeps.
        random: Decides about the pauses between attempts to connect.
        beyond: Whether it leads to servers beyond the workers of one service, to whose slots resources belong.
    """

    def __init__(
        self,
        path: str,
        *,
        limit: int = LIMIT,
        connect: Callable[[], Awaitable[trio.abc.Stream]] | None = None,
        clock: Callable[[], float] = boottime,
        random: Random | None = None,
        beyond: bool = True,
    ) -> None:
        self.beyond: bool = beyond
        self._open = connect or partial(trio.open_unix_socket, path)
        self._limit = limit
        self.clock: Callable[[], float] = clock
        self._random = random or Random()
        self._outgoing: Outgoing | None = None
        self._engine_away = False
        self._keeps_nothing = False
        """Whether the engine is away or overloaded: the relay refuses messages with history."""
        self._wants: dict[str, None] = {}
        self._unwritten: dict[str | None, None] = {}
        """Topics of messages that the relay has perhaps not received; None stands for all topics."""
        self._refused: set[str] = set()
        """Topics of which the last message was refused, and whose hole has been queued."""
        self._asked: dict[int, Signal] = {}
        self._given_up: dict[int, list[str]] = {}
        """The keys of requests for leases whose answer came too late, or not yet: nobody knows that they are held."""
        self._ids = count()
        self._sender = b""
        """The name of this node, as its messages have it."""

    async def run(
        self, node: str, told: Told, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Keep a stream to the relay until cancelled."""
        check_trio()
        self._sender = node.encode()
        pause, before = FIRST_PAUSE, False

        def greeted(*, reached: bool) -> None:
            nonlocal pause, before
            if before or self._wants:  # messages of a topic can have passed before anybody knew that it is wanted
                told.gap(None)
            if not before:
                task_status.started()
            pause, before = FIRST_PAUSE, True
            if reached:
                told.reach(True)

        while True:
            await self._connect(node, told, greeted)
            told.reach(False)
            await trio.sleep(pause * self._random.uniform(0.5, 1.0))
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _connect(self, node: str, told: Told, greeted: Callable[..., object]) -> None:
        """Open a stream and use it until it ends."""
        try:
            stream = await self._open()
        except OSError as error:
            logger.warning("the relay cannot be reached: %s", error, kind="relay")
            return
        if isinstance(stream, trio.SocketStream):
            keep_from_children(stream.socket)  # or the relay would take a worker that has died for connected
        try:
            async with stream:
                await self._converse(stream, node, told, greeted)
            logger.warning("the relay has ended its stream", kind="relay")
        except* (trio.BrokenResourceError, trio.ClosedResourceError, MalformedFrame) as group:
            logger.warning("the stream to the relay is lost: %s", group.exceptions[0], kind="relay")

    async def _converse(self, stream: trio.abc.Stream, node: str, told: Told, greeted: Callable[..., object]) -> None:
        """Write and read until the stream ends."""
        turn = WriteTurn()
        outgoing = Outgoing(self._limit, turn=turn)
        wants, lost = self._wants.copy(), self._unwritten.copy()
        for named in topic_frames(WANT, wants):
            outgoing.force(named)
        outgoing.force(json_frame(HELLO, {"node": node, "lost": list(lost), "format": FORMAT}))

        def take(read: RelayFrame) -> None:
            if read.kind == HELLO:
                self._outgoing = outgoing
                self._engine_away = self._keeps_nothing = bool(read.flag)
                self._catch_up(wants, lost)
                greeted(reached=not read.flag)
            else:
                self._take(read, told)

        try:
            with turn.of_trio():
                async with ProtectedNursery() as nursery:
                    nursery.start_soon(outgoing.write, stream, self._all_written)
                    await read_frames(stream, take)
                    nursery.cancel()
        finally:
            self._outgoing = None
            self._given_up.clear()
            for asked in self._asked.values():
                asked.fire(None)

    def _catch_up(self, wants: Collection[str], lost: Collection[str | None]) -> None:
        """Tell the relay about all that has changed since the greeting was written."""
        self.want([topic for topic in self._wants if topic not in wants])
        self.unwant([topic for topic in wants if topic not in self._wants])
        self._put(json_frame(LOST, [topic for topic in self._unwritten if topic not in lost]))

    def _take(self, read: RelayFrame, told: Told) -> None:
        """Act on a frame of the relay."""
        if read.kind == MESSAGE:
            told.message(read.topic, read.payload, read.sender.decode(), position_of(read))
        elif read.kind == WANTED:
            told.wanted(read.topic, position_of(read))
        elif read.kind == GAP:
            told.gap(read.topic if read.flag else None)
        elif read.kind == REACH:
            before, self._engine_away = self._engine_away, bool(read.flag & FLAG)
            self._keeps_nothing = bool(read.flag)
            if before != self._engine_away:
                told.reach(not self._engine_away)
        elif read.kind == ANSWER:
            answer = read.json()
            asked = self._asked.get(answer["id"])
            if asked is not None:
                asked.fire((answer["result"],))
            elif granted := granted_of(self._given_up.pop(answer["id"], []), answer["result"]):
                self._put(json_frame(ASK, {"id": next(self._ids), "method": "release", "arguments": [granted]}))
        else:
            raise MalformedFrame(f"a frame of kind {read.kind}, which a relay does not send")

    # Topics

    def publish(self, topic: str, payload: bytes, *, keep: History | None = None) -> bool:
        """Queue a message; False where there is no room, and while the relay cannot be reached.

        It also refuses a message with history while an engine of the relay cannot be reached or does not keep up.
        """
        outgoing = self._outgoing
        self._note_unwritten(topic)
        if outgoing is None:
            return False
        fits = len(payload) + len(topic) <= LONGEST // 2 and not (self._keeps_nothing and keep is not None)
        if fits and outgoing.put(publish_frame(topic, payload, keep, self._sender)):
            self._refused.discard(topic)
            return True
        if topic not in self._refused:
            self._refused.add(topic)
            outgoing.force(json_frame(LOST, [topic]))
        return False

    def _note_unwritten(self, topic: str) -> None:
        if len(self._unwritten) < MOST_HOLES:
            self._unwritten[topic] = None
        else:
            self._unwritten = {None: None}

    def _all_written(self) -> None:
        if self._outgoing is not None:  # before the greeting is answered publications are refused
            self._unwritten.clear()
            self._refused.clear()

    def want(self, topics: Collection[str]) -> None:
        """Ask for the messages of topics."""
        self._wants.update(dict.fromkeys(topics))
        self._put(*topic_frames(WANT, topics))

    def unwant(self, topics: Collection[str]) -> None:
        """Stop asking for the messages of topics."""
        for topic in topics:
            self._wants.pop(topic, None)
        self._put(*topic_frames(UNWANT, topics))

    def _put(self, *frames: bytes) -> None:
        """Queue frames of interest, also beyond the limit: they are small, and a lost one would never be noticed."""
        if self._outgoing is not None:
            for one in frames:
                self._outgoing.force(one)

    # History and leases

    async def _ask(self, method: str, *arguments: object) -> Any:
        """Ask the relay; return a tuple with the result, or None if it cannot be reached in time."""
        await trio.lowlevel.checkpoint()
        if self._outgoing is None:
            return None
        number, answer = next(self._ids), None
        asked = self._asked[number] = Signal()
        try:
            self._outgoing.force(json_frame(ASK, {"id": number, "method": method, "arguments": arguments}))
            answer = await asked.wait(PATIENCE)
            return answer
        finally:
            del self._asked[number]
            if method == "acquire" and answer is None and len(self._given_up) < MOST_GIVEN_UP:
                self._given_up[number] = list(cast("Sequence[str]", arguments[0]))

    async def sent(self) -> None:
        """Wait until the relay, and its engine if it has one, has all messages that were queued."""
        await self._ask("sent")

    async def since(self, topic: str, position: Position, limit: int) -> list[Kept] | None:
        """Return all messages kept after a position, or None."""
        answer = await self._ask("since", topic, position, limit)
        return None if answer is None else kept_from(answer[0])

    async def newest(self, topic: str) -> Position | None:
        """Return the position of the newest kept message, or None."""
        answer = await self._ask("newest", topic)
        return None if answer is None or answer[0] is None else Position(*answer[0])

    async def kept(self, topic: str) -> tuple[Position, list[Kept]] | None:
        """Return the position of the newest kept message and all kept messages, or None."""
        answer = await self._ask("kept", topic)
        if answer is None or answer[0] is None:
            return None
        newest, kept = answer[0]
        return Position(*newest), kept_from(kept) or []

    async def acquire(self, keys: Sequence[str], seconds: float) -> list[Lease | str]:
        """Acquire keys that no other node holds."""
        until = self.clock() + seconds - MARGIN
        answer = await self._ask("acquire", list(keys), seconds)
        if answer is None:
            return [""] * len(keys)
        return [
            got if isinstance(got, str) else Lease(key, got, until) for key, got in zip(keys, answer[0], strict=True)
        ]

    async def renew(self, leases: Sequence[Lease], seconds: float) -> list[Lease | None]:
        """Renew leases."""
        until = self.clock() + seconds - MARGIN
        answer = await self._ask("renew", [[lease.key, lease.token] for lease in leases], seconds)
        held = [False] * len(leases) if answer is None else answer[0]
        return [lease._replace(until=until) if still else None for lease, still in zip(leases, held, strict=True)]

    async def release(self, leases: Sequence[Lease]) -> None:
        """Give leases back."""
        await self._ask("release", [[lease.key, lease.token] for lease in leases])
