"""An open connection as plain values: taken out of one link, and put back into another one.

The other link can be in another process, which gets the socket by its descriptor: ``frozen_document`` makes JSON
values and bytes of a frozen connection. Messages, bytes and frames keep their order, and a frame that has begun to
leave goes on at its very byte. Times are kept as seconds since or until now, because clocks of two processes differ.

A connection can be frozen between two messages, while it is open. These stay behind:

* Running hooks. Freeze a client between two hooks of its resource, from the task that calls
  them, and then call :meth:`~wsframe.connection.leaving.Leaving.left`, which frees its place.
* The keys of frames that wait: a newer message of the same key does not replace them.
* Calls that wait for the client (``drained``, ``latency``): they end as if the connection had ended.

The context of our compressor needs no place: a new one refers to nothing that was sent before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from wsframe.connection.interfaces import Arrival
from wsframe.connection.outbox import Outbox
from wsframe.http.request import Request
from wsframe.net.transport import Transport
from wsframe.protocol.closing import Phase
from wsframe.protocol.decoder import Decoder
from wsframe.protocol.deflate import Deflater
from wsframe.protocol.events import PongReceived
from wsframe.protocol.fast_lane import weigh

if TYPE_CHECKING:
    from wsframe.connection.interfaces import HeldPlace, Host, LinkedClient
    from wsframe.connection.link import Link
    from wsframe.connection.reactor import Reactor
    from wsframe.limits import Limits, Overflow, Timeouts
    from wsframe.net.proxy_protocol import ProxyHeader
    from wsframe.net.sockets import Endpoint
    from wsframe.protocol.deadlines import DeadlineOffsets
    from wsframe.protocol.deflate import Deflate, Terms

__all__ = [
    "CannotFreeze",
    "FrozenConnection",
    "FrozenRequest",
    "Known",
    "freeze",
    "freeze_request",
    "let_go",
    "thaw",
    "thaw_request",
]


class CannotFreeze(Exception):
    """The connection cannot be frozen now, or not at all; it goes on as before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrozenRequest:
    """The request that opened the connection."""

    target: str
    head: str
    """The lines of its head: names and values in turn."""
    method: str
    host: str
    port: int
    secure: bool
    path_params: Mapping[str, str]
    proxy: ProxyHeader | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FrozenConnection:
    """The state of one open connection."""

    request: FrozenRequest
    id: str | None
    """``client.id``, if somebody has asked for it."""
    subprotocol: str | None
    data: object
    """The client's ``data``, or its form on the way to another process."""
    topics: tuple[str, ...] = ()
    """The topics that the client is subscribed to; the life of its resource notes them."""
    members: tuple[tuple[str, str, object], ...] = ()
    """The topics that it is a member of, each with its key and info; the life notes them too."""
    limits: Limits
    """The fields of the resource that admitted the client."""
    timeouts: Timeouts
    overflow: Overflow
    deflate: Deflate | None
    """The settings of the compressor; None without one."""
    terms: Terms | None
    """The agreed compression."""
    messages: tuple[str | bytes | PongReceived, ...]
    """Messages that wait for the hooks."""
    undecoded: bytes
    """Bytes received after these messages."""
    window: bytes
    """The last bytes of compressed messages, inflated, to which the peer's next message can refer."""
    unsent: tuple[bytes, ...]
    """Frames that wait for the kernel."""
    begun: int
    """The bytes of the first of these frames that have left."""
    blocked: bool
    """Whether the kernel refused more bytes."""
    paused: bool
    """Whether reading has stopped until the hooks have got on or the client is within its rate."""
    times: DeadlineOffsets
    pings: tuple[tuple[bytes, float], ...]
    """Pings whose pongs a caller waited for, with the seconds since they were sent."""
    tokens: tuple[float | None, ...]
    """Messages and bytes that the client's rate lets it send now; negative for a debt."""
    seconds: float
    """The time for which it has been open."""
    queue_peak: int
    messages_received: int
    messages_sent: int
    bytes_received: int
    bytes_sent: int
    messages_dropped: int


