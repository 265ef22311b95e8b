"""The corpus of proxies' headers and fields; nothing here imports wsframe, which the fuzzer has to do first."""

import struct
from collections.abc import Iterator

__all__ = ["fields", "headers"]

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
ADDRESSES = bytes((192, 0, 2, 1, 203, 0, 113, 5)) + struct.pack("!HH", 5000, 443)


def v2(*tlvs: tuple[int, bytes], command: int = 0x21, family: int = 0x11, addresses: bytes = ADDRESSES) -> bytes:
    block = addresses + b"".join(struct.pack("!BH", kind, len(value)) + value for kind, value in tlvs)
    return SIGNATURE + struct.pack("!BBH", command, family, len(block)) + block


def headers() -> Iterator[tuple[str, bytes]]:
    """Make inputs of :func:`tests.fuzz.proxied.proxied`."""
    yield "v1", b"\x05\0PROXY TCP4 192.0.2.1 203.0.113.5 5000 443\r\nGET / HTTP/1.1\r\n"
    yield "v1-ipv6", b"\x05\0PROXY TCP6 2001:db8::1 ::ffff:192.0.2.1 0 65535\r\n"
    yield "v1-unknown", b"\x05\0PROXY UNKNOWN and more\r\n\x16\x03\x01"
    yield "v1-long", b"\x05\0PROXY UNKNOWN " + b"x" * 100 + b"\r\n"
    tlvs = [(1, b"http/1.1"), (2, b"chat.example"), (5, b"id"), (4, b"\0\0")]
    tls = (0x20, b"\x07\0\0\0\0\x21\0\x07TLSv1.3\x22\0\x03Ann")
    yield "v2", b"\x05\0" + v2() + b"more"
    yield "v2-values", b"\x05\0" + v2(*tlvs, tls)
    yield "v2-checksum", b"\x05\0" + v2((3, b"OZ\xcc{"))
    yield "v2-unix", b"\x05\0" + v2(family=0x31, addresses=bytes(216))
    yield "v2-ipv6", b"\x05\0" + v2(family=0x21, addresses=bytes(15) + b"\1" + bytes(15) + b"\2\0\1\0\2")
    yield "v2-local", b"\x05\0" + v2(command=0x20, family=0, addresses=b"") + b"GET /"
    yield "http", b"\x05\0GET / HTTP/1.1\r\n"


def fields() -> Iterator[tuple[str, bytes]]:
    """Make inputs of :func:`tests.fuzz.proxied.forwarded`: lines that begin with the number of a field."""
    yield "list", b"\x00198.51.100.1, 10.0.0.1:80, [2001:db8::1]:443,, unknown"
    yield "forwarded", b'\x01for="[2001:db8::1]:443";proto=https;host=a.example, for=_x;by="a, \\"b"'
    yield "open", b'\x01for="198.51.100.1\\\n\x01for=10.0.0.1;for=x'
    yield "all", b"\x00198.51.100.1\n\x01for=198.51.100.1\n\x02198.51.100.1\n\x03https, wss\n\x04a.example, [::1]:80"
    yield "contradiction", b"\x00198.51.100.1\n\x02198.51.100.2\n\x05192.0.2.9"
