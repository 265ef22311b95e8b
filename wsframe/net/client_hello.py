"""The name of the server that a TLS client asks for, in the first bytes that it sends (RFC 8446, RFC 6066).

A server with several certificates needs it before OpenSSL gets these bytes. OpenSSL's own callback would do,
if Python did not print an exception for each name that is not ASCII, which any stranger can send.
"""

from __future__ import annotations

__all__ = ["asked_name"]

HANDSHAKE, CLIENT_HELLO, SERVER_NAME = 22, 1, 0
# Browsers send 2 KiB in one record. All of it is read again with each piece that comes, so it has to be short.
MOST_BYTES = 16 * 1024
MOST_RECORDS = 16


class Fields:
    """Bytes that are taken off from the front.

    Args:
        data: The bytes.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def __bool__(self) -> bool:
        return self._at < len(self._data)

    def take(self, count: int) -> bytes:
        """Take some bytes.

        Raises:
            EOFError: If there are fewer.
        """
        taken = self._data[self._at : self._at + count]
        if len(taken) < count:
            raise EOFError
        self._at += count
        return taken

    def number(self, count: int) -> int:
        """Take a number of this many bytes."""
        return int.from_bytes(self.take(count), "big")

    def vector(self, count: int) -> bytes:
        """Take bytes whose length stands before them, in this many bytes."""
        return self.take(self.number(count))


def asked_name(received: bytes) -> str | None:
    """Return the name that the client asks for, in lower case and without a dot at its end.

    Returns:
        ``""`` if it asks for none, or if the bytes are not a ClientHello of at most 16 KiB in 16 records: OpenSSL
        answers those. None while the ClientHello is not whole.
    """
    hello = bytearray()
    records, count = Fields(received), 0
    try:
        while len(hello) < 4 or len(hello) < 4 + int.from_bytes(hello[1:4], "big"):
            count += 1
            if records.number(1) != HANDSHAKE or count > MOST_RECORDS:
                return ""
            records.take(2)  # the version
            hello += records.vector(2)
            if hello and hello[0] != CLIENT_HELLO:
                return ""
    except EOFError:
        return None if len(received) < MOST_BYTES else ""
    try:
        return name_in(Fields(bytes(hello)))
    except EOFError:  # malformed
        return ""


def name_in(hello: Fields) -> str:
    hello.take(4 + 2 + 32)  # type and length, version, random
    hello.vector(1)  # session
    hello.vector(2)  # ciphers
    hello.vector(1)  # compression
    extensions = Fields(hello.vector(2)) if hello else Fields(b"")
    while extensions:
        kind, content = extensions.number(2), extensions.vector(2)
        if kind == SERVER_NAME:
            names = Fields(Fields(content).vector(2))
            if names.number(1) == 0:  # host_name, the only kind there is
                return names.vector(2).decode("ascii", "replace").lower().removesuffix(".")
    return ""
