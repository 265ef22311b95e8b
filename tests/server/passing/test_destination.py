"""The worker of a newcomer, by the first bytes that it sends."""

from __future__ import annotations

import pytest

from tests.server.worker_rooms import head
from wsframe import Registry, Resource, healthz, static_file
from wsframe.connection.memory_budget import Budget
from wsframe.http.responses import HttpHandler
from wsframe.net.proxy_protocol import encode_proxy_v2
from wsframe.net.trusted_proxies import TrustedProxies
from wsframe.resources.routing.registries import Registries
from wsframe.resources.routing.worker_of_path import Whereabouts
from wsframe.server.newcomers.disconnects import Disconnects
from wsframe.server.newcomers.plain_http import PlainHttp
from wsframe.server.passing.destination import Signpost
from wsframe.server.sockets.listen import Bound
from wsframe.workers.partitions import EVERYWHERE, ONE
from wsframe.workers.placement import Placement

MAX_HEAD = 1000


def signpost(handler: HttpHandler | None = None, *, resource: bool = True) -> Signpost:
    registry = Registry(alone=True)
    if resource:
        registry.register("/lobby", Resource())
    registry.route("/healthz", healthz)
    registry.route("/file", static_file(__file__))
    places = Whereabouts(Registries([registry]), Placement(1, 2))
    places.learn()
    disconnects: Disconnects = object()  # type: ignore[assignment]
    pages = PlainHttp([registry], handler, 0, Budget(1), disconnects)
    return Signpost(places, pages, Placement(1, 2), MAX_HEAD, TrustedProxies(["127.0.0.1"]))


def place(*, proxied: bool = False) -> Bound:
    return Bound(sock=None, proxy_protocol=proxied)  # type: ignore[arg-type]


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode()


@pytest.mark.parametrize(
    ("data", "partition"),
    [
        (head("/lobby"), ONE),
        (head("/lobby?a=b"), ONE),
        (head("/lobby") + b"\r\n\r\n\x81\x80", ONE),
        (head("/nothing"), EVERYWHERE),
        (get("/lobby"), EVERYWHERE),
        (get("/healthz"), EVERYWHERE),
        (get("/file"), EVERYWHERE),
        (get("/nothing"), EVERYWHERE),
        (b"\x16\x03\x01 TLS \n\n", EVERYWHERE),
        (b"x" * (MAX_HEAD + 1), EVERYWHERE),
        (b"\r\n" + head("/lobby"), ONE),
        (b"\r\n\r\n" + head("/lobby"), ONE),
        (b"\r\n\r\n\r\n" + head("/lobby"), EVERYWHERE),
        (b"\n\n" + head("/lobby"), EVERYWHERE),
        (b"POST /lobby HTTP/1.1\r\nHost: a\r\n\r\n", EVERYWHERE),
        (head("/lobby").replace(b"Upgrade: websocket", b"Upgrade: h2c"), EVERYWHERE),
        (head("/lobby").replace(b"Upgrade: websocket", b"Upgrade: h2c, websocket"), ONE),
    ],
)
def test_a_whole_head_names_a_partition(data: bytes, partition: int) -> None:
    assert signpost().partition_of(place(), "127.0.0.1", data) == partition


def test_every_part_of_a_head_is_too_little() -> None:
    for data in (head("/lobby"), head("/lobby").replace(b"\r\n", b"\n"), get("/healthz")):
        for length in range(1, len(data)):
            found = signpost().partition_of(place(), "127.0.0.1", data[:length])
            assert found is None or (found, length) == (ONE, len(data) - 1), length


def test_every_part_of_a_proxy_header_is_too_little() -> None:
    for start in (b"PROXY TCP4 192.0.2.8 192.0.2.1 1 2\r\n", encode_proxy_v2(("192.0.2.7", 1))):
        data = start + head("/lobby")
        for length in range(1, len(data)):
            assert signpost().partition_of(place(proxied=True), "127.0.0.1", data[:length]) is None
        assert signpost().partition_of(place(proxied=True), "127.0.0.1", data) == ONE
        assert signpost().partition_of(place(proxied=True), "192.0.2.1", data) == EVERYWHERE


@pytest.mark.parametrize("start", [b"", encode_proxy_v2(("192.0.2.7", 1))])
@pytest.mark.parametrize("empty", [b"\r\n", b"\r\n\r\n"])
def test_every_part_of_a_head_after_empty_lines_is_too_little(empty: bytes, start: bytes) -> None:
    """Else a newcomer would be answered by a worker that does not have its resource."""
    data, bound = start + empty + head("/lobby"), place(proxied=start != b"")
    for length in range(1, len(data)):
        assert signpost().partition_of(bound, "127.0.0.1", data[:length]) is None
    assert signpost().partition_of(bound, "127.0.0.1", data) == ONE


def test_a_wrong_proxy_header_is_answered_where_it_came() -> None:
    assert signpost().partition_of(place(proxied=True), "127.0.0.1", head("/lobby")) == EVERYWHERE


def test_a_newcomer_with_tls_stays_where_it_came() -> None:
    bound = Bound(sock=None, tls=lambda received: None)  # type: ignore[arg-type]
    assert signpost().partition_of(bound, "127.0.0.1", b"\x16") == EVERYWHERE


def test_an_http_handler_of_the_program_answers_in_the_first_worker() -> None:
    async def page(request: object) -> None: ...

    handler: HttpHandler = page  # type: ignore[assignment]
    assert signpost(handler).partition_of(place(), "127.0.0.1", get("/any")) == ONE
    assert signpost(static_file(__file__)).partition_of(place(), "127.0.0.1", get("/any")) == EVERYWHERE
    assert signpost(handler, resource=False).partition_of(place(), "127.0.0.1", head("/any")) == EVERYWHERE
