"""Answers of servers and proxies to us: the 101, refusals, redirects, extensions, CONNECT; and frames after it."""

from base64 import b64encode
from hashlib import sha1
from random import Random
from re import search
from typing import Any, cast
from unittest.mock import patch

import h11

from tests.fuzz.promises import keep
from wsframe.http.client_handshake import HandshakeFailed, HandshakeRejected, Upgraded
from wsframe.http.deflate_terms import agreed
from wsframe.outgoing.exceptions import ProxyFailed
from wsframe.outgoing.opening import OpeningPlan
from wsframe.outgoing.options import Opening
from wsframe.outgoing.proxy import Proxy
from wsframe.outgoing.tunnel import answer_of
from wsframe.outgoing.url import Target
from wsframe.protocol.deflate import Deflate, Deflater, InflateExtension

__all__ = ["ACCEPT", "accepted", "agreement", "client_plan", "tunnel", "upgrade"]

ACCEPT = b"@ACCEPT@"
"""Stands in an input for the right Sec-WebSocket-Accept."""
MAX_HEAD = 1024
MAX_BODY = 100
OFFERS = (None, Deflate.shared(), Deflate.dedicated(), Deflate.dedicated(window_bits=9))
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def client_plan(seed: int) -> OpeningPlan:
    """Make the plan of a connection, one of several."""
    return OpeningPlan(
        target=Target.parse("wss://us:secret@server.example/a/b?c" if seed & 4 else "ws://us:secret@server.example/"),
        headers=[("Authorization", "Bearer secret"), ("Cookie", "secret")] if seed & 8 else [],
        subprotocols=["chat", "v2"] if seed & 16 else [],
        keep_on_redirect=frozenset(),
        unix=None,
        ssl_context=None,
        proxy=None,
        deflate=OFFERS[seed & 3],
        opening=Opening(max_head=MAX_HEAD, max_body=MAX_BODY),
    )


def accepted(request: bytes, stream: bytes) -> bytes:
    """Put in the Sec-WebSocket-Accept that answers a request."""
    found = search(rb"(?i)sec-websocket-key: (\S+)", request)
    assert found is not None
    return stream.replace(ACCEPT, b64encode(sha1(found[1] + GUID).digest()))


def upgrade(data: bytes) -> None:
    """Feed an answer to our request, in one piece and in many: the same comes of it; then follow a redirect."""
    seed, stream = data[:2].ljust(2, b"\0"), data[2:]
    plan = client_plan(seed[0])
    whole = read_answer(plan, stream, 10**6, Random(0))
    pieces = read_answer(plan, stream, seed[1] % 50 + 1, Random(seed))
    keep(type(whole) is type(pieces), f"in one {whole!r}, in pieces {pieces!r}")
    if isinstance(whole, Upgraded) and isinstance(pieces, Upgraded):
        keep(whole[1:] == pieces[1:], f"in one {whole!r}, in pieces {pieces!r}")
        keep(whole.subprotocol is None or whole.subprotocol in plan.subprotocols, "a subprotocol not offered")
        keep(whole.terms is None or plan.deflate is not None, "an extension not offered")
    elif isinstance(whole, HandshakeRejected) and isinstance(pieces, HandshakeRejected):
        keep(whole.status == pieces.status, "another status in pieces")
        # The place where a body turns out malformed depends on the part that has come.
        keep(whole.body.startswith(pieces.body) or pieces.body.startswith(whole.body), "another body in pieces")
        keep(len(whole.body) <= MAX_BODY, "too much of a body")
        follow(plan, whole)


