"""A frozen connection leaves no part of the connection behind by mistake, and comes out of a document as it was."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any

import pytest

from wsframe.connection.closing import Closing
from wsframe.connection.freeze import FrozenConnection, FrozenRequest
from wsframe.connection.frozen_document import SHAPE, from_document, to_document
from wsframe.connection.leaving import Leaving
from wsframe.connection.link import Link
from wsframe.connection.mailbox import Inbox
from wsframe.connection.outbox import Outbox
from wsframe.connection.pings import Pings
from wsframe.connection.readiness import Readiness
from wsframe.http.request import Request
from wsframe.limits import DEFAULT_LIMITS, DEFAULT_TIMEOUTS
from wsframe.net.proxy_protocol import ProxiedTLS, ProxyHeader
from wsframe.protocol.deadlines import DeadlineOffsets, Deadlines
from wsframe.protocol.decoder import Decoder
from wsframe.protocol.deflate import Deflate, Deflater, Terms
from wsframe.protocol.events import PongReceived
from wsframe.protocol.rate_limit import Buckets
from wsframe.resources.client import Client
from wsframe.workers.state_file import open_parcel, pack_parcel

# Why a part does not go along.
ANEW = "-made by the new link"
OPEN = "-has this one value as long as the connection is open and between two messages"
STAYS = "-is of this process: a task, a context or a call that waits"

PARTS: dict[type, dict[str, str]] = {
    Link: {
        "buckets": "tokens", "_undecoded": "undecoded", "counters": ANEW, "by_c": ANEW, "client": "id", "clock": ANEW,
        "closing": OPEN, "connection": "terms", "fd": ANEW, "inbox": "messages", "leaving": OPEN, "loop": ANEW,
        "bytes_received": "bytes_received", "opened_at": "seconds", "outbox": "unsent", "pings_made": "pings",
        "raw_fd": ANEW, "readiness": "paused", "sender": ANEW, "transport": ANEW,
    },
    Client: {
        "__weakref__": ANEW, "_context": STAYS, "_encoder": "deflate", "_ended": OPEN, "_id": "id", "_link": ANEW,
        "_outbox": ANEW, "_rejected": OPEN, "_request": "request", "_resource": ANEW, "_subprotocol": "subprotocol",
        "_tasks": STAYS, "data": "data",
    },
    Decoder: {
        "_check": ANEW, "_checked": ANEW, "_engine": OPEN, "_held": "undecoded", "_lane_limit": "limits",
        "limits": "limits", "_masked": OPEN, "_payload": "undecoded", "_seeker": OPEN, "_wanted": ANEW,
        "deadlines": "times", "inflate": "window", "byte_count": ANEW, "special": ANEW, "state": OPEN, "stopped": ANEW,
        "undecoded": "undecoded",
    },
    Deadlines: {
        "_in_kernel": "times", "blocked_at": "times", "close_by": OPEN, "heard_at": "times", "latency": "times",
        "paused": "paused", "ping_at": "times", "ping_payload": "times", "resume_at": "times",
        "scheduled": ANEW, "timeouts": "timeouts",
    },
    Inbox: {
        "budget": ANEW, "client": ANEW, "entries": "messages", "mailbox": ANEW, "max_messages": "limits",
        "max_bytes": "limits", "move": OPEN, "muted": OPEN, "byte_count": "messages", "paused": "paused",
        "received": "messages_received", "reader": ANEW, "waiting": "messages",
    },
    Outbox: {
        "_dirty": ANEW, "_few": "limits", "_flusher": ANEW, "_limit": "limits", "_noted": ANEW, "send": ANEW,
        "_small": "limits", "_willing": "blocked", "blocked": "blocked", "drained": STAYS,
        "dropped": "messages_dropped",
        "messages_sent": "messages_sent", "bytes_sent": "bytes_sent", "overflow": "overflow", "peak": "queue_peak",
        "raw_fd": ANEW, "shut": OPEN, "owner": ANEW,
        "_holes": ANEW, "_latest": STAYS, "_offset": "begun", "_start": ANEW, "items": "unsent", "byte_count": "unsent",
    },
    Deflater: {"_compressor": ANEW, "options": "deflate", "terms": "terms", "volume": ANEW},
    Pings: {"_clock": ANEW, "_outbox": ANEW, "_waiting": "pings"},
    Readiness: {"_poller": ANEW, "eof": OPEN, "fd": ANEW, "held": ANEW, "interest": "paused"},
    Buckets: {"_buckets": "tokens"},
    Closing: dict.fromkeys(("_close_frame", "_patience", "_sent_mark", "ended", "phase"), OPEN)
    | {"_link": ANEW, "_side": ANEW},
    Leaving: dict.fromkeys(("_delivered", "_first", "_linger_until", "left_resource"), OPEN)
    | {"_gone": STAYS, "_link": ANEW, "reservation": ANEW},
}  # fmt: skip
"""Each part of a connection, with the field of the frozen connection in which it goes along, or why it does not."""


def slots(cls: type) -> set[str]:
    return {name for one in cls.__mro__ for name in vars(one).get("__slots__", ())}


@pytest.mark.parametrize("cls", list(PARTS), ids=lambda cls: cls.__name__)
def test_each_part_of_a_connection_goes_along_or_has_a_reason_to_stay(cls: type) -> None:
    assert slots(cls) == set(PARTS[cls])


def test_the_fields_named_exist_and_all_are_named() -> None:
    named = {field for parts in PARTS.values() for field in parts.values() if not field.startswith("-")}
    existing = {field.name for field in fields(FrozenConnection)}
    assert named <= existing
    assert existing - named == {"topics", "members"}, "which the life of the resource knows"


def test_each_part_of_a_request_goes_along() -> None:
    kept = {field.name for field in fields(FrozenRequest)}
    stay = {"_parsed", "body", "peer_certificate", "peer_certificate_der"}  # of plain HTTP, or of our own TLS
    assert slots(Request) - stay == (kept - {"target", "head"}) | {"path", "query_string", "_head"}


PROXIES = [
    None,
    ProxyHeader(version=1, client=("::1", 5), server=("::2", 6)),
    ProxyHeader(version=2, local=True, tlvs=((1, b"h2"), (0xE0, b"\xff")), tls=ProxiedTLS(version="TLSv1.3")),
]


def connections() -> Iterator[FrozenConnection]:
    plain = FrozenConnection(
        request=FrozenRequest(
            target="/a%20b?c", head="host\r\nx\r\nx\r\n\xff", method="GET", host="::1", port=5, secure=True,
            path_params={"bytes": "0"}, proxy=None,
        ),
        id=None, subprotocol=None, data=None, limits=DEFAULT_LIMITS, timeouts=DEFAULT_TIMEOUTS, overflow="disconnect",
        deflate=None, terms=None, messages=(), undecoded=b"", window=b"", unsent=(), begun=0, blocked=False,
        paused=False, times=DeadlineOffsets(0, None, b"", None, None, 0, None), pings=(), tokens=(), seconds=0.5,
        queue_peak=0, messages_received=0, messages_sent=0, bytes_received=0, bytes_sent=0, messages_dropped=0,
    )  # fmt: skip
    yield from (replace(plain, request=replace(plain.request, proxy=proxy)) for proxy in PROXIES)
    yield replace(
        plain, id="5" * 32, data={"bytes": [b"\0", {"object": 1}]}, topics=("news", ""), deflate=Deflate(),
        members=(("news", "ann", {"bytes": None}),),
        terms=Terms(15, 9, False, False, "permessage-deflate", True), messages=("", b"", PongReceived(b"p"), "é\0"),
        undecoded=b"\x81", unsent=(b"\x81\x00", b""), begun=1, blocked=True,
        times=DeadlineOffsets(1, 2, b"12345678", 3, 4, 5, 6), pings=((b"12345678", 0.5),), tokens=(None, -3.0),
    )  # fmt: skip


@pytest.mark.parametrize("frozen", list(connections()))
def test_it_comes_out_of_its_document_as_it_was(frozen: FrozenConnection) -> None:
    assert from_document(open_parcel(pack_parcel(to_document(frozen)))) == frozen


def changed(**values: Any) -> list[Any]:
    document: list[Any] = open_parcel(pack_parcel(to_document(next(connections()))))
    names = [field.name for field in fields(FrozenConnection)]
    return [value for value in (dict(zip(names, document, strict=True)) | values).values() if value != "left out"]


@pytest.mark.parametrize(
    "values",
    [
        {"unknown": 1},
        {"times": "left out"},
        {"times": [1]},
        {"limits": {"most": 1}},
        {"limits": '{"most": 1}'},
        {"timeouts": "{"},
        {"request": None},
        {"request": []},
        {"request": [SHAPE]},
        {"request": [SHAPE[::-1], "/", "", "GET", "", 0, False, {}, None]},
        {"terms": 5},
    ],
)
def test_another_document_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="not a connection of this version of wsframe"):
        from_document(changed(**values))


@pytest.mark.parametrize("document", [None, 5, {}, "connection", []])
def test_nothing_else_is_taken_for_a_connection(document: Any) -> None:
    with pytest.raises(ValueError, match="not a connection of this version of wsframe"):
        from_document(document)
