"""The messages between a worker and its relay, as bytes.

A frame is a header, a topic, a sender and a payload. Messages, of which there are many, carry their
topic and payload as they are; requests and their answers, of which there are few, carry JSON.
A worker writes a message that is not kept in the very bytes in which the relay passes it on.
A greeting names the format of all frames: after an upgrade a relay and a worker can be of different versions.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Collection, Iterator
from itertools import islice
from struct import Struct
from typing import Any, NamedTuple

from wsframe.backplane.interface import History, Kept, Position
from wsframe.backplane.queue import Message, Reach, Report, Run, Wanted

__all__ = [
    "ANSWER",
    "ASK",
    "CROWDED",
    "FLAG",
    "FORMAT",
    "GAP",
    "HELLO",
    "LONGEST",
    "LOST",
    "MESSAGE",
    "PUBLISH",
    "REACH",
    "UNWANT",
    "WANT",
    "WANTED",
    "FrameReader",
    "MalformedFrame",
    "RelayFrame",
    "RunReader",
    "frame",
    "history_of",
    "json_frame",
    "kept_from",
    "kept_to",
    "position_of",
    "publish_frame",
    "report_frame",
    "topic_frames",
]  # fmt: skip

HEADER = Struct("<IBBHHQQ")
"""Length of the rest, kind, flags, bytes of the topic, bytes of the sender, epoch, offset."""
LENGTH = Struct("<I")
REST = LENGTH.size
"""The place in a frame from which its length counts."""
HISTORY = Struct("<Qdd")
LONGEST = 64 << 20
"""Bytes of the longest frame: nothing longer is sent, and a peer that sends it is broken."""

TOPICS_AT_ONCE = 10_000
"""Topics that one frame names: at most 15 MiB of JSON."""

FORMAT = 3
"""The version of these frames: increase it with each change. Greetings stay as they are."""
HELLO, WANT, UNWANT, PUBLISH, ASK, MESSAGE, WANTED, GAP, ANSWER, LOST, REACH = range(1, 12)
FLAG = 1
"""PUBLISH: to be kept, as all of this kind are. MESSAGE, WANTED: with a position. GAP: of one topic. REACH, HELLO
of a relay: the engine is away."""
CROWDED = 2
"""REACH: the engine takes messages more slowly than they come."""


class MalformedFrame(Exception):
    """The other end of a stream sent bytes that are not a frame; the stream cannot be used any more."""


class RelayFrame(NamedTuple):
    """A frame as it was read."""

    kind: int
    flag: int
    topic: str
    sender: bytes
    epoch: int
    offset: int
    payload: bytes

    def json(self) -> Any:
        """Return the payload as an object."""
        try:
            return json.loads(self.payload)
        except ValueError as error:
            raise MalformedFrame(f"frame of kind {self.kind} without JSON") from error


class FrameReader:
    """Splits a stream of bytes into frames."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[RelayFrame]:
        """Return the frames that are whole now.

        Raises:
            MalformedFrame: For bytes that are not a frame.
        """
        data, at, frames = self._rest + data, 0, []
        while end := end_of(data, at):
            frames.append(frame_of(data, at, end))
            at = end
        self._rest = data[at:]
        return frames