def read_answer(plan: OpeningPlan, stream: bytes, most: int, random: Random) -> Upgraded | Exception:
    """Return the outcome of an answer; all bytes that the answer left are behind it."""
    with patch("wsframe.http.client_handshake.urandom", bytes):  # the same key each time
        asked = plan.upgrade()
    stream = accepted(asked.request, stream)
    fed = 0
    try:
        while fed < len(stream):
            piece = stream[fed : fed + random.randint(1, most)]
            fed += len(piece)
            upgraded = asked.receive(piece)
            if upgraded is not None:
                keep(stream.startswith(upgraded.trailing, fed - len(upgraded.trailing)), "not the last bytes")
                head = fed - len(upgraded.trailing)
                keep(head <= MAX_HEAD, f"a head of {head} bytes")
                return upgraded._replace(trailing=stream[head:])
        asked.receive(b"")
    except (HandshakeFailed, ConnectionResetError) as error:
        return error
    raise AssertionError("the end of the connection is not the end of the handshake")


def follow(plan: OpeningPlan, answer: HandshakeRejected) -> None:
    """Go where a redirect leads: a request can be made there, and tells no secret to another origin."""
    try:
        there = plan.follow(answer)
    except HandshakeFailed:
        return
    if there is None:
        return
    keep(there.target.secure or not plan.target.secure, "from wss to ws")
    request = there.upgrade().request
    if there.target.origin != plan.target.origin:
        keep(b"secret" not in request.lower().replace(there.target.resource.encode().lower(), b""), "a secret is told")
        keep(b"authorization:" not in request.lower(), "somebody is authorized elsewhere")
    keep(request.count(b"\r\n\r\n") == 1, "a redirect makes a second request")


def agreement(data: bytes) -> None:
    """Read the server's extensions; the agreed terms were offered, and work."""
    text = data.decode("latin-1")
    for options in OFFERS:
        try:
            terms = agreed(text.split("\n"), options)
        except ValueError:
            continue
        if terms is None:
            continue
        assert options is not None
        keep(8 <= terms.server_bits <= options.window_bits, f"our window has {terms.server_bits} bits")
        # Every offer ends with one that asks nothing of the server: it can use any window, and keep its context.
        keep(8 <= terms.client_bits <= 15, f"the server's window has {terms.client_bits} bits")
        keep(options.mode == "dedicated" or not terms.server_takeover, "our compressor keeps a context")
        keep("client_no_context_takeover" not in terms.answer or not terms.server_takeover, "it was to keep none")
        deflater = Deflater(terms, options)
        message = data * 3
        # zlib cannot compress for a window of 8 bits: then messages are sent as they are.
        keep(deflater.wanted(message, True) == (terms.server_bits > 8), "compressed for a window that zlib has not")
        packed = deflater.compress(message) if deflater.wanted(message, True) else None
        if packed is not None:
            inflater = InflateExtension(terms._replace(client_bits=15, client_takeover=False), len(message) or 1)
            inflater._inflating = True
            keep(inflater._inflate(packed + b"\x00\x00\xff\xff") == message, "compressed otherwise than agreed")


class Pieces:
    """A transport that has received all it will."""

    def __init__(self, stream: bytes, most: int) -> None:
        self.rest = stream
        self.most = most

    async def receive_some(self) -> bytes:
        piece, self.rest = self.rest[: self.most], self.rest[self.most :]
        return piece


def tunnel(data: bytes) -> None:
    """Feed a proxy's answer to CONNECT, in one piece and in many."""
    proxy = Proxy("http", "proxy.example", 80)
    whole = read_status(proxy, data[1:], 10**6)
    pieces = read_status(proxy, data[1:], (data[0] if data else 0) % 50 + 1)
    keep(type(whole) is type(pieces), f"in one {whole!r}, in pieces {pieces!r}")
    if isinstance(whole, int):
        keep(whole == pieces and 200 <= whole <= 999, f"status {whole}")


def read_status(proxy: Proxy, stream: bytes, most: int) -> int | Exception:
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=16384)
    request = h11.Request(method="CONNECT", target="a:80", headers=[("Host", "a:80")])
    connection.send(request)
    connection.send(h11.EndOfMessage())
    reading = answer_of(connection, cast(Any, Pieces(stream, most)), proxy)
    try:
        reading.send(None)
    except StopIteration as stop:
        return int(stop.value)
    except (ProxyFailed, ConnectionResetError) as error:
        return error
    raise AssertionError("it waits, though all has come")
