"""The servers' part of the corpus: their answers to us, and the frames after them."""

import zlib
from collections.abc import Iterator

from tests.client_frames import frame
from tests.wire import KEY

__all__ = ["agreements", "answers", "packed", "received", "rude", "server_frame", "tunnels"]

PLAIN, DEFLATED = b"\x01\x00\x00\x03", b"\x04\x00\x00\x03"
FIELDS = b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: @ACCEPT@\r\n"
GOOD = b"HTTP/1.1 101 OK\r\n" + FIELDS
SHARED = b"Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n"
DEDICATED = b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=10\r\n"


def packed(text: bytes, flush: int = zlib.Z_SYNC_FLUSH) -> bytes:
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = compressor.compress(text) + compressor.flush(flush)
    return data[:-4] if flush == zlib.Z_SYNC_FLUSH else data


def server_frame(first: int, payload: bytes = b"", *, length: int | None = None) -> bytes:
    return frame(first, payload, mask=None, length=length)


TEXT, CLOSE = server_frame(0x81, "grüße".encode()), server_frame(0x88, b"\x03\xe8bye")
HALF = server_frame(0x01, b"gr\xc3") + server_frame(0x89, b"ping") + server_frame(0x80, b"\xbc\xc3\x9fe")


def received() -> Iterator[tuple[str, bytes]]:
    yield "text", PLAIN + TEXT * 3 + CLOSE
    yield "fragments", PLAIN + HALF + TEXT
    yield "pieces", b"\x01\x02\x03\x00" + HALF + server_frame(0x82, bytes(300)) + CLOSE
    yield "close-by-us", b"\x01\x03\x07\x02" + TEXT * 5 + server_frame(0x02, b"x") + CLOSE + TEXT
    yield "small-limits", b"\x02\x00\x00\x03" + server_frame(0x82, bytes(126)) + server_frame(0x82, bytes(127))
    yield "masked", PLAIN + TEXT + frame(0x81, b"masked")
    yield "huge", PLAIN + server_frame(0x82, b"x", length=2**63 - 1)
    yield "bad-utf8", PLAIN + TEXT + server_frame(0x81, b"\xed\xa0\x80")
    yield "bad-close", PLAIN + server_frame(0x88, b"\x03")
    yield "deflated", DEFLATED + server_frame(0xC1, packed(b"deflated " * 9)) + TEXT + CLOSE
    yield "bomb", b"\x03\x00\x00\x03" + server_frame(0xC2, packed(bytes(100_000)))


def answers() -> Iterator[tuple[str, bytes]]:
    yield "good", b"\x00\x31" + GOOD + b"\r\n" + TEXT
    yield "pieces", b"\x10\x01" + GOOD + b"Sec-WebSocket-Protocol: chat\r\n\r\n"
    yield "shared", b"\x01\x05" + GOOD + SHARED + b"\r\n"
    yield "dedicated", b"\x02\x05" + GOOD + DEDICATED + b"\r\n"
    yield "early-hints", b"\x00\x07" + b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" * 3 + GOOD + b"\r\n"
    yield "endless-hints", b"\x00\x07" + b"HTTP/1.1 100 Continue\r\n\r\n" * 80
    yield "wrong-case", b"\x00\x03" + GOOD.replace(b"websocket", b"WebSocket").replace(b": Upg", b": keep-alive, upg")
    yield "twice", b"\x00\x03" + GOOD + FIELDS + b"\r\n"
    yield "wrong-accept", b"\x00\x03" + GOOD.replace(b"@ACCEPT@", KEY.encode()) + b"\r\n"
    yield "http10", b"\x00\x03" + GOOD.replace(b"HTTP/1.1", b"HTTP/1.0") + b"\r\n"
    yield "refused", b"\x00\x05HTTP/1.1 401 No\r\nContent-Length: 5\r\n\r\nwrong"
    yield "never-ends", b"\x00\x05HTTP/1.1 503 Busy\r\nContent-Length: 999999\r\nRetry-After: 3\r\n\r\nbusy"
    yield (
        "chunked",
        b"\x00\x03HTTP/1.1 500 Oh\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n5;x=y\r\nworld\r\n0\r\n\r\n",
    )
    yield "bad-chunk", b"\x00\x03HTTP/1.1 500 Oh\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n" + b"f" * 30
    yield "large-head", b"\x00\x31HTTP/1.1 404 No\r\nX: " + b"x" * 1100 + b"\r\n\r\n"
    yield "not-http", b"\x00\x31SSH-2.0-OpenSSH_9.6\r\n"
    for number, there in enumerate(
        (b"/x", b"d?e", b"//other.example/", b"https://user:pw@other.example:1/#top", b"ftp://x/", b"ws://[::1%25lo]/",
         b"wss://%31/\xe4", b"//" + b"a." * 150 + b"b/", b"ws://server.example:80/", b"//\xb2.example/")
    ):  # fmt: skip
        yield f"redirect-{number}", bytes((number * 4, 9)) + b"HTTP/1.1 302 Found\r\nLocation: " + there + b"\r\n\r\n"