class RunReader:
    """Splits the bytes of a worker into frames, and leaves messages that go the same way in one piece.

    A message costs one comparison where its header and its names are those of the one before.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._beginning: bytes | None = None
        """The header, but for the length, and the names of the last message."""
        self._topic = ""
        self._sender = b""

    def feed(self, data: bytes) -> list[RelayFrame | Run]:
        """Return the frames and runs that are whole now.

        Raises:
            MalformedFrame: For bytes that are not a frame.
        """
        read: list[RelayFrame | Run] = []
        data, at = self._rest + data, 0
        while True:
            if self._beginning is not None:
                end = end_of_run(data, at, self._beginning)
                if end != at:
                    read.append(Run(self._topic, self._sender, data[at:end]))
                    at = end
            if not (end := end_of(data, at)):
                break
            first = frame_of(data, at, end)
            if first.kind == MESSAGE and not first.flag:  # the next look finds it as a run
                self._beginning = data[at + REST : end - len(first.payload)]
                self._topic, self._sender = first.topic, first.sender
            else:
                read.append(first)
                at = end
        self._rest = data[at:]
        return read


def end_of(data: bytes, at: int) -> int:
    """Return the end of the frame that begins at a place, or 0 if it is not whole.

    Raises:
        MalformedFrame: For a length that no frame can have.
    """
    if len(data) - at < REST:
        return 0
    end: int = at + REST + LENGTH.unpack_from(data, at)[0]
    if end - at > LONGEST or end - at < HEADER.size:
        raise MalformedFrame(f"a frame of {end - at} bytes")
    return end if end <= len(data) else 0


def end_of_run(data: bytes, end: int, beginning: bytes) -> int:
    """Return the end of the last whole frame that has this beginning, of those that follow one another from here on."""
    shortest, size, length_of = len(beginning), len(data), LENGTH.unpack_from
    while data.startswith(beginning, end + REST):  # false where too few bytes are left
        length = length_of(data, end)[0]
        if not shortest <= length <= size - end - REST or length > LONGEST - REST:
            break
        end += REST + length
    return end


def frame_of(data: bytes, at: int, end: int) -> RelayFrame:
    """Return the frame in these bytes.

    Raises:
        MalformedFrame: For bytes that are not a frame.
    """
    _, kind, flag, topic, sender, epoch, offset = HEADER.unpack_from(data, at)
    a = at + HEADER.size
    b = a + topic
    c = b + sender
    if c > end:
        raise MalformedFrame("a frame that is shorter than its topic and sender")
    try:
        return RelayFrame(kind, flag, data[a:b].decode(), data[b:c], epoch, offset, data[c:end])
    except UnicodeDecodeError as error:
        raise MalformedFrame("a topic that is not UTF-8") from error


def frame(
    kind: int, payload: bytes = b"", *, topic: str = "", sender: bytes = b"", flag: int = 0, at: Position | None = None
) -> bytes:
    """Make a frame."""
    epoch, offset = at or (0, 0)
    name = topic.encode()
    length = HEADER.size - 4 + len(name) + len(sender) + len(payload)
    return HEADER.pack(length, kind, flag, len(name), len(sender), epoch, offset) + name + sender + payload


def json_frame(kind: int, value: object) -> bytes:
    """Make a frame that carries an object as JSON."""
    return frame(kind, json.dumps(value, separators=(",", ":")).encode())


def topic_frames(kind: int, topics: Collection[str]) -> Iterator[bytes]:
    """Make the frames that name topics; a single one could be too long for a stream."""
    rest = iter(topics)
    while some := list(islice(rest, TOPICS_AT_ONCE)):
        yield json_frame(kind, some)


def publish_frame(topic: str, payload: bytes, keep: History | None, sender: bytes) -> bytes:
    """Make the frame that publishes a message; if the message is not kept, its receivers read the same bytes."""
    if keep is None:
        return frame(MESSAGE, payload, topic=topic, sender=sender)
    bounds = HISTORY.pack(keep.messages, keep.seconds, keep.bytes)
    return frame(PUBLISH, payload, topic=topic, sender=bounds, flag=FLAG)


def history_of(published: RelayFrame) -> History:
    """Return how much of a published message's topic is kept."""
    if len(published.sender) != HISTORY.size:
        raise MalformedFrame("a published message without the bounds of its history")
    messages, seconds, size = HISTORY.unpack(published.sender)
    try:
        return History(messages=messages, seconds=seconds, bytes=int(size))
    except (ValueError, OverflowError) as error:
        raise MalformedFrame("a published message with the bounds of its history at 0") from error


def position_of(read: RelayFrame) -> Position | None:
    """Return the position that a frame carries."""
    return Position(read.epoch, read.offset) if read.flag else None


def report_frame(report: Report) -> bytes:
    """Return the frame of a report, or the frames of a run; the frame of a message is made once."""
    if type(report) is Run:  # most are
        return report.frames
    if isinstance(report, Message):
        if not report.encoded:
            report.encoded = frame(
                MESSAGE, report.payload, topic=report.topic, sender=report.sender.encode(),
                flag=report.position is not None, at=report.position,
            )  # fmt: skip
        return report.encoded
    if isinstance(report, Wanted):
        return frame(WANTED, topic=report.topic, flag=report.position is not None, at=report.position)
    if isinstance(report, Reach):
        return frame(REACH, flag=FLAG * (not report.up) | CROWDED * report.crowded)
    return frame(GAP, topic=report.topic or "", flag=report.topic is not None)


def kept_to(kept: list[Kept] | None) -> object:
    """Return kept messages as JSON can hold them."""
    return kept if kept is None else [[one.offset, one.sender, b64encode(one.payload).decode()] for one in kept]


def kept_from(value: Any) -> list[Kept] | None:
    """Return the kept messages that JSON held."""
    return value if value is None else [Kept(offset, sender, b64decode(payload)) for offset, sender, payload in value]
