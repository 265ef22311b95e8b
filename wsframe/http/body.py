"""The content of a plain HTTP request, read into memory as far as a limit allows (RFC 9112 sections 6 and 7)."""

from __future__ import annotations

import h11

from wsframe.http.request import Headers
from wsframe.http.responses import Reject

__all__ = ["BodyReader", "check_framing"]

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
# Programs send what they have, some 16 KiB at a time. A chunk of one byte costs its sender six, and h11 10 us.
MOST_CHUNKS = 1024

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
    # h11 has checked that all of them are the same number.
    if any(int(length.partition(",")[0]) > max_body for length in headers.getall("content-length")):
        raise Reject(413, body=TOO_LARGE.format(max_body))
    expected = headers.get("expect", "100-continue").lower()
    if http_version >= b"1.1" and expected != "100-continue":
        raise Reject(417, body="only 100-continue can be expected")


class BodyReader:
    """Collects the body of one request.

    Args:
        connection: Has read the head, and holds the bytes that came with it; None for a head without a body.
        max_body: Bytes of the body at most.
    """

    def __init__(self, connection: h11.Connection | None, max_body: int) -> None:
        self._h11 = connection
        self._max_body = max_body
        self._chunks = 0
        self._body = bytearray()
        self.whole = connection is None
        """Whether all of the body has come."""
        self._take()

    def __len__(self) -> int:
        return len(self._body)

    @property
    def body(self) -> bytes:
        """The bytes so far."""
        return bytes(self._body)

    @property
    def invitation(self) -> bytes:
        """The 100 for which the peer waits before it sends the body; empty if it does not."""
        waits = self._h11 is not None and not self.whole and self._h11.they_are_waiting_for_100_continue
        return CONTINUE if waits else b""

    def receive(self, data: bytes) -> None:
        """Take bytes.

        Raises:
            Reject: 413 for a body above the limit or of too many chunks, 400 for malformed chunks.
        """
        assert self._h11 is not None
        self._h11.receive_data(data)
        self._take()

    def _take(self) -> None:
        while not self.whole:
            assert self._h11 is not None
            try:
                event = self._h11.next_event()
            except h11.RemoteProtocolError:
                raise Reject(400, body="malformed body") from None
            if not isinstance(event, h11.Data):
                self.whole = isinstance(event, h11.EndOfMessage)  # the fields after it, if any, are not used
                return
            self._chunks += event.chunk_start
            self._body += event.data
            if len(self._body) > self._max_body:
                raise Reject(413, body=TOO_LARGE.format(self._max_body))
            if self._chunks > MOST_CHUNKS:
                raise Reject(413, body="the body has too many chunks")
