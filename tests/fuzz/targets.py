"""The targets of the fuzzer: each takes any bytes and raises only if wsframe broke a promise."""

from collections.abc import Callable
from random import Random
from re import fullmatch

import h11
from wsproto.extensions import PerMessageDeflate

from tests.fuzz.answers import agreement, tunnel, upgrade
from tests.fuzz.promises import PromiseBroken, keep
from tests.fuzz.proxied import forwarded, proxied
from tests.fuzz.rude import rude
from tests.fuzz.twins import links, sending
from tests.weight import weight_of
from wsframe.hixie76 import handshake as hixie_handshake
from wsframe.hixie76.decoder import HixieDecoder
from wsframe.http import handshake
from wsframe.http.deflate_terms import negotiate
from wsframe.http.origins import host_allowed, origin_exact, origin_prefix, same_origin
from wsframe.http.request import VERSIONS, Request
from wsframe.http.responses import Reject
from wsframe.limits import DEFAULT_TIMEOUTS, Limits
from wsframe.protocol.close import State
from wsframe.protocol.decoder import Decoder
from wsframe.protocol.deflate import Deflate, Deflater, InflateExtension, Terms
from wsframe.protocol.events import Ended, Event, PingReceived, PongReceived
from wsframe.protocol.slow_lane import SlowLane

__all__ = [
    "TARGETS", "PromiseBroken", "agreement", "connection", "forwarded", "head", "hixie", "links", "offers",
    "proxied", "received", "rude", "sending", "tunnel", "upgrade",
]  # fmt: skip

PLANS = 4
"""Bytes at the beginning of an input to ``connection`` or ``hixie`` that say how the rest is fed."""
MAX_HEAD = 1024
LONGEST_HEADER = 14
TAKEOVER = Terms(15, 15, True, True, "permessage-deflate")
NO_TAKEOVER = Terms(15, 15, False, False, "permessage-deflate; both sides without context takeover")
SIZES = (
    Limits(max_message=300, max_frame=None, max_fragments=5, max_queued_bytes=1000),
    Limits(max_message=70_000, max_frame=None, max_fragments=100, max_queued_bytes=100_000),
    Limits(max_message=1000, max_frame=126, max_fragments=3, max_queued_bytes=1),
)