class Known(NamedTuple):
    """The part of a client's state that the life of its resource knows."""

    data: object
    topics: tuple[str, ...] = ()
    members: tuple[tuple[str, str, object], ...] = ()


def freeze(link: Link, known: Known | None = None) -> tuple[Endpoint, FrozenConnection]:
    """Take an open connection out of its link, which is gone then; no hook hears of it.

    The counters of the client go along. Those of the server keep all that was counted here, so that none of them falls;
    :func:`thaw` counts nothing of it again.

    Args:
        link: The link.
        known: The client's topics, and its ``data`` or the form of it that goes along; ``client.data`` without it.

    Returns:
        The socket, which belongs to the caller, and everything else that is known of the connection.

    Raises:
        CannotFreeze: If the connection is closing, is in the middle of a message, is secured with TLS, is
            of version 0, is between two resources, or if a hook other than those of messages has to be
            called for it first. Nothing has changed then.
    """
    connection = open_connection(link)
    undecoded = connection.take_out()
    if undecoded is None:
        raise refusal(link, "it is in the middle of a message; try again when more has been received")
    inbox, outbox, now, client = link.inbox, link.outbox, link.loop.clock(), link.client
    inflate = connection.inflate
    unsent, begun = outbox.frames()
    frozen = FrozenConnection(
        request=freeze_request(client.request),
        id=client._id,
        subprotocol=client.subprotocol,
        limits=connection.limits,
        timeouts=connection.deadlines.timeouts,
        overflow=outbox.overflow,
        deflate=deflate_of(client),
        terms=None if inflate is None else inflate.terms,
        messages=tuple(entry for entry in entries_of(link) if isinstance(entry, str | bytes | PongReceived)),
        undecoded=undecoded,
        window=b"" if inflate is None else inflate.window,
        unsent=unsent,
        begun=begun,
        blocked=outbox.blocked,
        paused=inbox.paused,
        times=connection.deadlines.freeze(now),
        pings=() if link.pings_made is None else link.pings_made.freeze(),
        tokens=() if link.buckets is None else link.buckets.tokens(now),
        seconds=now - link.opened_at,
        queue_peak=outbox.peak,
        messages_received=inbox.received,
        messages_sent=outbox.messages_sent,
        bytes_received=link.bytes_received,
        bytes_sent=outbox.bytes_sent,
        messages_dropped=outbox.dropped,
        **(known or Known(client.data))._asdict(),
    )
    inbox.paused = False  # or the empty share would resume reading
    inbox.discard()
    link.note_undecoded()
    return link.leaving.hand_over(), frozen


def deflate_of(client: LinkedClient) -> Deflate | None:
    """Return the settings of a client's compressor; None without one."""
    return client._encoder.options if isinstance(client._encoder, Deflater) else None


def open_connection(link: Link) -> Decoder:
    """Return the connection of a link that can be frozen, if it is not in the middle of a message."""
    connection, inbox = link.connection, link.inbox
    if link.closing.phase is not Phase.OPEN or link.closing.ended is not None:
        raise refusal(link, "it is closing; let it end")
    if not isinstance(connection, Decoder):
        raise refusal(link, "it is of version 0, which has a state of its own; let it end")
    if link.transport.secure:
        raise refusal(link, "it is secured with TLS, whose state OpenSSL does not give away; let it end")
    if inbox.move is not None:
        raise refusal(link, "it moves to another resource; try again after the move")
    if any(not isinstance(entry, str | bytes | PongReceived) for entry in entries_of(link)):
        raise refusal(link, "a hook has to be called for it first; try again after that")
    return connection


def refusal(link: Link, reason: str) -> CannotFreeze:
    return CannotFreeze(f"{link.name} cannot be frozen: {reason}")


def entries_of(link: Link) -> list[object]:
    """Return everything that waits for the hooks of one client."""
    return [entry for inbox, entry in link.inbox.mailbox.entries if inbox is link.inbox]


