"""The header with which a server passes a connection on to the server that has its resource.

It is the one of :mod:`wsframe.net.client_facts` with two more values (2.2.7 of the PROXY protocol reserves their
types). The first names the server that it is for, the partition, the time, and a number that is used once. The second
one is the last: an HMAC of all bytes before it, by a key that the two servers share. So a header cannot be made without
the key, changed, sent to another server, kept for later, or sent twice. Without I/O.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, NamedTuple

from wsframe.log import quoted
from wsframe.net.client_facts import MOST_FACTS, ClientFacts, encode_facts, facts_of
from wsframe.net.proxy_protocol import FIXED, SIGNATURE, MalformedProxyHeader, check_start, read_v2

__all__ = [
    "MOST_NONCES",
    "VALID_FOR",
    "OpenedHeader",
    "PeerGate",
    "PeerHeaderReader",
    "RefusedPeer",
    "key_of",
    "sealed",
]

VALID_FOR: Final = 10.0
"""Seconds by which the clocks of two servers can differ, and a header be under way."""
REMEMBERED: Final = 2 * VALID_FOR + 1
"""Seconds for which a number is remembered: for as long as its header can be valid."""
MOST_NONCES: Final = 100_000
"""Numbers remembered at most; beyond them headers are refused, for no replay must pass."""

# The types of our values.
STAMP, SEAL = 0xE3, 0xE4
SEAL_SIZE = 32
BEFORE_SEAL = struct.pack("!BH", SEAL, SEAL_SIZE)
"""Type and length, before the bytes of the seal."""
FORM = struct.Struct("!dH16s")
"""Time, partition, and the number used once; the name of the server follows."""


class RefusedPeer(Exception):
    """A header is not one of a server of this service, or not for now; the text says why, in one line."""


class OpenedHeader(NamedTuple):
    """The contents of a header that has passed."""

    facts: ClientFacts
    partition: int
    early: bytes
    """The bytes after the header."""


def key_of(secret: str) -> bytes:
    """Return the key that a secret stands for."""
    return hashlib.blake2b(secret.encode(), person=b"wsframe peer", digest_size=32).digest()


def sealed(facts: ClientFacts, partition: int, target: str, key: bytes, now: float, nonce: bytes) -> bytes:
    """Make a header.

    Args:
        facts: The client.
        partition: The partition of its path.
        target: The name of the server that the header is for.
        key: The key of that server.
        now: The time, in seconds since 1970.
        nonce: 16 random bytes.

    Raises:
        ValueError: If the facts are too large for a header.
    """
    stamp = FORM.pack(now, partition, nonce) + target.encode()
    blank = encode_facts(facts, [(STAMP, stamp), (SEAL, bytes(SEAL_SIZE))])
    body = blank[:-SEAL_SIZE]
    return body + hmac.digest(key, body, "sha256")


class PeerHeaderReader:
    """Collects a header at the beginning of a connection. Only its length is read: the rest is nobody's word yet."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._length = MOST_FACTS

    def receive(self, data: bytes) -> bool:
        """Take bytes; return whether the header is whole.

        Raises:
            RefusedPeer: As soon as the bytes cannot become one.
        """
        received = self._received
        received += data
        if received[: len(SIGNATURE)] != SIGNATURE[: len(received)]:
            raise RefusedPeer(f"it begins with {quoted(bytes(received[:16]))}: is it another server of this service?")
        if len(received) < FIXED:
            return False
        try:
            check_start(bytes(received[:FIXED]))
        except MalformedProxyHeader as error:
            raise RefusedPeer(str(error)) from None
        self._length = FIXED + int.from_bytes(received[FIXED - 2 : FIXED], "big")
        if self._length > MOST_FACTS:
            raise RefusedPeer(f"{self._length} bytes, of {MOST_FACTS} at most")
        return len(received) >= self._length

    @property
    def found(self) -> tuple[bytes, bytes]:
        """The bytes of the header, once it is whole, and those after it."""
        return bytes(self._received[: self._length]), bytes(self._received[self._length :])


class PeerGate:
    """Lets connections of other servers in.

    Args:
        node: The name of this server.
        key: Its key.
        clock: The time, in seconds since 1970.
        elapsed: Seconds that never go back.
    """

    def __init__(
        self,
        node: str,
        key: bytes,
        clock: Callable[[], float],
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        self._node = node
        self._key = key
        self._clock = clock
        self._elapsed = elapsed
        self._seen: OrderedDict[bytes, tuple[float, float]] = OrderedDict()
        """The numbers of the headers that have passed, with the times until which each is remembered, by both clocks:
        after a jump of the first one back, those of before would else keep all later ones."""

    def open(self, reader: PeerHeaderReader) -> OpenedHeader:
        """Return the contents of a whole header; it passes once.

        Raises:
            RefusedPeer: If it is not one of a server of this service, is for another server or another time, or has
                passed before.
        """
        received, early = reader.found
        body, seal = received[:-SEAL_SIZE], received[-SEAL_SIZE:]
        if not body.endswith(BEFORE_SEAL):
            raise RefusedPeer("it has no seal")
        if not hmac.compare_digest(hmac.digest(self._key, body, "sha256"), seal):
            raise RefusedPeer("its seal is wrong: do all servers have the same secret?")
        try:
            header = read_v2(received)
        except MalformedProxyHeader as error:
            raise RefusedPeer(str(error)) from None
        stamp = header.value(STAMP) or b""
        if len(stamp) < FORM.size:
            raise RefusedPeer("it has no stamp")
        at, partition, nonce = FORM.unpack_from(stamp)
        if stamp[FORM.size :] != self._node.encode():
            raise RefusedPeer("it is for another server")
        now = self._clock()
        if not abs(now - at) <= VALID_FOR:
            raise RefusedPeer(f"its time differs from ours by {abs(now - at):.0f} s, of {VALID_FOR:.0f} at most")
        self._remember(nonce, now)
        try:
            facts = facts_of(header)
            _ = facts.proxy  # the header of a proxy in them can be wrong too
            return OpenedHeader(facts, partition, early)
        except MalformedProxyHeader as error:
            raise RefusedPeer(str(error)) from None

    def _remember(self, nonce: bytes, now: float) -> None:
        """Note a number.

        Raises:
            RefusedPeer: If it has been used already, or too many are to be remembered.
        """
        elapsed = self._elapsed()
        while self._seen:
            until, age = next(iter(self._seen.values()))
            if age > elapsed or (until > now and len(self._seen) < MOST_NONCES):
                break
            self._seen.popitem(last=False)
        if nonce in self._seen:
            raise RefusedPeer("it has been sent before")
        if len(self._seen) >= MOST_NONCES:
            raise RefusedPeer("too many connections of other servers within seconds")
        self._seen[nonce] = now + REMEMBERED, elapsed + REMEMBERED
