"""The corpus: small inputs that reach far, kept as files; ``python -m tests.fuzz.corpus`` writes them."""

import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.chaos.conversation import request_head
from tests.client_frames import frame
from tests.fuzz import fronts, servers
from tests.fuzz.servers import packed

__all__ = ["FOLDER", "MADE", "read"]

FOLDER = Path(__file__).parent / "corpus"
PLAIN, DEFLATED = b"\x01\x00\x00\x03", b"\x04\x00\x00\x03"


def read(target: str) -> dict[str, bytes]:
    """Return the files for a target, by name."""
    return {path.name: path.read_bytes() for path in sorted((FOLDER / target).iterdir())}


def connections() -> Iterator[tuple[str, bytes]]:
    text, close = frame(0x81, "grüße".encode()), frame(0x88, b"\x03\xe8bye")
    half = frame(0x01, b"gr\xc3") + frame(0x89, b"ping") + frame(0x80, b"\xbc\xc3\x9fe")
    yield "text", PLAIN + text
    yield "binary-close", PLAIN + frame(0x82, bytes(range(200))) + close
    yield "fragments", PLAIN + half + text
    yield "pieces", b"\x01\x02\x03\x00" + half + frame(0x82, bytes(300)) + close
    yield "close-by-us", b"\x01\x03\x07\x02" + text * 5 + frame(0x02, b"x") + close + text
    yield "pings", PLAIN + frame(0x89, b"x" * 125) + frame(0x8A) + frame(0x89)
    yield "small-limits", b"\x02\x00\x00\x03" + frame(0x82, bytes(126)) + frame(0x82, bytes(127))
    yield "long", b"\x01\x00\x00\x00" + frame(0x81, b"long " * 14_000)[:1500]
    yield "unmasked", PLAIN + frame(0x81, b"unmasked", mask=None)
    yield "reserved", PLAIN + frame(0xC1, b"reserved")
    yield "bad-utf8", PLAIN + text + frame(0x81, b"\xed\xa0\x80")
    yield "huge", PLAIN + frame(0x82, b"x", length=2**63 - 1)
    yield "not-shortest", PLAIN + frame(0x82, b"x" * 20, form=8)
    yield "bad-close", PLAIN + frame(0x88, b"\x03\xe7")
    yield "deflated", DEFLATED + frame(0xC1, packed(b"deflated " * 9)) + text + close
    yield "deflated-fragments", DEFLATED + frame(0x41, packed(b"abc" * 99)[:4]) + frame(0x80, packed(b"abc" * 99)[4:])
    yield "deflated-end", b"\x07\x00\x00\x03" + frame(0xC2, packed(b"last block", zlib.Z_FINISH)) * 2
    yield "bomb", b"\x03\x00\x00\x03" + frame(0xC2, packed(bytes(100_000)))


def old_connections() -> Iterator[tuple[str, bytes]]:
    text, closing = b"\0gr\xc3\xbc\xc3\x9fe\xff", b"\xff\x00"
    yield "text", PLAIN + text * 3
    yield "closing", PLAIN + text + closing + text
    yield "pieces", b"\x01\x02\x03\x00" + text + b"\x80\x03abc" + text + closing
    yield "close-by-us", b"\x01\x03\x07\x02" + text * 5 + b"\x80\x02\xff\x00" + closing + text
    yield "discarded", PLAIN + b"\x81\x82\x00" + bytes(256) + b"\x01text\xff\xff\x01x" + text
    yield "bad-utf8", PLAIN + b"\x00\xc3(\xed\xa0\x80\xfe\xff" + text
    yield "small-limits", b"\x02\x00\x00\x03\x00" + bytes(126) + b"\xff\x00" + bytes(127) + b"\xff"
    yield "huge", PLAIN + b"\x80\xff\xff\xff\xff\x7f"
    yield "zeros", PLAIN + b"\xff" + b"\x80" * 8 + b"\x00"
    yield "endless", PLAIN + b"\x80" * 12
    yield "never-ends", PLAIN + b"\x00" + b"x" * 400


