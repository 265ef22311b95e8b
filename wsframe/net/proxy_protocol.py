"""The PROXY protocol, versions 1 and 2: a proxy's word about its client, in front of the client's own bytes.

Without I/O. Source: HAProxy's ``doc/proxy-protocol.txt``, of 2020/03/05; the numbers in comments are its sections.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from re import compile as pattern

from wsframe.log import quoted
from wsframe.net.trusted_proxies import canonical_address

__all__ = [
    "FIXED",
    "MOST_BYTES",
    "SIGNATURE",
    "MalformedProxyHeader",
    "ProxiedTLS",
    "ProxyHeader",
    "ProxyHeaderReader",
    "check_start",
    "encode_proxy_v2",
    "read_v2",
]

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
FIXED = len(SIGNATURE) + 4
LONGEST_V1 = 107  # 2.1, with its CR LF
MOST_BYTES = 8192
"""Bytes that a header of version 2 can have: for a certificate with several names, and not the 64 KiB of its length."""

PORT = pattern(r"0|[1-9][0-9]{0,4}", 0)
INET, INET6, UNIX = 0x11, 0x21, 0x31  # 2.2, each for a stream
SIZES = {INET: 12, INET6: 36, UNIX: 216}
LOCAL, PROXY = 0x20, 0x21

# 2.2
ALPN, AUTHORITY, CRC32C, NOOP, UNIQUE_ID, SSL = 0x01, 0x02, 0x03, 0x04, 0x05, 0x20
TLS_VERSION, COMMON_NAME, CIPHER = 0x21, 0x22, 0x23
OVER_TLS, HAS_CERTIFICATE = 0x01, 0x02 | 0x04

Address = tuple[str, int]


class MalformedProxyHeader(Exception):
    """The bytes are not a PROXY header, or not a right one; the text says why, in one line."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ProxiedTLS:
    """The TLS between a client and the proxy, as the proxy reports it."""

    version: str = ""
    """Such as ``"TLSv1.3"``; empty if the proxy does not say."""
    cipher: str = ""
    """Such as ``"TLS_AES_256_GCM_SHA384"``; empty if the proxy does not say."""
    client_name: str = ""
    """The common name of the client's certificate; empty without a certificate that the proxy has verified."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ProxyHeader:
    """A trusted proxy's PROXY header, as ``request.proxy`` has it."""

    version: int
    """Of the protocol: 1 or 2."""
    local: bool = False
    """Whether the connection is the proxy's own, such as a health check."""
    client: Address | None = None
    """Address and port of the client, ``("", 0)`` if it came by a unix socket; None if the proxy does not know
    or the connection is its own."""
    server: Address | None = None
    """Address and port that the client connected to; None as for ``client``."""
    tlvs: tuple[tuple[int, bytes], ...] = field(default=(), repr=False)
    """All further values of version 2: type and bytes, in the order received, those of the padding left out."""
    tls: ProxiedTLS | None = None
    """The client's TLS; None if it used none, or the proxy does not say."""

    def value(self, kind: int) -> bytes | None:
        """Return the first of the further values that has a type, such as 0xE0 to 0xEF for your own; None without."""
        return next((value for key, value in self.tlvs if key == kind), None)

    @property
    def alpn(self) -> str:
        """The protocol agreed on in the client's TLS, such as ``"http/1.1"``; empty if the proxy does not say."""
        return (self.value(ALPN) or b"").decode("latin-1")

    @property
    def authority(self) -> str:
        """The server name that the client asked for in its TLS (SNI); empty if the proxy does not say."""
        return (self.value(AUTHORITY) or b"").decode()

    @property
    def unique_id(self) -> bytes:
        """The proxy's identifier of the connection; empty if it does not say."""
        return self.value(UNIQUE_ID) or b""


