"""The content of a plain HTTP request, read into memory as far as a limit allows (RFC 9112 sections 6 and 7).

The chunks are read here: h11 takes 7 us for each, this 2, and a chunk of one byte costs its sender six bytes.
"""

from __future__ import annotations

from re import compile as pattern

from wsframe.http.plain_head import FIELD
from wsframe.http.request import Headers
from wsframe.http.responses import Reject

__all__ = ["BodyReader", "check_framing"]

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
# Programs send parts of any size, some 16 KiB at a time. So many cost 2 ms.
MOST_CHUNKS = 1024
# Bytes of the line before a chunk, and of all fields after the last one.
LONGEST_LINE = 4096

CHUNK = pattern(rb"([0-9A-Fa-f]{1,16})[\t ]*(?:;[\t -~\x80-\xff]*)?\r\n")
TRAILER = pattern(FIELD)

TOO_LARGE = "the body of a request has at most {} bytes here"


def check_framing(http_version: bytes, headers: Headers, max_body: int) -> None:
    """Check the fields that say how long a body is, before any of it is read.

    Raises:
        Reject: 400 for a length beside a transfer coding, which some proxies would read in another way; 411 for
            a transfer coding in HTTP/1.0, which does not have any; 413 for a length above the limit; 417 for an
            expectation other than ``100-continue``.
    """
    if "transfer-encoding" in headers:
        if "content-length" in headers:
            raise Reject(400, body="Content-Length and Transfer-Encoding exclude each other")
        if http_version < b"1.1":
            raise Reject(411, body="a body needs a Content-Length in HTTP/1.0")
    if length_of(headers) > max_body:
        raise Reject(413, body=TOO_LARGE.format(max_body))
    expected = headers.get("expect", "100-continue").lower()
    if http_version >= b"1.1" and expected != "100-continue":
        raise Reject(417, body="only 100-continue can be expected")


def length_of(headers: Headers) -> int:
    """Return the length that a head announces, 0 if none; h11 has checked that all its numbers are the same."""
    lengths = headers.getall("content-length")
    return int(lengths[0].partition(",")[0]) if lengths else 0


class BodyReader:
    """Collects the body of one request.

    Args:
        http_version: The version of the request.
        headers: Its fields, which :func:`check_framing` has passed.
        max_body: Bytes of the body at most.
    """

    def __init__(self, http_version: bytes, headers: Headers, max_body: int) -> None:
        self._chunked = "transfer-encoding" in headers
        self._left = 0 if self._chunked else length_of(headers)
        """Bytes of the body, or of the chunk, that are still to come."""
        self._max_body = max_body
        self._waits = http_version >= b"1.1" and "expect" in headers
        self._body = bytearray()
        self._rest = b""
        self._chunks = self._trailers = 0
        self._after_chunk = self._after_last = False
        self.whole: bool = not self._chunked and not self._left
        """Whether all of the body has come."""

    def __len__(self) -> int:
        return len(self._body)

    @property
    def body(self) -> bytes:
        """The bytes so far."""
        return bytes(self._body)

    @property
    def invitation(self) -> bytes:
        """The 100 for which the peer waits before it sends the body; empty if it does not, or has begun to send."""
        return CONTINUE if self._waits and not self.whole else b""

    def receive(self, data: bytes) -> None:
        """Take bytes.

        Raises:
            Reject: 413 for a body above the limit or of too many chunks, 400 for malformed chunks.
        """
        self._waits = self._waits and not data
        if not self._chunked:
            self._take(data, 0)
            self.whole = not self._left
            return
        data, at = self._rest + data, 0
        while not self.whole:
            after = self._step(data, at)
            if after is None:
                break
            at = after
        self._rest = data[at:]
        if len(self._rest) > LONGEST_LINE:
            raise malformed()

    def _take(self, data: bytes, at: int) -> int:
        part = data[at : at + self._left]
        self._body += part
        self._left -= len(part)
        return at + len(part)

    def _step(self, data: bytes, at: int) -> int | None:
        """Take a chunk, its end, or a line; return where the next one begins, or None if it has not all come."""
        if self._left:
            self._after_chunk = True
            after = self._take(data, at)
            return None if after == at else after
        if self._after_chunk:
            if not b"\r\n".startswith(data[at : at + 2]):
                raise malformed()
            self._after_chunk = len(data) < at + 2
            return None if self._after_chunk else at + 2
        end = data.find(b"\n", at) + 1
        if not end:
            return None
        if self._after_last:
            self._pass_trailer(data, at, end)
        else:
            self._begin_chunk(data, at, end)
        return end

    def _begin_chunk(self, data: bytes, at: int, end: int) -> None:
        line = CHUNK.fullmatch(data, at, end)
        if line is None or end - at > LONGEST_LINE:
            raise malformed()
        self._left = int(line[1], 16)
        self._after_last = not self._left
        self._chunks += 1
        if len(self._body) + self._left > self._max_body:
            raise Reject(413, body=TOO_LARGE.format(self._max_body))
        if self._chunks > MOST_CHUNKS + 1:
            raise Reject(413, body="the body has too many chunks")

    def _pass_trailer(self, data: bytes, at: int, end: int) -> None:
        """Leave out a field after the last chunk; the empty line is the end."""
        self.whole = data[at:end] == b"\r\n"
        self._trailers += end - at
        if not self.whole and (TRAILER.fullmatch(data, at, end) is None or self._trailers > LONGEST_LINE):
            raise malformed()


def malformed() -> Reject:
    return Reject(400, body="malformed body")
