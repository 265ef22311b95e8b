"""A frozen connection as a document of JSON values and bytes, for another process.

It is not pickled, so that reading it runs no code. Values stand in it without their names, which are the same for
thousands of clients. Its request begins with a digest of all names instead, so that the document of a version of
wsframe with other fields is refused.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields
from functools import lru_cache
from hashlib import blake2b
from operator import attrgetter
from typing import Any

from wsframe.connection.freeze import FrozenConnection, FrozenRequest
from wsframe.limits import Limits, Timeouts
from wsframe.net.proxy_protocol import ProxiedTLS, ProxyHeader
from wsframe.protocol.deadlines import DeadlineOffsets
from wsframe.protocol.deflate import Deflate, Terms
from wsframe.protocol.events import PongReceived

__all__ = ["from_document", "request_document", "request_of", "to_document"]


NAMES = tuple(field.name for field in fields(FrozenConnection))
REQUEST_NAMES = tuple(field.name for field in fields(FrozenRequest))
SHAPE = blake2b(
    repr((NAMES, REQUEST_NAMES, DeadlineOffsets._fields, Terms._fields)).encode(), digest_size=8
).hexdigest()
"""Tells documents of this version from those with other fields."""
OFTEN_EMPTY = "undecoded", "window"
"""Bytes that are None in a document if there are none: each byte string has a place of its own there."""
values_of: Callable[[FrozenConnection], tuple[Any, ...]] = attrgetter(*NAMES)
values_of_request: Callable[[FrozenRequest], tuple[Any, ...]] = attrgetter(*REQUEST_NAMES)


# Thousands of clients share a few settings: each is written and read once.


@lru_cache
def text_of(settings: Limits | Timeouts | Deflate) -> str:
    """Write settings as text."""
    return json.dumps(asdict(settings))


@lru_cache
def limits_of(text: str) -> Limits:
    return Limits(**json.loads(text))


@lru_cache
def timeouts_of(text: str) -> Timeouts:
    return Timeouts(**json.loads(text))


@lru_cache
def deflate_of(text: str) -> Deflate:
    return Deflate(**json.loads(text))


def to_document(frozen: FrozenConnection) -> list[object]:
    """Return the document of a frozen connection, whose ``data`` must be JSON values or bytes."""
    values = dict(zip(NAMES, values_of(frozen), strict=True))
    values["request"] = request_document(frozen.request)
    if frozen.messages:
        values["messages"] = [[one.payload] if isinstance(one, PongReceived) else one for one in frozen.messages]
    values["limits"], values["timeouts"] = text_of(frozen.limits), text_of(frozen.timeouts)
    values["deflate"] = None if frozen.deflate is None else text_of(frozen.deflate)
    for name in OFTEN_EMPTY:
        values[name] = values[name] or None
    return list(values.values())


def request_document(request: FrozenRequest) -> list[object]:
    """Return the document of a request."""
    *values, proxy = values_of_request(request)
    return [SHAPE, *values, None if proxy is None else asdict(proxy)]


def from_document(document: Sequence[Any]) -> FrozenConnection:
    """Return the frozen connection of a document.

    Raises:
        ValueError: If it is not the document of one, or of another version of wsframe.
    """
    try:
        values = dict(zip(NAMES, document, strict=True))
        values["request"] = request_of(values["request"])
        values["messages"] = tuple(PongReceived(*one) if isinstance(one, list) else one for one in values["messages"])
        values["limits"], values["timeouts"] = limits_of(values["limits"]), timeouts_of(values["timeouts"])
        values["deflate"] = None if values["deflate"] is None else deflate_of(values["deflate"])
        values["terms"] = None if values["terms"] is None else Terms(*values["terms"])
        values["times"] = DeadlineOffsets(*values["times"])
        values["pings"] = tuple((payload, age) for payload, age in values["pings"])
        values["members"] = tuple((topic, key, info) for topic, key, info in values["members"])
        for name in ("topics", "unsent", "tokens"):
            values[name] = tuple(values[name])
        for name in OFTEN_EMPTY:
            values[name] = values[name] or b""
        return FrozenConnection(**values)
    except (TypeError, KeyError, ValueError) as error:
        raise ValueError(f"not a connection of this version of wsframe: {error}") from error


def request_of(document: Sequence[Any]) -> FrozenRequest:
    """Return the request of a document.

    Raises:
        ValueError: If it is of another version of wsframe.
    """
    shape, *values, proxy = document
    if shape != SHAPE:
        raise ValueError(f"it has fields {shape!r}, not {SHAPE!r}")
    return FrozenRequest(**dict(zip(REQUEST_NAMES, (*values, None if proxy is None else proxy_of(proxy)), strict=True)))


def proxy_of(document: Mapping[str, Any]) -> ProxyHeader:
    values = dict(document)
    for name in ("client", "server"):
        values[name] = None if values[name] is None else tuple(values[name])
    values["tlvs"] = tuple((kind, value) for kind, value in values["tlvs"])
    values["tls"] = None if values["tls"] is None else ProxiedTLS(**values["tls"])
    return ProxyHeader(**values)
