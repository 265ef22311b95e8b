"""One connected peer, as the hooks see it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from secrets import token_hex
from typing import TYPE_CHECKING, Generic, TypeVar, TypeVarTuple, final

import trio

from wsframe.connection.client_statistics import ClientStatistics, statistics_of
from wsframe.connection.interfaces import ClientLink
from wsframe.connection.outbox import put_frame
from wsframe.doorbell import Signal, check_thread
from wsframe.exceptions import BinaryRefused
from wsframe.http.request import peer_name
from wsframe.log import quoted
from wsframe.protocol.close import State, check_close_code, check_reason
from wsframe.protocol.frames import BINARY, PING, TEXT, check_frame_size, control_frame, data_frame, message_frames
from wsframe.protocol.payload import BINARY_TYPES, MESSAGE_TYPES, PING_TYPES, TEXT_TYPES, BytesLike, bytes_of, encode

if TYPE_CHECKING:
    from contextvars import Context
    from typing import Any

    from typing_extensions import TypeVar as DefaultTypeVar

    from wsframe.connection.outbox import Outbox
    from wsframe.http.request import Request
    from wsframe.protocol.encoder import Encoder
    from wsframe.protocol.events import Ended
    from wsframe.resources.client_tasks import ClientTasks
    from wsframe.resources.resource import Resource as Resource

    # The one Any in a public signature: a plain ``Client`` has untyped ``data``.
    DataT = DefaultTypeVar("DataT", default=Any)
else:
    DataT = TypeVar("DataT")

__all__ = ["Client"]

ArgsT = TypeVarTuple("ArgsT")


@final
class Client(Generic[DataT]):
    """One connected peer; made by wsframe, handed to the hooks.

    Sending never blocks and never fails because of the peer: a message is queued, and
    the return value says whether it was. Every method that is not a coroutine is for trio's
    own thread; from another thread use :meth:`Resource.post_from_thread`.
    """

    __slots__ = (
        "__weakref__", "_context", "_encoder",
        "_ended", "_id", "_link", "_outbox", "_rejected", "_request", "_resource", "_subprotocol", "_tasks",
        "data",
    )  # fmt: skip

    data: DataT
    """Free for the user; starts as ``Accept(data=...)`` said, else None."""

    def __init__(
        self,
        link: ClientLink,
        outbox: Outbox,
        request: Request,
        resource: Resource[DataT],
        subprotocol: str | None,
        data: DataT,
        encoder: Encoder | None = None,
    ) -> None:
        self._link = link
        self._outbox = outbox
        self._encoder = encoder
        """None for plain frames, as nearly every client has."""
        self._id: str | None = None
        self._tasks: ClientTasks | None = None
        self._context: Context | None = None
        """Of its hooks, once one has set a ContextVar."""
        self._ended: Ended | None = None
        self._request = request
        self._resource = resource
        self._subprotocol = subprotocol
        self._rejected = False
        self.data = data

    def __repr__(self) -> str:
        return f"<Client {peer_name(self.host, self.port)} {quoted(self.path)} {self.state.value}>"

    @property
    def id(self) -> str:
        """32 hexadecimal digits that no other client has; unguessable."""
        if self._id is None:
            self._id = token_hex(16)
        return self._id

    @property
    def request(self) -> Request:
        """The request that opened the connection."""
        return self._request

    @property
    def resource(self) -> Resource[DataT]:
        """The resource whose hooks serve this client."""
        return self._resource

    @property
    def subprotocol(self) -> str | None:
        """The subprotocol agreed on; None without one."""
        return self._subprotocol

    @property
    def rejected(self) -> bool:
        """Whether it was refused by :meth:`reject`, or closed because a hook failed."""
        return self._rejected

    @property
    def close_code(self) -> int | None:
        """The close code once the connection has ended; None before: the peer's, 1005 if its close
        frame had none, ours after a violation, 1006 if there was no close frame at all."""
        return None if self._ended is None else self._ended.code

    @property
    def close_reason(self) -> str:
        """The reason that came with the close code, or the cause of an end without a close frame."""
        return "" if self._ended is None else self._ended.reason

    @property
    def closed_cleanly(self) -> bool:
        """Whether the peer sent a close frame."""
        return self._ended is not None and self._ended.clean

    @property
    def path(self) -> str:
        """The path of the request."""
        return self.request.path

    @property
    def host(self) -> str:
        """The peer's IP address, as :attr:`Request.host` has it; ``""`` on a unix socket."""
        return self.request.host

    @property
    def port(self) -> int:
        """The peer's port; 0 on a unix socket, or if a proxy names the address alone."""
        return self.request.port

    @property
    def version(self) -> int:
        """The version of the WebSocket protocol: 13, or one of the old ones that ``versions=`` lets in."""
        return self.request.version or 0

    @property
    def extensions(self) -> tuple[str, ...]:
        """The extensions agreed on, with their parameters, as the 101 named them."""
        return () if self._encoder is None else self._encoder.extensions

    @property
    def state(self) -> State:
        """OPEN; CLOSING once a close frame of ours is queued; CLOSED when both have closed, as in ``disconnected``."""
        return self._link.state

    @property
    def latency(self) -> float | None:
        """Seconds from the newest ping, of the keepalive or :meth:`measure_latency`, to its pong; None before."""
        return self._link.connection.deadlines.latency

    def send_text(
        self,
        message: str | BytesLike,
        *,
        frame_size: int | None = None,
        key: Hashable | None = None,
        compress: bool | None = None,
    ) -> bool:
        """Queue a text message; return whether it was queued.

        Args:
            message: Text, or its UTF-8 bytes, which are not checked.
            frame_size: Splits the message into frames of at most that many bytes.
            key: Replaces the message of the same key that still waits, if there is one: a
                slow client then gets the newest price, not a backlog of old ones. The cost
                does not depend on the number that wait. An exception in the key's
                ``__hash__`` or ``__eq__`` is raised here, and nothing is queued.
            compress: Whether to compress, if compression was agreed on; None leaves it to the
                threshold of :class:`Deflate`. Do not compress a secret together with text
                that a stranger chose: the length gives the secret away (CRIME).

        Raises:
            TypeError: For a message of another type.
            ValueError: For a lone surrogate, a frame size below 1, or a frame size with a key.
            RuntimeError: From another thread, where it shows: with the first message of a turn.
        """
        payload = encode(message) if isinstance(message, str) else bytes_of(message, TEXT_TYPES)
        if self._encoder is None and frame_size is None and key is None:
            return put_frame(self._outbox, data_frame(TEXT, payload))
        return self._send(TEXT, payload, frame_size, key, compress)

    def send_binary(
        self,
        message: BytesLike,
        *,
        frame_size: int | None = None,
        key: Hashable | None = None,
        compress: bool | None = None,
    ) -> bool:
        """Queue a binary message; return whether it was queued.

        The options are those of :meth:`send_text`.

        Raises:
            TypeError: For anything but bytes, bytearray or memoryview.
            ValueError: For a frame size below 1, or a frame size with a key.
            RuntimeError: From another thread, where it shows: with the first message of a turn.
            BinaryRefused: To a client of version 0, which has text only.
        """
        payload = message if type(message) is bytes else bytes_of(message, BINARY_TYPES)
        if self._encoder is None and frame_size is None and key is None:
            return put_frame(self._outbox, data_frame(BINARY, payload))
        return self._send(BINARY, payload, frame_size, key, compress)

    def _send(
        self, opcode: int, payload: bytes, frame_size: int | None, key: Hashable | None, compress: bool | None
    ) -> bool:
        """Send with compression, a key, several frames or in an old version."""
        encoder = self._encoder
        if opcode == BINARY and encoder is not None and encoder.text_only:
            raise BinaryRefused(f"{self!r} speaks version 0, which has no binary messages")
        if key is not None and frame_size is not None:
            raise ValueError("a message with a key is one frame: leave frame_size out")
        if self._outbox.shut:
            return False
        if frame_size is not None:
            check_frame_size(frame_size)  # a message that is compressed must be sent: the next refers to it
        if encoder is None:
            frames = message_frames(opcode, payload, frame_size)
        else:
            frames = encoder.frames(opcode, payload, frame_size, compress, replaceable=key is not None)
        return self._outbox.put_run(frames) if key is None else self._outbox.put_latest(key, frames[0])

    def send(self, message: str | BytesLike) -> bool:
        """Queue a text message for a str, a binary one for bytes; return whether it was queued.

        It raises as :meth:`send_text` and :meth:`send_binary` do.
        """
        if isinstance(message, str):
            return self.send_text(message)
        return self.send_binary(bytes_of(message, MESSAGE_TYPES))

    def send_json(
        self, message: object, *, frame_size: int | None = None, key: Hashable | None = None,
        compress: bool | None = None,
    ) -> bool:  # fmt: skip
        """Encode a message as JSON and queue it as text; return whether it was queued.

        The resource encodes it (:meth:`Resource.encode_json`): a :class:`JSONResource` with msgspec,
        others with the standard library. The options are those of :meth:`send_text`.

        Raises:
            TypeError: For an object that has no place in JSON.
            ValueError: For a number or text that has none, such as NaN or a lone surrogate.
        """
        payload = self._resource.encode_json(message)
        return self.send_text(payload, frame_size=frame_size, key=key, compress=compress)

    def ping(self, payload: bytes = b"") -> bool:
        """Send a ping before queued messages; its pong reaches ``received_pong``.

        False if it was not queued: the connection has ended, or 16 pings already wait to be sent.

        Raises:
            TypeError: For a payload of another type.
            ValueError: For a payload over 125 bytes (RFC 6455 section 5.5).
        """
        return self._outbox.put_ping(control_frame(PING, bytes_of(payload, PING_TYPES)))

    def close(self, code: int = 1000, reason: str = "") -> bool:
        """Send a close frame after all queued messages; return whether it was the first.

        Messages that are already received still reach the hooks, later ones do not. The
        reason is cut at 123 bytes on a character boundary.

        Raises:
            TypeError: For a code that is not an int, or a reason that is not a str.
            ValueError: For a code that must not be sent (RFC 6455 section 7.4).
            RuntimeError: From another thread.
        """
        check_thread()
        check_close_code(code)
        check_reason(reason)
        return self._link.close(code, reason)

    def reject(self, code: int = 1008, reason: str = "") -> bool:
        """Refuse the client: drop its queued messages in both directions, then :meth:`close` it.

        Meant for ``client_connected``. It raises as :meth:`close` does.
        """
        check_thread()
        check_close_code(code)
        check_reason(reason)
        self._rejected = True
        self._outbox.drop_unsent()
        return self._link.close(code, reason, mute=True)

    def _drop(self, code: int) -> None:
        """Close a client whose hook failed, and drop its messages that no hook has had."""
        self._rejected = True
        self._link.close(code, "internal error", mute=True)

    def _note_end(self, ended: Ended) -> None:
        """Note how the connection ends, and cancel the client's tasks; the link calls it."""
        self._ended = ended
        if self._resource.cancel_on_disconnect:
            self._link.inbox.muted = True
        if self._tasks is not None:
            self._tasks.cancel()

    def abort(self) -> bool:
        """Reset the connection now, without a close frame; drop messages queued either way. For trio's own thread."""
        check_thread()
        return self._link.abort("aborted", mute=True)

    def start_soon(self, fn: Callable[[*ArgsT], Awaitable[object]], *args: *ArgsT) -> bool:
        """Start a task that belongs to this client and ends with it; return whether it was started.

        It is cancelled as soon as the connection has ended, and ``disconnected`` is called
        when it is over, after the messages received whole. If it raises, ``hook_failed`` is
        called as for a hook, with the name ``"start_soon"``. False if
        the connection has ended, the resource is stopping, or the client has 256 tasks.

        Raises:
            RuntimeError: From another thread.
            TypeError: For anything but an async function, or one that does not take the arguments.
        """
        life = self.resource._listener
        return life is not None and life.start_for(self, fn, args)

    def move_to(self, target: Resource | str) -> bool:
        """Move the client to another resource of the same server; return whether it goes.

        Its tasks are cancelled, and when they are over the old side's ``disconnected`` is
        called, then the new side's ``client_connected``, then the new side gets the messages
        that the old side's hooks had not got to, in order. Until that ``disconnected``
        :attr:`resource` is the old one, in it and from then on the new one:
        ``client.resource is not self`` there means a move, not an end.

        Args:
            target: A resource, which starts if it does not run; or a path, quoted as in a URL, for the resource that a
                new client with this path would get. Neither the check of origins nor ``accept_client`` runs. Limits,
                timeouts except that of hooks, compression, overflow and subprotocol stay those of the resource that
                admitted the client, and so does :attr:`request`.

        False, with nothing changed, while the client is closing, moving, or has not had its
        ``client_connected`` called, and if the target is full, ending, failed, in another worker or not there.
        A line in the log says why a target was refused. To where it is already: True.

        Raises:
            TypeError: For a target that is neither a resource nor a path.
            RuntimeError: If the target is running in another server, or from another thread.
        """
        life = self.resource._listener
        return life is not None and life.move(self, target)

    async def drained(self) -> bool:
        """Wait while the kernel accepts no bytes for this client; return False if the client has gone.

        For tasks: in a hook it holds up all clients of the resource.
        """
        outbox = self._outbox
        outbox.flush()
        if not outbox.blocked:
            await trio.lowlevel.checkpoint()
            return self.state is not State.CLOSED
        if outbox.drained is None:
            outbox.drained = Signal()
        return bool(await outbox.drained.wait())

    async def closed(self) -> None:
        """Wait until the connection has ended; ``disconnected`` may run later. For tasks."""
        await self._link.leaving.gone().wait()

    async def measure_latency(self) -> float | None:
        """Ping the peer and return the seconds until its pong, from then on its :attr:`latency`. For tasks.

        None if the pong does not come within ``timeouts.ping_timeout``, or the ping was not queued.
        """
        signal = self._link.pings.send()
        if signal is None:
            return None
        deadlines = self._link.connection.deadlines
        elapsed = await signal.wait(deadlines.timeouts.ping_timeout)
        if not isinstance(elapsed, float):
            return None
        deadlines.latency = elapsed
        return elapsed

    def statistics(self) -> ClientStatistics:
        """Return a snapshot of the client's traffic."""
        return statistics_of(self._link)
