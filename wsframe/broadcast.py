"""Sending one message to many clients: encoded once, one immutable object shared by all."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, NamedTuple

from wsframe.client import Client, Octets, octets_of
from wsframe.protocol.frames import BINARY, TEXT, data_frame, data_frames

if TYPE_CHECKING:
    from typing import Any

    AnyClient = Client[Any]
else:
    AnyClient = Client

__all__ = ["Broadcast", "broadcast_binary", "broadcast_text"]


class Broadcast(NamedTuple):
    """How many clients a broadcast was queued for, and for how many it was not.

    Not queued is what a client is told that is closing, or whose outbox is full.
    """

    queued: int
    dropped: int


def broadcast_text(
    clients: Iterable[AnyClient],
    message: str | Octets,
    *,
    frame_size: int | None = None,
    exclude: AnyClient | Collection[AnyClient] = (),
) -> Broadcast:
    """Queue a text message for every client of a list; never waits for any of them.

    Args:
        clients: Of any resources. One that is listed twice gets it twice.
        message: Text, or its UTF-8 octets, which are not checked.
        frame_size: Splits the message into frames of at most so many octets.
        exclude: A client, or a collection of clients, to leave out.

    Raises:
        TypeError: For a message of another type.
        ValueError: For a lone surrogate, or a frame size below 1.
        RuntimeError: From another thread.

    Source: clws ``write-to-clients-text``.
    """
    payload = message.encode() if isinstance(message, str) else octets_of(message, "text: str or UTF-8 octets")
    return broadcast(clients, TEXT, payload, frame_size, exclude)


def broadcast_binary(
    clients: Iterable[AnyClient],
    message: Octets,
    *,
    frame_size: int | None = None,
    exclude: AnyClient | Collection[AnyClient] = (),
) -> Broadcast:
    """Queue a binary message for every client of a list; never waits for any of them.

    Arguments, errors and result are those of :func:`broadcast_text`.
    Source: clws ``write-to-clients-binary``.
    """
    payload = octets_of(message, "binary: bytes, bytearray or memoryview")
    return broadcast(clients, BINARY, payload, frame_size, exclude)


def broadcast(
    clients: Iterable[AnyClient],
    opcode: int,
    payload: bytes,
    frame_size: int | None,
    exclude: AnyClient | Collection[AnyClient],
) -> Broadcast:
    if exclude:
        left_out = {exclude} if isinstance(exclude, Client) else set(exclude)
        clients = [client for client in clients if client not in left_out]
    queued = dropped = 0
    if frame_size is None:
        frame = data_frame(opcode, payload)
        for client in clients:
            if client._outbox.put(frame):
                queued += 1
            else:
                dropped += 1
    else:
        frames = data_frames(opcode, payload, frame_size)
        for client in clients:
            if client._outbox.put_run(frames):
                queued += 1
            else:
                dropped += 1
    return Broadcast(queued, dropped)
