"""Sending one message to many clients: encoded once, one immutable object shared by all."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict

from wsframe.connection.outbox import put_frame
from wsframe.exceptions import BinaryRefused
from wsframe.protocol.encoder import Encoder
from wsframe.protocol.frames import BINARY, TEXT, Frame, message_frames
from wsframe.protocol.payload import BINARY_TYPES, TEXT_TYPES, BytesLike, bytes_of, encode
from wsframe.resources.client import Client

if TYPE_CHECKING:
    AnyClient = Client[Any]
else:
    AnyClient = Client

__all__ = ["Broadcast", "BroadcastOptions", "broadcast_binary", "broadcast_text"]


class Broadcast(NamedTuple):
    """How many clients a broadcast was queued for, and for how many it was not.

    A message is not queued for a client that is closing, or whose outbox is full.
    """

    queued: int
    dropped: int


class BroadcastOptions(TypedDict, total=False):
    """The options of a broadcast, which :func:`broadcast_text` describes."""

    frame_size: int | None
    exclude: AnyClient | Collection[AnyClient]
    key: Hashable | None
    compress: bool | None


def broadcast_text(
    clients: Iterable[AnyClient],
    message: str | BytesLike,
    *,
    frame_size: int | None = None,
    exclude: AnyClient | Collection[AnyClient] = (),
    key: Hashable | None = None,
    compress: bool | None = None,
) -> Broadcast:
    """Queue a text message for every client of a list; never waits for any of them.

    Args:
        clients: Clients of any resources. One that is listed twice gets the message twice.
        message: Text, or its UTF-8 bytes, which are not checked.
        frame_size: Splits the message into frames of at most that many bytes.
        exclude: A client, or a collection of clients, to leave out.
        key: Replaces the message of the same key where it still waits; see :meth:`Client.send_text`.
        compress: Whether to compress; None leaves it to each client's threshold.

    Raises:
        TypeError: For a message of another type, and for an object that is not a client, in ``clients`` or
            ``exclude``.
        ValueError: For a lone surrogate, a frame size below 1, or a frame size with a key.
        RuntimeError: From another thread, where it shows: with the first message of a turn.
    """
    check_several(clients)
    payload = encode(message) if isinstance(message, str) else bytes_of(message, TEXT_TYPES)
    return broadcast(without(clients, exclude), Encoding(TEXT, payload, frame_size, compress), key)


def broadcast_binary(
    clients: Iterable[AnyClient],
    message: BytesLike,
    *,
    frame_size: int | None = None,
    exclude: AnyClient | Collection[AnyClient] = (),
    key: Hashable | None = None,
    compress: bool | None = None,
) -> Broadcast:
    """Queue a binary message for every client of a list; never waits for any of them.

    Arguments, result and errors are those of :func:`broadcast_text`, with one error more.

    Raises:
        BinaryRefused: If one of them speaks version 0, which has text only; then no client gets the message.
    """
    check_several(clients)
    payload = bytes_of(message, BINARY_TYPES)
    listed = list(without(clients, exclude))
    for client in listed:
        encoder = encoder_of(client)
        if encoder is not None and encoder.text_only:
            raise BinaryRefused(f"{client!r} speaks version 0, which has no binary messages; nothing was sent to any")
    return broadcast(listed, Encoding(BINARY, payload, frame_size, compress), key)


def without(clients: Iterable[AnyClient], exclude: Any) -> Iterable[AnyClient]:
    if exclude == ():
        return clients
    if isinstance(exclude, Client):
        return [client for client in clients if client is not exclude]
    if isinstance(exclude, str) or not isinstance(exclude, Iterable):
        raise TypeError(f"exclude is a client, or a collection of clients, not {type(exclude).__name__}")
    left_out = set(exclude)
    for client in left_out:
        if not isinstance(client, Client):
            raise TypeError(f"exclude is a client, or a collection of clients, not of {type(client).__name__}")
    return [client for client in clients if client not in left_out]


def check_several(clients: object) -> None:
    """Raise TypeError for one client or a message in the place of a list of clients."""
    if isinstance(clients, Client):
        raise TypeError("a broadcast is to several clients: give [client], or call client.send_text")
    if isinstance(clients, str | bytes):
        raise TypeError(f"a broadcast takes clients first, then the message; got a {type(clients).__name__} first")


def encoder_of(client: AnyClient) -> Encoder | None:
    try:
        return client._encoder
    except AttributeError:
        raise no_client(client) from None


def no_client(thing: object) -> TypeError:
    """Make the error for an object that is not a client, in a list of clients."""
    kind = type(thing).__name__
    return TypeError(
        f"a broadcast is to clients, such as those of a resource, or the values of a dict: not to a {kind}"
    )


class Encoding:
    """The frames of one message: plain, and once for each kind of encoder there is among the clients."""

    def __init__(self, opcode: int, payload: bytes, frame_size: int | None, compress: bool | None) -> None:
        self._opcode = opcode
        self._payload = payload
        self.frame_size = frame_size
        self._compress = compress
        self._encoded: dict[Hashable, list[Frame]] = {}
        self.plain: list[Frame] = message_frames(opcode, payload, frame_size)

    def frames_for(self, encoder: Encoder) -> list[Frame]:
        """Return the frames for a client with an encoder."""
        group = encoder.group(self._payload, self._compress)
        if group is None:
            return self.plain
        frames = self._encoded.get(group)
        if frames is None:
            made = encoder.frames_for_all(self._opcode, self._payload, self.frame_size)
            frames = self._encoded[group] = self.plain if made is None else made
        return frames


def broadcast(clients: Iterable[AnyClient], encoding: Encoding, key: Hashable | None) -> Broadcast:
    queued = dropped = 0
    plain = encoding.plain
    frame = plain[0]
    if key is not None and encoding.frame_size is not None:
        raise ValueError("a message with a key is one frame: leave frame_size out")
    for client in clients:
        try:
            encoder = client._encoder
        except AttributeError:
            raise no_client(client) from None
        if encoder is None and len(plain) == 1 and key is None:
            done = put_frame(client._outbox, frame)
        else:
            frames = plain if encoder is None else encoding.frames_for(encoder)
            done = client._outbox.put_run(frames) if key is None else client._outbox.put_latest(key, frames[0])
        if done:
            queued += 1
        else:
            dropped += 1
    return Broadcast(queued, dropped)