class ProxyHeaderReader:
    """Collects the PROXY header at the beginning of a connection.

    Args:
        most: Bytes that a header of version 2 can have.
    """

    def __init__(self, most: int = MOST_BYTES) -> None:
        self._most = most
        self._received = b""
        self.trailing: bytes = b""
        """The bytes after the header: the client's."""

    @property
    def header(self) -> bytes:
        """The bytes of the header, once it is whole."""
        return self._received[: len(self._received) - len(self.trailing)]

    def receive(self, data: bytes) -> ProxyHeader | None:
        """Take bytes; return the header once it is whole.

        Raises:
            MalformedProxyHeader: As soon as the bytes cannot become one, or are too many.
        """
        received = self._received = self._received + data
        if received[: len(SIGNATURE)] == SIGNATURE[: len(received)]:
            return self._receive_v2(received)
        if received[:6] == b"PROXY "[: len(received)]:
            return self._receive_v1(received)
        raise MalformedProxyHeader(f"it begins with {quoted(received[:16])}: does the proxy send one at all?")

    def _receive_v1(self, received: bytes) -> ProxyHeader | None:
        end = received.find(b"\r\n", 0, LONGEST_V1)
        if end < 0:
            if len(received) >= LONGEST_V1:
                raise MalformedProxyHeader(f"no end of line in its first {LONGEST_V1} bytes")
            return None
        self.trailing = received[end + 2 :]
        return read_v1(received[:end])

    def _receive_v2(self, received: bytes) -> ProxyHeader | None:
        if len(received) < FIXED:
            return None
        length = FIXED + int.from_bytes(received[FIXED - 2 : FIXED], "big")
        if length > self._most:
            raise MalformedProxyHeader(f"{length} bytes, of {self._most} at most")
        if len(received) < length:
            check_start(received)
            return None
        self.trailing = received[length:]
        return read_v2(received[:length])


def read_v1(line: bytes) -> ProxyHeader:
    """Read the line of version 1, without its end (2.1)."""
    words = line.decode("latin-1").split(" ")
    if words[1] == "UNKNOWN":  # whatever follows
        return ProxyHeader(version=1)
    kinds: dict[str, type[IPv4Address | IPv6Address]] = {"TCP4": IPv4Address, "TCP6": IPv6Address}
    if words[1] not in kinds or len(words) != 6:
        raise MalformedProxyHeader(f"{quoted(line)} is not PROXY, TCP4, TCP6 or UNKNOWN, two addresses and two ports")
    try:
        hosts = [kinds[words[1]](word) for word in words[2:4]]
    except ValueError:
        raise MalformedProxyHeader(f"{quoted(line)} has a wrong address") from None
    if not all(PORT.fullmatch(word) and int(word) < 65536 for word in words[4:]):
        raise MalformedProxyHeader(f"{quoted(line)} has a wrong port")
    client, server = ((canonical_address(str(host)), int(port)) for host, port in zip(hosts, words[4:], strict=True))
    return ProxyHeader(version=1, client=client, server=server)


def check_start(header: bytes) -> None:
    """Check the bytes before the length of a header of version 2.

    Raises:
        MalformedProxyHeader: For a command, a family or a transport that cannot be.
    """
    command, family = header[12], header[13]
    if command not in (LOCAL, PROXY):
        raise MalformedProxyHeader(f"version and command are {command:#04x}, of 0x20 and 0x21")
    if command == PROXY and (family >> 4 > 3 or family & 15 > 1):
        raise MalformedProxyHeader(f"address family and transport are {family:#04x}, of 0x11, 0x21, 0x31 and 0x00")


def read_v2(header: bytes) -> ProxyHeader:
    """Read a whole header of version 2 (2.2)."""
    check_start(header)
    command, family = header[12], header[13]
    if command == LOCAL:  # 2.2: all that follows is discarded
        return ProxyHeader(version=2, local=True)
    if family not in SIZES:  # UNSPEC: the proxy does not know
        return ProxyHeader(version=2)
    start = FIXED + SIZES[family]
    if len(header) < start:
        raise MalformedProxyHeader(f"{len(header) - FIXED} bytes are too few for its addresses")
    client, server = read_addresses(family, header[FIXED:start])
    tlvs = tuple(read_tlvs(header[start:]))
    tls = None
    if sum(kind == CRC32C for kind, _ in tlvs) > 1:  # each takes a look at all bytes
        raise MalformedProxyHeader("it has several checksums")
    for kind, value in tlvs:
        if kind == CRC32C and (len(value) != 4 or int.from_bytes(value, "big") != checksum(header, value, start)):
            raise MalformedProxyHeader("its checksum is wrong")
        if kind == AUTHORITY:
            text_of(value)
        if kind == SSL:
            tls = read_tls(value)
    kept = tuple((kind, value) for kind, value in tlvs if kind != NOOP)
    return ProxyHeader(version=2, client=client, server=server, tlvs=kept, tls=tls)


def read_addresses(family: int, block: bytes) -> tuple[Address, Address]:
    if family == UNIX:
        return ("", 0), ("", 0)
    form, kind = ("!4s4sHH", IPv4Address) if family == INET else ("!16s16sHH", IPv6Address)
    source, destination, source_port, destination_port = struct.unpack(form, block)
    client, server = (canonical_address(str(kind(raw))) for raw in (source, destination))
    return (client, source_port), (server, destination_port)