def heads() -> Iterator[tuple[str, bytes]]:
    good = request_head("/chat", "corpus", deflate=True)
    more = b"Origin: https://example.com\r\nSec-WebSocket-Protocol: chat, v2\r\n\r\n"
    yield "good", b"\x31\x00" + good
    yield "pieces", b"\x02\x01" + good[:-2] + more
    yield "early-data", b"\x31\x00" + good + frame(0x81, b"early")
    yield "absolute", b"\x31\x00" + good.replace(b"/chat", b"ws://localhost/chat")
    yield "absolute-elsewhere", b"\x02\x01" + good.replace(b"/chat", b"ftp://a@[::1/chat")
    yield "post", b"\x31\x00" + good.replace(b"GET", b"POST").replace(b"\r\n\r\n", b"\r\nContent-Length: 3\r\n\r\nabc")
    yield "old-version", b"\x31\x00" + good.replace(b"Version: 13", b"Version: 8")
    yield (
        "draft-8",
        b"\x31\x00" + good.replace(b"Version: 13", b"Version: 8\r\nSec-WebSocket-Origin: https://a.example"),
    )
    old = b"GET /demo HTTP/1.1\r\nHost: example.com\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n"
    keys = b"Sec-WebSocket-Key1: 4 @1  46546xW%0l 1 5\r\nSec-WebSocket-Key2: 12998 5 Y3 1  .P00\r\n"
    yield (
        "hixie",
        b"\x31\x00" + old + keys + b"Origin: http://example.com\r\nSec-WebSocket-Protocol: chat\r\n\r\n^n:ds[4U",
    )
    yield "hixie-bad-keys", b"\x31\x00" + old + keys.replace(b"P00", b"P01") + b"Origin: http://example.com\r\n\r\n"
    yield "http10", b"\x31\x00" + good.replace(b"HTTP/1.1", b"HTTP/1.0")
    yield "bad-key", b"\x31\x00" + good.replace(b"dGhl", b"dGh=")
    yield "not-ascii", b"\x31\x00" + good.replace(b"localhost", b"\xffoc\xc3\xa4lhost")
    yield "long", b"\x31\x00" + good.replace(b"localhost", b"localhost\r\nX-Long: " + b"x" * 1100)
    yield "tls", b"\x31\x00\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
    yield "plain", b"\x31\x00GET / HTTP/1.1\r\nHost: localhost:80\r\n\r\n"


def lives() -> Iterator[tuple[str, bytes]]:
    """Plans for :func:`tests.fuzz.twins.links`: limits, read buffer, pieces, hooks, end, budget."""
    text, ping, close = frame(0x81, "grüße".encode()), frame(0x89, b"ping"), frame(0x88, b"\x03\xe8bye")
    large, large_text = frame(0x82, bytes(range(256)) * 8), frame(0x81, "größer ".encode() * 200)
    yield "texts", b"\0\0\0\0\0\0" + text * 20 + close
    yield "large", b"\0\x02\0\0\0\0" + (large + text + large_text) * 3 + ping
    yield "large-in-pieces", b"\0\x03\x7f\0\0\0" + large + large_text + text + large
    yield "large-full-share", b"\x01\x02\0\x01\0\0" + (large + text) * 6
    yield "large-small-budget", b"\x03\x02\0\x01\0\x01" + (large + ping) * 6
    yield "full-share", b"\x02\0\x47\0\0\0" + text * 9
    yield "rated", b"\x03\x02\0\0\0\0" + (text + large) * 3
    yield "vast-limits", b"\x04\x02\0\0\0\x03" + (text + large) * 3 + frame(0x82, b"x", length=2**63 - 1)
    for number, end in enumerate(("nothing", "shut", "hang-up", "close", "reject", "abort")):
        yield f"end-{end}", bytes((1, 2, 0x5F, 2, number, 2)) + (text + large + ping + large_text) * 2 + close
    yield "bad-utf8", b"\0\x02\0\0\0\0" + large + frame(0x81, b"good " * 100 + b"\xff" + b"bad" * 100)
    yield "too-large", b"\x02\x02\0\0\0\0" + text + large
    yield "unmasked", b"\0\x02\0\0\0\0" + large + frame(0x82, bytes(400), mask=None)
    yield "fragments", b"\0\x02\0\0\0\0" + frame(0x02, bytes(300)) + ping + frame(0x80, bytes(300)) + large


def scripts() -> Iterator[tuple[str, bytes]]:
    """Scripts for :func:`tests.fuzz.twins.sending`."""
    yield "small", b"\0\0\0\0\0\0" + b"\x10\x14\x18\x02" * 10
    yield "large", b"\x02\0\0\0\0\0" + b"\xfd\x02\x07\x71\x02\x07" * 10
    yield "mixed", b"\x01\0\0\0\0\0" + b"\xfd\x10\xfd\x02\x07\x11\x02\xf1\x07" * 6
    yield "pings", b"\0\x01\0\0\0\0" + b"\xf1\x03\x13\x02\x10\x03\x07\x02" * 6


def offered() -> Iterator[tuple[str, bytes]]:
    yield "plain", b"permessage-deflate"
    yield "browser", b"permessage-deflate; client_max_window_bits"
    yield (
        "full",
        b"permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=9",
    )
    yield "two", b'permessage-deflate; client_max_window_bits="8", permessage-deflate; server_max_window_bits=8'
    yield "wrong", b"permessage-deflate; client_max_window_bits=abc; unknown=1, x-webkit-deflate-frame"
    yield "lines", b"permessage-deflate; server_max_window_bits\npermessage-deflate; client_max_window_bits = 15 ,,"


MADE: dict[str, Callable[[], Iterator[tuple[str, bytes]]]] = {
    "connection": connections,
    "hixie": old_connections,
    "head": heads,
    "offers": offered,
    "proxied": fronts.headers,
    "forwarded": fronts.fields,
    "links": lives,
    "sending": scripts,
    "received": servers.received,
    "upgrade": servers.answers,
    "agreement": servers.agreements,
    "tunnel": servers.tunnels,
    "rude": servers.rude,
}


def write() -> None:
    for target, made in MADE.items():
        (FOLDER / target).mkdir(parents=True, exist_ok=True)
        for name, data in made():
            (FOLDER / target / name).write_bytes(data)


if __name__ == "__main__":
    write()
