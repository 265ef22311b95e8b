"""Requests of a scraper, by hand."""

from __future__ import annotations

from urllib.parse import urlsplit

import trio

from tests.wire import Answer

__all__ = ["get"]


async def get(address: str, path: str = "/metrics", method: str = "GET", **fields: str) -> Answer:
    """Ask for a page at the host and port of an address; ``_`` in the names of fields is ``-``."""
    place = urlsplit(address)
    assert place.hostname is not None
    assert place.port is not None
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    async with await trio.open_tcp_stream(place.hostname, place.port) as stream:
        await stream.send_all("\r\n".join([*lines, "", ""]).encode())
        data = b"".join([bytes(part) async for part in stream])
    head, _, body = data.partition(b"\r\n\r\n")
    first, *rest = head.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in rest)
    return Answer(int(first.split()[1]), {name.lower(): value.strip() for name, _, value in pairs}, body)