def connection(data: bytes) -> None:
    """Feed bytes to a connection: in any pieces, with any room, with a close at any time."""
    terms = (None, TAKEOVER, NO_TAKEOVER)[(data[0] if data else 0) // 3 % 3]
    feed_both_ways(data, lambda limits: Feeding(limits, terms))


def received(data: bytes) -> None:
    """Feed bytes to a connection of which we are the client, in the same ways."""
    terms = (None, TAKEOVER, NO_TAKEOVER)[(data[0] if data else 0) // 3 % 3]
    feed_both_ways(data, lambda limits: Feeding(limits, terms, masked=False))


def hixie(data: bytes) -> None:
    """Feed bytes to a connection of version 0, in the same ways."""
    feed_both_ways(data, HixieFeeding)


def feed_both_ways(data: bytes, start: Callable[[Limits], "Feeding"]) -> None:
    """Feed bytes in one piece, and as the plan says."""
    plan, stream = data[:PLANS].ljust(PLANS, b"\0"), data[PLANS:]
    limits = SIZES[plan[0] % 3]
    whole = start(limits)
    whole.feed(stream, room=10**9)
    whole.end()
    random = Random(bytes(plan))
    pieces = start(limits)
    close_after = random.randrange(len(stream) + 1) if plan[1] & 1 else None
    fed, most = 0, plan[2] % 64 + 1 if plan[1] & 2 else 5000
    while fed < len(stream):
        piece = stream[fed : fed + random.randint(1, most)]
        fed += len(piece)
        pieces.feed(piece, room=plan[3] % 20 + 1)
        if close_after is not None and fed >= close_after:
            pieces.close()
    pieces.end()
    if close_after is None:
        pieces.compare(whole)


class Feeding:
    """A connection that is fed, its events, and events that must never come."""

    def __init__(self, limits: Limits, terms: Terms | None, *, masked: bool = True) -> None:
        self.limits = limits
        self.connection: Decoder | HixieDecoder
        self.compressed = terms is not None
        inflate = None if terms is None else InflateExtension(terms, limits.max_message)
        self.connection = Decoder(limits, DEFAULT_TIMEOUTS, 0.0, inflate, masked=masked)
        self.events: list[Event] = []
        self.closed = False

    def feed(self, piece: bytes, room: int) -> None:
        """Feed a piece, and go on as long as the connection stops for want of room."""
        self.take(self.connection.receive(bytearray(piece), room), room)
        self.check_held(len(piece))
        while self.connection.stopped:
            before = self.connection.undecoded
            got = self.connection.receive(bytearray(), room)
            self.take(got, room)
            went_on = bool(got) or self.connection.undecoded < before
            keep(went_on or not self.connection.stopped, "it stops, and does not get on")

    def take(self, events: list[Event], room: int) -> None:
        """Note events, and check each."""
        connection = self.connection
        keep(len(events) <= room, f"{len(events)} events, with room for {room}")
        plain = all(type(event) in (str, bytes) for event in events)
        keep(connection.special is not plain, "special does not say whether there is more than messages")
        sizes = 0
        for event in events:
            keep(not self.ended, "something after the end")
            if isinstance(event, str | bytes):
                size = self.size_of(event)
                keep(size <= self.limits.max_message, f"a message of {size} bytes")
                keep(not self.closed, "a message after our close")
                sizes += weight_of([event])
            elif isinstance(event, PingReceived | PongReceived):
                keep(len(event.payload) <= 125, "a control frame too long")
            elif event.clean and event.code != 1005:
                keep(1000 <= event.code <= 4999, f"close code {event.code}")
            self.events.append(event)
        self.check_bytes(sizes)
        keep(self.ended is (connection.state is State.CLOSED), "state and events differ about the end")

    def check_bytes(self, sizes: int) -> None:
        keep(self.connection.byte_count == sizes, f"{sizes} bytes of messages counted as {self.connection.byte_count}")

    def size_of(self, message: str | bytes) -> int:
        return len(message.encode() if isinstance(message, str) else message)

    @property
    def ended(self) -> bool:
        return bool(self.events) and isinstance(self.events[-1], Ended)

    def close(self) -> None:
        self.closed = True
        for event in self.connection.close():
            keep(isinstance(event, Ended) and not self.ended, f"close() brought {event!r}")
            self.events.append(event)

    def end(self) -> None:
        for event in self.connection.eof():
            keep(not self.ended, "a second end")
            self.events.append(event)
        keep(self.ended, "no end")
        self.feed(b"\x81\x81aaaa ", 5)
        keep(self.connection.close() == [] == self.connection.eof(), "something after the end")

    def check_held(self, piece: int) -> None:
        """Look inside: the memory held between two calls is bounded."""
        inside = self.connection
        assert isinstance(inside, Decoder)
        keep(len(inside._held or b"") <= self.limits.max_message + LONGEST_HEADER + piece, "too much undecoded")
        lane = inside._engine
        if lane is not None:
            keep(lane.weight <= self.limits.max_message, "too much of a message")
        if isinstance(lane, SlowLane):
            keep(len(lane._prefix) <= LONGEST_HEADER + 125, "too much of a header")
            keep(len(lane._close or b"") <= LONGEST_HEADER + 125, "too much of a close frame")
            waiting = len(lane._engine._proto._frame_decoder.buffer)
            keep(waiting <= LONGEST_HEADER + 125 + 4, f"{waiting} bytes in the engine")
        if inside.state is State.CLOSED:
            keep(inside._held is None and lane is None and inside._seeker is None, "something held after the end")
        if inside.inflate is not None:
            keep(len(inside.inflate.window) <= 1 << 15, "a window too wide")

    def compare(self, whole: "Feeding") -> None:
        """Check that the same bytes in one piece brought the same."""
        mine, theirs = self.events, whole.events
        if self.compressed:  # a bad byte and a bad size in one frame: which is seen first is open
            mine, theirs = mine[:-1], theirs[:-1]
        keep(mine == theirs, f"in pieces {mine!r:.300}, in one {theirs!r:.300}")


class HixieFeeding(Feeding):
    """The same for a connection of version 0."""

    def __init__(self, limits: Limits) -> None:
        super().__init__(limits, None)
        self.connection = HixieDecoder(limits, DEFAULT_TIMEOUTS, 0.0)

    def size_of(self, message: str | bytes) -> int:
        """Count U+FFFD as one byte, which it stands for at least one of."""
        keep(isinstance(message, str), "a binary message")
        text = message if isinstance(message, str) else ""
        if "\ufffd" not in text:
            return len(text.encode())
        return len(text.replace("\ufffd", "").encode()) + text.count("\ufffd")

    def check_held(self, piece: int) -> None:
        inside = self.connection
        assert isinstance(inside, HixieDecoder)
        held = len(inside._held or b"")
        keep(held == inside.undecoded, f"{held} bytes held are counted as {inside.undecoded}")
        keep(held <= self.limits.max_message + LONGEST_HEADER + piece, "too much undecoded")
        keep(0 <= inside._owed <= self.limits.max_message, "a frame too long is discarded")
        if inside.state is State.CLOSED:
            keep(inside._held is None, "something held after the end")


def head(data: bytes) -> None:
    """Feed bytes to the handshake, in any pieces, and go the whole way to the 101 or the refusal."""
    seed, stream = data[:2], data[2:]
    whole = answer(stream, len(stream) or 1, Random(0))
    pieces = answer(stream, seed[0] % 50 + 1 if seed else 1, Random(seed))
    # Where the limit falls depends on the pieces: a message over it can be refused a piece later.
    keep(whole == pieces or b"431" in (whole or b"")[:13] + (pieces or b"")[:13], f"{whole!r} {pieces!r}")


def answer(stream: bytes, most: int, random: Random) -> bytes | None:
    """Return the answer to a request; None while it is incomplete."""
    reader = handshake.HeadReader(MAX_HEAD, host="127.0.0.1", port=1)
    fed = 0
    try:
        while fed < len(stream):
            piece = stream[fed : fed + random.randint(1, most)]
            fed += len(piece)
            request = reader.receive(piece)
            if request is not None:
                keep(stream.startswith(reader.trailing, fed - len(reader.trailing)), "trailing is not the last bytes")
                return judge(request, reader.http_version)
            keep(fed <= MAX_HEAD + len(piece), f"{fed} bytes, and still no refusal")
    except Reject as reject:
        keep(400 <= reject.status < 600, f"refused with {reject.status}")
        refusal = handshake.refusal(reject, now=0)
        read_answer(refusal)
        return refusal
    return None


def judge(request: Request, http_version: bytes) -> bytes:
    """Check a request as admission does, and look at all that a hook can look at."""
    headers = request.headers
    keep(isinstance(repr(request), str) and isinstance(repr(headers), str), "repr")
    keep(headers.fields() is not None and request.query is not None, "fields")
    handshake.check_head(headers)
    host_allowed(headers.get("host", ""), {"localhost", "127.0.0.1"})
    for validator in (same_origin, origin_exact("https://example.com"), origin_prefix("https://example.com")):
        keep(isinstance(validator(request), bool), "a validator is not sure")
    if not handshake.wants_upgrade(headers):
        raise handshake.plain_refused(request, VERSIONS)
    version = handshake.check_upgrade(http_version, request, headers, VERSIONS)
    keep(version == request.version, "let in as another version than it asks for")
    subprotocol = handshake.choose_subprotocol(None, request.subprotocols, ["chat", "v2"])
    terms = negotiate(headers.getall("sec-websocket-extensions"), Deflate.dedicated())
    extra = [] if terms is None else [("Sec-WebSocket-Extensions", terms.answer)]
    if not version:
        hixie_handshake.check_keys(headers)
    if version:
        made = handshake.switching_protocols(headers, subprotocol, extra)
    else:
        made = hixie_handshake.switching_protocols(request, headers, bytes(8), subprotocol, [])
    keep(read_answer(made) == 101, "accepted, but without a 101")
    return made


def read_answer(raw: bytes) -> int:
    """Read an answer as a client would; return its status."""
    client = h11.Connection(h11.CLIENT)
    upgrade = [("Host", "a"), ("Upgrade", "websocket"), ("Connection", "Upgrade")]
    client.send(h11.Request(method="GET", target="/", headers=upgrade))
    client.receive_data(raw)
    event = client.next_event()
    keep(isinstance(event, h11.Response | h11.InformationalResponse), f"a client reads {event!r}")
    assert isinstance(event, h11.Response | h11.InformationalResponse)
    return event.status_code


def offers(data: bytes) -> None:
    """Negotiate compression; a client must be able to read the agreed terms, and they must work."""
    text = data.decode("latin-1")
    for options in (Deflate.shared(), Deflate.dedicated(window_bits=9), Deflate.dedicated()):
        terms = negotiate(text.split("\n"), options)
        if terms is None:
            continue
        keep(fullmatch(r"[a-z0-9_=; -]+", terms.answer) is not None, f"answer {terms.answer!r}")
        keep(9 <= terms.server_bits <= options.window_bits, f"server bits {terms.server_bits}")
        keep(8 <= terms.client_bits <= 15, f"client bits {terms.client_bits}")
        if terms.client_bits > 8:  # wsproto's client cannot, but others may ask for it
            PerMessageDeflate().finalize(terms.answer)
        deflater = Deflater(terms, options)
        message = data * 3
        packed = deflater.compress(message)
        if packed is not None:
            inflater = InflateExtension(terms._replace(client_bits=15, client_takeover=False), len(message) or 1)
            inflater._inflating = True
            keep(inflater._inflate(packed + b"\x00\x00\xff\xff") == message, "compressed otherwise than agreed")


TARGETS: dict[str, Callable[[bytes], None]] = {
    "connection": connection,
    "hixie": hixie,
    "head": head,
    "offers": offers,
    "proxied": proxied,
    "forwarded": forwarded,
    "links": links,
    "sending": sending,
    "received": received,
    "upgrade": upgrade,
    "agreement": agreement,
    "tunnel": tunnel,
    "rude": rude,
}