def freeze_request(request: Request) -> FrozenRequest:
    query = request.query_string
    return FrozenRequest(
        target=request.path if query is None else f"{request.path}?{query}",
        head=request._head.decode("latin-1"),
        method=request.method,
        host=request.host,
        port=request.port,
        secure=request.secure,
        path_params=dict(request.path_params),
        proxy=request.proxy,
    )


def thaw_request(frozen: FrozenRequest) -> Request:
    request = Request(frozen.target, [], method=frozen.method, host=frozen.host, port=frozen.port, secure=frozen.secure)
    request._head = frozen.head.encode("latin-1")
    request.path_params = dict(frozen.path_params)
    request.proxy = frozen.proxy
    return request


def thaw(
    frozen: FrozenConnection,
    sock: Endpoint,
    host: Host,
    reservation: HeldPlace,
    reactor: Reactor,
    *,
    hold: bool = False,
) -> Link:
    """Put a frozen connection into a new link, which goes on with it at the same place.

    Args:
        frozen: The connection.
        sock: Its socket, which is non-blocking and belongs to the link from now on.
        host: The life of the resource that serves the client from now on. Its ``welcome`` decides whether a
            hook hears of the client.
        reservation: The place that the client holds here.
        reactor: Runs the link.
        hold: Whether nothing is sent before :func:`let_go`, and ``data`` is left to the caller.

    Raises:
        OSError: If the poller does not accept the socket.
    """
    request = thaw_request(frozen.request)
    data = None if hold else frozen.data
    link = reactor.adopt(
        Arrival(Transport(sock), request, frozen.subprotocol, data, host, reservation, frozen.terms), b""
    )
    connection, inbox, outbox, now = link.connection, link.inbox, link.outbox, link.loop.clock()
    if hold:
        outbox.send, outbox.raw_fd = refuse, -1
    link.client._id = frozen.id
    assert isinstance(connection, Decoder)
    assert type(outbox) is Outbox
    connection.deadlines.thaw(frozen.times, now)
    if connection.inflate is not None:
        connection.inflate.window = frozen.window
    if frozen.undecoded:
        connection.receive(bytearray(frozen.undecoded), 0)  # without room it decodes nothing yet
        link.note_undecoded()
    if frozen.pings:
        link.pings.thaw(frozen.pings)
    if link.buckets is not None:
        link.buckets.set_tokens(frozen.tokens, now)
    if frozen.messages:
        inbox.put(frozen.messages, sum(map(weigh_entry, frozen.messages)))
    set_counts(link, frozen, now)
    outbox.put_back(frozen.unsent, frozen.begun, blocked=frozen.blocked)
    link.schedule()
    if frozen.paused and (inbox.waiting or connection.deadlines.resume_at is not None):
        link.pause()
    elif frozen.undecoded:
        link.go_on()
    return link


def set_counts(link: Link, frozen: FrozenConnection, now: float) -> None:
    link.opened_at = now - frozen.seconds
    link.outbox.peak = frozen.queue_peak
    link.inbox.received = frozen.messages_received
    link.bytes_received = frozen.bytes_received
    link.outbox.messages_sent = frozen.messages_sent
    link.outbox.bytes_sent = frozen.bytes_sent
    link.outbox.dropped = frozen.messages_dropped
    link.counters.settle(link, -1)  # it has counted them already: not a second time when it goes


def refuse(data: bytes | memoryview) -> int:
    """Take no bytes, as a kernel without room."""
    raise BlockingIOError


def let_go(link: Link) -> None:
    """Send the bytes held back by :func:`thaw`."""
    outbox = link.outbox
    if link.transport.sock is not None:
        outbox.send = link.transport.send
        outbox.raw_fd = link.fd if link.transport.by_descriptor else -1


def weigh_entry(entry: str | bytes | PongReceived) -> int:
    return len(entry.payload) if isinstance(entry, PongReceived) else weigh(entry)
