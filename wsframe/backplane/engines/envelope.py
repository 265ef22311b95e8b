"""The messages between nodes on an engine, as bytes.

An engine knows channels and bytes. A head of text says the version, the kind, and for a kept message
its position, which the engine's own script writes. The body names the node and numbers its messages
of the topic, those included that were lost on the way: a receiver sees each hole in the numbers,
whichever client library or server caused it. A node that publishes for others, as a relay does for the workers
of its machine, names the sender beside itself.
"""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

from wsframe.backplane.interface import Position

__all__ = ["EVERY_TOPIC", "KEPT", "MARK", "PLAIN", "Envelope", "body", "body_of", "unwrap"]

VERSION = "1"
PLAIN, KEPT, MARK = VERSION + "n", VERSION + "k", VERSION + "m"
"""The heads of a message, of a message with a position, and of a number without a message."""
EVERY_TOPIC = "wsframe: every topic"
"""All nodes receive the messages of this topic, which programs cannot name: a mark on it stands for all topics."""
HEX = 16
BODY = Struct("<QH")
BESIDE = "\0"
"""Between the names of a node and of another sender; neither has it."""


class Envelope(NamedTuple):
    """A message of a node, or the number of its last one, if that may not have arrived."""

    mark: bool
    position: Position | None
    number: int
    node: str
    """The node that numbers."""
    sender: str
    payload: bytes


def body(number: int, node: str, payload: bytes, sender: str = "") -> bytes:
    """Make the part of an envelope that a node writes; it is the sender, unless another one is named."""
    name = (node if sender in ("", node) else f"{node}{BESIDE}{sender}").encode()
    return BODY.pack(number, len(name)) + name + payload


def body_of(data: bytes) -> tuple[int, str, bytes]:
    """Return the number, the sender and the payload of a body.

    Raises:
        ValueError: For bytes that are not a body.
    """
    number, _, sender, payload = parts_of(data)
    return number, sender, payload


def parts_of(data: bytes) -> tuple[int, str, str, bytes]:
    """Return the number, the node, the sender and the payload of a body.

    Raises:
        ValueError: For bytes that are not a body.
    """
    if len(data) < BODY.size:
        raise ValueError("it is cut off")
    number, length = BODY.unpack_from(data)
    start = BODY.size + length
    if len(data) < start:
        raise ValueError("it is cut off")
    node, _, sender = data[BODY.size : start].decode().partition(BESIDE)
    return number, node, sender or node, data[start:]


def unwrap(data: bytes) -> Envelope:
    """Unwrap a message of another node.

    Raises:
        ValueError: If this version of wsframe cannot read it.
    """
    head, position = data[:2], None
    if head == PLAIN.encode() or head == MARK.encode():
        rest = data[2:]
    elif head == KEPT.encode():
        position = Position(int(data[2 : 2 + HEX], 16), int(data[2 + HEX : 2 + 2 * HEX], 16))
        rest = data[2 + 2 * HEX :]
    else:
        raise ValueError(f"its head is {head!r}, which this version does not know")
    return Envelope(head == MARK.encode(), position, *parts_of(rest))