def agreements() -> Iterator[tuple[str, bytes]]:
    yield "plain", b"permessage-deflate"
    yield "shared", b"permessage-deflate; server_no_context_takeover; client_no_context_takeover"
    yield "bits", b"permessage-deflate; server_max_window_bits=9; client_max_window_bits=10"
    yield "both", b'permessage-deflate; server_no_context_takeover; client_max_window_bits="8"'
    yield "two", b"permessage-deflate\npermessage-deflate"
    yield "wrong", b"permessage-deflate; server_no_context_takeover=1, x-webkit-deflate-frame"


def tunnels() -> Iterator[tuple[str, bytes]]:
    yield "open", b"\x31HTTP/1.1 200 Connection established\r\n\r\n"
    yield "refused", b"\x03HTTP/1.1 407 No\r\nProxy-Authenticate: Basic\r\nContent-Length: 3\r\n\r\nabc"
    yield "interim", b"\x07" + b"HTTP/1.1 100 Continue\r\n\r\n" * 3 + b"HTTP/1.1 503 Busy\r\n\r\n"
    yield "surprise", b"\x31HTTP/1.1 200 OK\r\n\r\nhello"
    yield "not-http", b"\x31SSH-2.0-OpenSSH_9.6\r\n"


def rude() -> Iterator[tuple[str, bytes]]:
    """Plans for :func:`tests.fuzz.rude.rude`: options, pieces, kernel, program, end, pauses."""
    many = TEXT * 12 + HALF + server_frame(0x82, bytes(900))
    yield "polite", b"\x00\x40\x01\x03\x00\x00" + many + CLOSE
    yield "silent", b"\x00\x40\x01\x03\x00\x00"
    yield "half-closed", b"\x00\x09\x00\x03\x01\x01" + many
    yield "reset", b"\x00\x40\x32\x03\x02\x02" + many
    yield "stalled", b"\x00\x40\x32\x01\x00\x00" + many
    yield "stalled-tls", b"\x04\x40\x32\x01\x00\x00" + many
    yield "reset-tls", b"\x04\x40\x32\x01\x02\x02" + many
    yield "pings", b"\x00\x05\x32\x03\x00\x02" + server_frame(0x89, b"x" * 125) * 30
    yield "close-storm", b"\x00\x40\x01\x03\x00\x00" + TEXT + CLOSE * 20
    yield "closed-by-us", b"\x00\x40\x01\x0b\x00\x03" + many
    yield "aborted", b"\x00\x40\x01\x07\x00\x03" + many
    yield "garbage", b"\x00\x40\x01\x03\x00\x00" + many + bytes(range(255, 100, -1))
    yield "shared", b"\x01\x40\x01\x03\x01\x00" + GOOD + SHARED + b"\r\n" + server_frame(0xC1, packed(b"ab" * 99)) * 9
    yield "dedicated", b"\x02\x40\x01\x03\x01\x00" + GOOD + DEDICATED + b"\r\n" + server_frame(0xC1, packed(b"ab" * 99))
    yield "bomb", b"\x01\x40\x01\x03\x01\x00" + GOOD + SHARED + b"\r\n" + server_frame(0xC1, packed(bytes(100_000)))
    yield "circle", b"\x00\x40\x01\x00\x00\x00HTTP/1.1 302 Found\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n"
    yield "drip", b"\x00\x00\x01\x00\x00\x03HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\ndrip drip drip"
    yield "hints", b"\x00\x40\x01\x00\x00\x00" + b"HTTP/1.1 103 Early Hints\r\n\r\n" * 60
