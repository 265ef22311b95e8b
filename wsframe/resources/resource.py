"""The class users subclass: one object that answers one path for all its clients.

These rules hold for every resource (each is a test):

* The hooks that receive a client never overlap, so a resource needs no locks. With
  ``ordering = "client"`` that holds within each client. :meth:`Resource.accept_client`
  runs in the new connection's own task and can overlap everything: it decides from the
  request and changes nothing.
* For each client: one ``client_connected``, its messages in the order sent, exactly one
  ``disconnected``, nothing after. Messages received whole are delivered however the
  peer ended; they are dropped only when we ended it (``reject``, ``abort``, overflow,
  a failed hook).
* A hook that raises, or takes longer than ``timeouts.hook``, costs its client the connection and others nothing.
* Sending never waits, so one slow client cannot hold up a hook.
* Hooks can await; in the meantime the resource's other clients wait, other resources do not,
  and the server still answers pings.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from contextlib import AbstractAsyncContextManager, nullcontext
from json import JSONEncoder
from typing import TYPE_CHECKING, ClassVar, Literal, TypeVar, Unpack

from wsframe.http.request import Request
from wsframe.http.responses import Reject
from wsframe.limits import INHERIT, Limits, Overflow, Timeouts
from wsframe.log import Log, log_for
from wsframe.protocol.deflate import Deflate
from wsframe.protocol.frames import BINARY, TEXT
from wsframe.protocol.payload import BytesLike
from wsframe.resources.accept import Accept
from wsframe.resources.broadcast import Broadcast, BroadcastOptions, broadcast_binary, broadcast_text
from wsframe.resources.check_attributes import OnHookFailed, Ordering, check_settings, error_code_of, warn_of_alike
from wsframe.resources.check_hooks import (
    check_hook,
    check_not_async,
    check_not_shadowed,
    check_running,
    warn_of_misspelt,
)
from wsframe.resources.client import Client
from wsframe.resources.clients import Clients
from wsframe.resources.handing_over import HandingOver
from wsframe.resources.hints import add_hint
from wsframe.resources.ownership import Ownership
from wsframe.resources.shared_broadcast import broadcast_everywhere
from wsframe.resources.topic_hooks import TopicHooks
from wsframe.workers.partitions import Scope

if TYPE_CHECKING:
    from wsframe.resources.client import DataT
    from wsframe.resources.server import Server
else:
    DataT = TypeVar("DataT")

__all__ = ["Ordering", "Resource"]

logger: Log = log_for(__name__)

HOOKS = (
    "accept_client", "client_connected", "received_text", "received_binary", "received_pong",
    "received_custom", "disconnected", "hook_failed", "missed", "resync", "snapshot", "joined", "left",
    "hand_over", "take_over",
)  # fmt: skip
FIXED = ("clients", "ownership", "server")
JSON = JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


class Resource(TopicHooks[DataT], HandingOver[DataT]):
    """One object that answers one path for all its clients. Subclass it and override hooks.

    It has no ``__init__``: yours need not call one, and a dataclass works too.
    The pairs: :meth:`client_connected` begins a client's time and :meth:`disconnected` ends it, once each;
    :meth:`post` queues a message for :meth:`received_custom`, while :meth:`call` runs a function in
    the same task and returns its result.
    ``Resource[User]`` types ``client.data``.
    """

    subprotocols: ClassVar[Collection[str]] = ()
    """The subprotocols supported here; the first of these that a client offers is agreed on."""
    max_clients: ClassVar[int | None] = None
    """Most clients of the object at a time; the server refuses more with 503. None: only the server's capacity
    counts."""
    limits: ClassVar[Limits] = Limits()
    """Limits of this resource's clients; fields left at INHERIT are the server's."""
    timeouts: ClassVar[Timeouts] = Timeouts()
    """Timeouts of this resource's clients; fields left at INHERIT are the server's."""
    deflate: ClassVar[Deflate | Literal[-1] | None] = INHERIT
    """Compression of this resource's messages; None turns it off, INHERIT takes the server's."""
    overflow: ClassVar[Overflow] = "disconnect"
    """The policy for a message that does not fit in a client's outbox."""
    ordering: ClassVar[Ordering] = "resource"
    """``"resource"``: one hook at a time. ``"client"``: one at a time for each client, those of
    different clients overlap wherever they await; ``accept_client``'s rule then holds for all."""
    on_hook_failed: ClassVar[OnHookFailed] = "drop_client"
    """The reaction of the default :meth:`hook_failed`, besides logging. ``"drop_client"`` closes the client.
    ``"drop_message"`` goes on with its next message, though not after a failed ``client_connected``,
    which the later hooks rely on."""
    error_close_code: ClassVar[int] = 1011
    """The close code for a client whose hook failed."""
    scope: ClassVar[Scope] = "one"
    """Where it lives if several workers serve: ``"one"`` in worker 0, with all others of this scope; ``"path"`` one
    object for each path, spread over the workers; ``"shared"`` an object in each worker, whose broadcasts reach the
    clients of all. One process has them all."""
    cancel_on_disconnect: ClassVar[bool] = False
    """Whether the end of a client's connection cancels the hook that runs for it, where it waits.
    Its messages that still wait are then dropped; ``disconnected`` is called as ever, and not
    cancelled. Danger: a peer that sends something and leaves is perhaps not heard."""

    _wsframe_hooks: ClassVar[tuple[str, ...]] = HOOKS
    """The names that are called."""

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        for name in HOOKS:
            check_hook(Resource, cls, name)
        for name in ("check_message", "encode_json", "client_state", "restore_client"):
            check_not_async(Resource, cls, name)
        check_running(Resource, cls, "running")
        check_not_shadowed(Resource, cls, FIXED)
        warn_of_misspelt(Resource, cls, cls._wsframe_hooks)
        check_settings(cls)
        warn_of_alike(cls)

    async def accept_client(self, request: Request) -> Accept | Reject | bool | None:
        """Decide whether a new client is let in, before the 101; None lets it in.

        It runs in the new connection's own task, under the handshake timeout, is cancelled when the
        peer goes in the meantime, and can overlap every other hook: decide from the request and do
        not change the resource. Rules that count clients belong in ``client_connected`` with
        ``client.reject``, or in ``max_clients``. Return or raise ``Reject`` to refuse. True lets in as
        None does, False refuses with 403; any other result and any other exception refuse with 500.
        Where a worker is restarted before it has decided, the object of the next worker is asked again.
        """
        return None

    def check_message(
        self, client: Client[DataT], kind: Literal["text", "binary"], frame_length: int, total_length: int
    ) -> int | tuple[int, str] | None:
        """Decide from a data frame's header whether to take it, before there is a payload to hold.

        Args:
            client: The sender.
            kind: The kind of message the frame belongs to.
            frame_length: Bytes of its payload, as sent: compressed, if that was agreed on.
            total_length: Bytes of its message up to and with this frame.

        Returns:
            None to take it; else the close code, or code and reason, to end the connection with.

        An override is called once for each frame within ``limits``; each message then costs about ten
        times as much to decode. It runs in the reactor, which serves no client in the meantime: it
        must not block or compute for long. It can overlap hooks: decide and change nothing. Messages
        sent before still reach the hooks. If it raises, or returns a code that cannot be sent, the
        client is closed with ``error_close_code``.
        """
        return None

    async def client_connected(self, client: Client[DataT]) -> None:
        """Greet a client: its first hook, to which :meth:`disconnected` is the last.

        Sending works; ``client.reject`` refuses the client, and so does ``raise Reject``.
        """

    async def received_text(self, client: Client[DataT], message: str) -> None:
        """Take a whole text message. The default closes 1003."""
        client.close(1003, "text is not supported here")

    async def received_binary(self, client: Client[DataT], message: bytes) -> None:
        """Take a whole binary message. The default closes 1003."""
        client.close(1003, "binary is not supported here")

    async def received_pong(self, client: Client[DataT], payload: bytes) -> None:
        """Take a pong that answers ``client.ping``, or no ping at all; not those of keepalive pings."""

    async def received_custom(self, message: object) -> None:
        """Take a message from :meth:`post`. The default logs an error, because nothing expected it."""
        name = type(self).__name__
        logger.error("%s has no received_custom for a %s", name, type(message).__name__, kind=name)

    async def disconnected(self, client: Client[DataT]) -> None:
        """Say goodbye to a client: its last hook, once for each :meth:`client_connected`.

        ``client.close_code``, ``close_reason`` and ``closed_cleanly`` say why. The client is
        no longer among :attr:`clients`. If it goes to another resource (:meth:`Client.move_to`),
        ``client.resource`` is that one, and sending to it works.
        """

    async def hook_failed(self, error: BaseException, *, hook: str, client: Client[DataT] | None) -> None:
        """Keep or close a client whose hook raised. The default logs and closes.

        Args:
            error: The exception; not an ``Exception`` if, say, an extension panicked, or the hook
                raised ``asyncio.CancelledError``.
            hook: The hook's name; ``"start_soon"`` for a task of the client.
            client: Its client; None for ``received_custom``.

        An override that does not close the client keeps it. If this raises too, the client
        is closed 1011. Where the choice is only whether the client stays, set
        :attr:`on_hook_failed` instead.
        """
        add_hint(error)
        name = type(self).__name__
        logger.error("%s of %s failed for %r", hook, name, client, exc_info=error, kind=(hook, name))
        if client is not None and (self.on_hook_failed == "drop_client" or hook == "client_connected"):
            client._drop(error_code_of(self))

    def running(self) -> AbstractAsyncContextManager[None]:
        """Return an async context manager around the resource's life: open a database here.

        Override it with ``@asynccontextmanager`` and one ``yield``. It is entered before the
        first client and left after the last ``disconnected``. The ``yield`` raises if a task of
        the resource has failed, so work that must always be done belongs in a ``finally``.
        A ``ContextVar`` set before the ``yield`` is seen by hooks and tasks; one set in a
        client's hook is seen by later hooks and tasks of this client, and not by those of others.
        Code that waits there is cancelled when a drain takes longer than ``timeouts.drain``: shield
        code that must finish.
        """
        return nullcontext()

    @property
    def clients(self) -> Clients[DataT]:
        """The connected clients, from just before ``client_connected`` to just before ``disconnected``.

        In order of arrival; empty while the resource is not being served.
        """
        return Clients({} if self._listener is None else self._listener.clients)

    @property
    def server(self) -> Server:
        """The server that serves this resource, one at a time; from before :meth:`running` is entered until it is left.

        Use it to find other resources, to look at statistics, or to close it.

        Raises:
            RuntimeError: While the resource is not being served.
        """
        return self._life().server

    @property
    def ownership(self) -> Ownership:
        """The right of this process to act for the resource: its token, how long it lasts, and whether it is lost.

        Raises:
            RuntimeError: While the resource is not being served.
        """
        return self._life().ownership

    def broadcast_text(self, message: str | BytesLike, **options: Unpack[BroadcastOptions]) -> Broadcast:
        """Queue a text message for all of :attr:`clients`; see :func:`wsframe.broadcast_text`.

        With scope ``"shared"`` it reaches the clients of all workers, and the result counts those of this one; a
        ``key`` is then a str or an int.
        """
        if (life := self._listener) is not None and life.topic:
            return broadcast_everywhere(life, TEXT, message, options)
        return broadcast_text(self.clients, message, **options)

    def broadcast_binary(self, message: BytesLike, **options: Unpack[BroadcastOptions]) -> Broadcast:
        """Queue a binary message for all of :attr:`clients`; see :meth:`broadcast_text`."""
        if (life := self._listener) is not None and life.topic:
            return broadcast_everywhere(life, BINARY, message, options)
        return broadcast_binary(self.clients, message, **options)

    def broadcast_json(
        self, message: object, *, clients: Iterable[Client[DataT]] | None = None, **options: Unpack[BroadcastOptions]
    ) -> Broadcast:
        """Encode a message with :meth:`encode_json`, once, and queue it as text.

        Args:
            message: Anything that :meth:`encode_json` encodes.
            clients: The clients it is for, also of other resources; None for all of :attr:`clients`.
            options: As for :func:`wsframe.broadcast_text`.

        Raises:
            TypeError: For an object that has no place in JSON.
            ValueError: For a number or text that has none, such as NaN or a lone surrogate.
        """
        if clients is None and (life := self._listener) is not None and life.topic:
            return broadcast_everywhere(life, TEXT, self.encode_json(message), options)
        return broadcast_text(self.clients if clients is None else clients, self.encode_json(message), **options)

    def encode_json(self, message: object) -> str | bytes:
        """Encode a message for :meth:`broadcast_json` and :meth:`Client.send_json`: compact, in one line.
        Override it to encode with another library; :class:`JSONResource` does so with msgspec.

        Raises:
            TypeError: For an object that has no place in JSON.
            ValueError: For a number that has none, such as NaN.
        """
        return JSON.encode(message)
