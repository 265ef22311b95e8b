"""Trusted proxies' word about a request: its client, whether that used TLS, and the host it asked for.

Three kinds of field name the client. Each proxy writes the address that it was called from behind those that were
there, so the nearest proxy wrote the rightmost entry, and anybody can have written the leftmost. Read
from the right, the first address that is not a trusted proxy's is the client's.

* A hop that cannot be read (``unknown``, ``_hidden``, garbage) ends the walk: the trusted proxy that wrote it is
  the nearest that is known, and counts as the client.
* ``X-Forwarded-For`` goes before ``Forwarded``, and that before ``X-Real-IP``. A proxy passes on fields that it
  does not know, so that any of them can be the client's invention: two that name different clients are refused.
* ``X-Forwarded-Proto`` and ``X-Forwarded-Host`` go before the parameters of ``Forwarded``. A list that is as long
  as that of addresses has its entry at the same place; of any other the nearest entry counts.

Source: RFC 7239.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from re import compile as pattern
from typing import NamedTuple

from wsframe.http.origins import HOST, split_host
from wsframe.http.responses import refusing
from wsframe.net.trusted_proxies import TrustedProxies, canonical_address

__all__ = ["Seen", "seen_by_proxies"]

Address = tuple[str, int]
Fields = list[tuple[bytes, bytes]]

# Hops that are looked at. No chain of proxies is as long; a list of thousands is an attack.
MOST_HOPS = 100
# Commas inside the quotes of one element of Forwarded.
MOST_COMMAS = 8

SPACE = " \t"
NODE = pattern(r"(?:\[([0-9A-Fa-f:.]+(?:%[^\]]*)?)\]|([0-9.]+))(?::([0-9]{1,5}|_[0-9A-Za-z._-]+))?", 0)
# RFC 7239 section 4. A pair can be empty. Beside a token, a value can have the signs of an address, which some proxies
# do not quote.
PAIR = pattern(
    r"[ \t]*(?:([-!#$%&'*+.^_`|~0-9A-Za-z]+)="
    r"""(?:([-!#$%&'*+.^_`|~0-9A-Za-z:\[\]]+)|"((?:[^"\\]|\\.)*)")[ \t]*)?(;|$)"""
)
ESCAPED = pattern(r"\\(.)")
SECURE = {"https": True, "wss": True, "http": False, "ws": False}


class Seen(NamedTuple):
    """A request as the trusted proxies saw it."""

    host: str
    """The client's address; ``""`` for the peer of a unix socket."""
    port: int
    """The client's port; 0 if no proxy says it."""
    secure: bool | None
    """Whether the client used TLS; None if no proxy says."""
    authority: bytes | None
    """The Host that the client asked for; None if no proxy says."""


class Walk(NamedTuple):
    """A walk along a list of hops, from the right."""

    address: Address
    """The client's, or that of the nearest proxy that is known."""
    known: bool
    """Whether it is the client's."""
    passed: int
    """How many trusted hops stand at the right of the one that ended it."""


def seen_by_proxies(fields: Fields, host: str, port: int, proxies: TrustedProxies) -> Seen:
    """Read the fields in which proxies name their clients.

    Args:
        fields: The fields of the request, names in lower case.
        host, port: The address of the peer, which is a trusted proxy.
        proxies: All that are trusted.

    Raises:
        Reject: 400 if two kinds of field name different clients.
    """
    parts = values_of(fields, b"forwarded")
    elements: list[dict[str, str]] = []
    hops = values_of(fields, b"x-forwarded-for")[::-1]
    walks: dict[str, Walk] = {}
    if hops:
        walks["X-Forwarded-For"] = walk(map(read_node, hops), (host, port), proxies)
    if parts:
        walks["Forwarded"] = walk(nodes_from_right(parts, elements), (host, port), proxies)
    real = values_of(fields, b"x-real-ip")[-1:]
    if real and (node := read_node(real[0])) is not None and (not walks or not proxies.trusts(node[0])):
        walks["X-Real-IP"] = Walk(node, True, 0)
    check_agreement(walks)
    found = next(iter(walks.values()), Walk((host, port), False, 0))
    element = elements[walks["Forwarded"].passed] if elements else {}
    scheme = entry_beside(values_of(fields, b"x-forwarded-proto"), hops, found.passed)
    name = entry_beside(values_of(fields, b"x-forwarded-host"), hops, found.passed)
    return Seen(
        *found.address,
        secure_of(scheme, element.get("proto", "")),
        authority_of(name, element.get("host", "")),
    )


def values_of(fields: Fields, name: bytes) -> list[str]:
    """Return the entries of a list, of all fields with a name, without empty ones."""
    joined = ",".join(value.decode("latin-1") for key, value in fields if key == name)
    return [entry for part in joined.split(",") if (entry := part.strip(SPACE))]


def walk(hops: Iterable[Address | None], peer: Address, proxies: TrustedProxies) -> Walk:
    """Go from the peer to the first hop that is not a trusted proxy.

    Args:
        hops: Its list from the right; None for a hop that cannot be read.
        peer: The address of the peer.
        proxies: All that are trusted.
    """
    nearest, passed = peer, 0
    for passed, hop in enumerate(hops):
        if hop is None or passed == MOST_HOPS:
            return Walk(nearest, False, passed)
        nearest = hop
        if not proxies.trusts(hop[0]):
            break
    return Walk(nearest, True, passed)


def check_agreement(walks: dict[str, Walk]) -> None:
    """Refuse a request whose fields name two clients: one of them can be invented.

    Raises:
        Reject: 400, with the names of the fields.
    """
    known = [(name, one.address[0]) for name, one in walks.items() if one.known]
    for (name, client), (other, another) in pairwise(known):
        if client != another:
            raise refusing(
                400,
                f"{name} names the client {client}, and {other} {another}: "
                "the proxy must remove the field that it does not set",
            )


def nodes_from_right(parts: list[str], elements: list[dict[str, str]]) -> Iterator[Address | None]:
    """Yield the nodes that the elements of Forwarded name, the last one first; note each element.

    From the right, because a quotation mark that the client has left open would swallow all that proxies
    have added behind it.

    Args:
        parts: All that stands between commas, which can be inside of quotation marks too.
        elements: Gets each element that was read, an empty one for the first that cannot be.
    """
    end = len(parts)
    while end:
        element: dict[str, str] = {}
        start = end
        while start and not element and end - start <= MOST_COMMAS:
            start -= 1
            element = read_element(",".join(parts[start:end]))
        elements.append(element)
        yield read_node(element.get("for", ""))
        end = start


def read_element(text: str) -> dict[str, str]:
    """Read one element of Forwarded; an empty dict for one that is malformed."""
    pairs: dict[str, str] = {}
    place, more = 0, True
    while more:
        found = PAIR.match(text, place)
        if found is None or (found[1] or "").lower() in pairs:
            return {}
        if found[1] is not None:
            value = found[2] if found[2] is not None else ESCAPED.sub(r"\1", found[3])
            pairs[found[1].lower()] = value
        place, more = found.end(), bool(found[4])
    return pairs


def read_node(text: str) -> Address | None:
    """Read an address with or without a port; None for ``unknown``, hidden and malformed ones."""
    try:
        if text.count(":") > 1 and not text.startswith("["):
            return canonical_address(text), 0
        found = NODE.fullmatch(text)
        if found is None:
            return None
        port = int(found[3]) if found[3] and found[3].isdigit() else 0
        return (canonical_address(found[1] or found[2]), port) if port < 65536 else None
    except ValueError:
        return None


def entry_beside(entries: list[str], hops: list[str], passed: int) -> str:
    """Return the entry that the proxy wrote which wrote the client's address; the nearest one where that is open."""
    if not entries:
        return ""
    return entries[-1 - passed] if len(entries) == len(hops) else entries[-1]


def secure_of(*schemes: str) -> bool | None:
    """Return whether the first scheme that there is stands for TLS; None without any."""
    return next((SECURE[scheme.lower()] for scheme in schemes if scheme.lower() in SECURE), None)


def authority_of(*names: str) -> bytes | None:
    """Return the first name that can stand in Host; None without any."""
    for name in names:
        if HOST.fullmatch(name) and split_host(name)[0]:
            return name.encode("ascii")
    return None