def read_tlvs(block: bytes) -> Iterable[tuple[int, bytes]]:
    start = 0
    while start < len(block):
        end = start + 3 + int.from_bytes(block[start + 1 : start + 3], "big")
        if len(block) < start + 3 or len(block) < end:
            raise MalformedProxyHeader("a further value (TLV) is longer than the header")
        yield block[start], block[start + 3 : end]
        start = end


def read_tls(value: bytes) -> ProxiedTLS | None:
    """Read the value about the client's TLS (2.2.5)."""
    if len(value) < 5:
        raise MalformedProxyHeader("its value about TLS is too short")
    flags, verified = value[0], value[1:5] == bytes(4)
    inner = dict(reversed(list(read_tlvs(value[5:]))))
    version, name, cipher = (text_of(inner.get(kind, b"")) for kind in (TLS_VERSION, COMMON_NAME, CIPHER))
    if not flags & OVER_TLS:
        return None
    known = verified and flags & HAS_CERTIFICATE
    return ProxiedTLS(version=version, cipher=cipher, client_name=name if known else "")


def text_of(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise MalformedProxyHeader("a further value (TLV) is not UTF-8") from None


def checksum(header: bytes, value: bytes, start: int) -> int:
    """Return the CRC32c of a header, with zeros in the place of the checksum (2.2.3)."""
    place = start
    while header[place] != CRC32C:
        place += 3 + int.from_bytes(header[place + 1 : place + 3], "big")
    return crc32c(header[: place + 3] + bytes(len(value)) + header[place + 3 + len(value) :])


@lru_cache(maxsize=1)
def crc_table() -> tuple[int, ...]:
    table = []
    for entry in range(256):
        for _ in range(8):
            entry = entry >> 1 ^ (0x82F63B78 if entry & 1 else 0)
        table.append(entry)
    return tuple(table)


def crc32c(data: bytes) -> int:
    table, value = crc_table(), 0xFFFFFFFF
    for byte in data:
        value = value >> 8 ^ table[(value ^ byte) & 0xFF]
    return value ^ 0xFFFFFFFF


def encode_proxy_v2(
    client: Address | None,
    server: Address | None = None,
    *,
    tlvs: Iterable[tuple[int, bytes]] = (),
    with_checksum: bool = False,
    most: int = MOST_BYTES,
) -> bytes:
    """Make a header of version 2.

    Args:
        client: Address and port of the client; ``("", 0)`` for a unix socket. None makes a header for a
            connection of our own, which has no further values.
        server: Address and port that it connected to; by default the unspecified address and port 0.
        tlvs: Further values: types and bytes.
        with_checksum: Whether to add a CRC32c.
        most: Bytes that the header can have.

    Raises:
        ValueError: For an address that is none, a port outside 0 to 65535, or a header that is too large.
    """
    if client is None:
        return SIGNATURE + bytes((LOCAL, 0, 0, 0))
    family, block = encoded_addresses(client, server)
    values = [(CRC32C, bytes(4)), *tlvs] if with_checksum else list(tlvs)
    if any(len(value) > 0xFFFF for _, value in values):
        raise ValueError("a further value (TLV) has at most 65535 bytes")
    block += b"".join(struct.pack("!BH", kind, len(value)) + value for kind, value in values)
    if FIXED + len(block) > most:
        raise ValueError(f"a PROXY header has at most {most} bytes, not {FIXED + len(block)}")
    header = SIGNATURE + struct.pack("!BBH", PROXY, family, len(block)) + block
    if with_checksum:
        place = FIXED + SIZES[family] + 3
        header = header[:place] + crc32c(header).to_bytes(4, "big") + header[place + 4 :]
    return header


def encoded_addresses(client: Address, server: Address | None) -> tuple[int, bytes]:
    """Return the family of two addresses, and their block; IPv4 beside IPv6 is written as IPv6."""
    if not client[0]:
        return UNIX, bytes(SIZES[UNIX])
    client = canonical_address(client[0]), client[1]
    server = None if server is None else (canonical_address(server[0]), server[1])
    wide = any(":" in host for host, _ in (client, server or client))
    if server is None:
        server = "::" if wide else "0.0.0.0", 0
    for _, port in (client, server):
        if not 0 <= port <= 65535:
            raise ValueError(f"a port is an int from 0 to 65535, not {port}")
    if wide:
        hosts = [IPv6Address(host if ":" in host else f"::ffff:{host}").packed for host, _ in (client, server)]
    else:
        hosts = [IPv4Address(host).packed for host, _ in (client, server)]
    return INET6 if wide else INET, b"".join(hosts) + struct.pack("!HH", client[1], server[1])
