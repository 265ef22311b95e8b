"""A frozen connection as a document of JSON values and bytes, for another process.

It is not pickled, so that reading it runs no code. A document with other fields than these, of another version of
wsframe, is refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from functools import lru_cache
from typing import Any

from wsframe.connection.freeze import FrozenConnection, FrozenRequest
from wsframe.limits import Limits, Timeouts
from wsframe.net.proxy_protocol import ProxiedTLS, ProxyHeader
from wsframe.protocol.deadlines import Times
from wsframe.protocol.deflate import Deflate, Terms
from wsframe.protocol.events import PongReceived

__all__ = ["from_document", "request_document", "request_of", "to_document"]


NAMES = tuple(field.name for field in fields(FrozenConnection))
REQUEST_NAMES = tuple(field.name for field in fields(FrozenRequest))


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


def to_document(frozen: FrozenConnection) -> dict[str, object]:
    """Return the document of a frozen connection, whose ``data`` must be JSON values or bytes."""
    document: dict[str, object] = {name: getattr(frozen, name) for name in NAMES}
    document["request"] = request_document(frozen.request)
    document["messages"] = [[one.payload] if isinstance(one, PongReceived) else one for one in frozen.messages]
    document["limits"], document["timeouts"] = text_of(frozen.limits), text_of(frozen.timeouts)
    document["deflate"] = None if frozen.deflate is None else text_of(frozen.deflate)
    return document


def request_document(request: FrozenRequest) -> dict[str, Any]:
    """Return the document of a request."""
    document = {name: getattr(request, name) for name in REQUEST_NAMES}
    if request.proxy is not None:
        document["proxy"] = asdict(request.proxy)
    return document


def from_document(document: Mapping[str, Any]) -> FrozenConnection:
    """Return the frozen connection of a document.

    Raises:
        ValueError: If it is not the document of one, or of another version of wsframe.
    """
    values = dict(document)
    try:
        values["request"] = request_of(values["request"])
        values["messages"] = tuple(PongReceived(*one) if isinstance(one, list) else one for one in values["messages"])
        values["limits"], values["timeouts"] = limits_of(values["limits"]), timeouts_of(values["timeouts"])
        values["deflate"] = None if values["deflate"] is None else deflate_of(values["deflate"])
        values["terms"] = None if values["terms"] is None else Terms(*values["terms"])
        values["times"] = Times(*values["times"])
        values["pings"] = tuple((payload, age) for payload, age in values["pings"])
        values["members"] = tuple((topic, key, info) for topic, key, info in values["members"])
        for name in ("topics", "unsent", "tokens"):
            values[name] = tuple(values[name])
        return FrozenConnection(**values)
    except (TypeError, KeyError, ValueError) as error:
        raise ValueError(f"not a connection of this version of wsframe: {error}") from error


def request_of(document: Mapping[str, Any]) -> FrozenRequest:
    """Return the request of a document."""
    values = dict(document)
    values["fields"] = [(name, value) for name, value in values["fields"]]
    values["proxy"] = None if values["proxy"] is None else proxy_of(values["proxy"])
    return FrozenRequest(**values)


def proxy_of(document: Mapping[str, Any]) -> ProxyHeader:
    values = dict(document)
    for name in ("client", "server"):
        values[name] = None if values[name] is None else tuple(values[name])
    values["tlvs"] = tuple((kind, value) for kind, value in values["tlvs"])
    values["tls"] = None if values["tls"] is None else ProxiedTLS(**values["tls"])
    return ProxyHeader(**values)
