"""Routes of a registry on the port of its resources: which one answers, its possible bodies, and its cost."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import wsframe
from tests.hostile.place import Place, Recorder, Served, until
from tests.local_server import local_server_of
from tests.wire import Peer, upgrade
from wsframe import Capacity, Registry, Reject, Request, Resource, Response, Timeouts, any_origin
from wsframe.testing import open_kit

Lines = Callable[[], list[str]]


async def told(request: Request) -> Response:
    """Answer with the request as a handler sees it."""
    seen = [request.method, request.path, dict(request.path_params), request.body.decode()]
    return Response(json.dumps(seen), content_type="application/json")


class Room(Resource):
    """Sends each post to all clients."""

    async def received_custom(self, message: object) -> None:
        self.broadcast_text(str(message))


def post(body: bytes, **changes: str | None) -> bytes:
    fields = {"upgrade": None, "connection": None, "content_length": str(len(body)), **changes}
    return upgrade(start="POST /hook HTTP/1.1", changes=fields) + body


async def ask(served: Served, *pieces: bytes) -> tuple[int, bytes]:
    peer = await served.connect()
    await peer.send(*pieces)
    answer = await peer.answer()
    peer.hang_up()
    return answer.status, answer.body


@pytest.fixture
def hooks() -> Registry:
    registry = Registry(alone=True)
    registry.route("/hook", told)
    return registry


async def test_a_path_has_a_page_for_get_and_a_resource_for_an_upgrade() -> None:
    registry = Registry(alone=True)
    registry.register("/chat", Room())
    registry.route("/chat", told)
    async with open_kit(registry, "/chat") as kit:
        assert json.loads((await kit.request("/chat?a=1")).body) == ["GET", "/", {}, ""]
        await kit.connect()


async def test_a_route_comes_before_http_handler_which_takes_the_rest() -> None:
    async def rest(request: Request) -> Response:
        return Response(f"rest {request.path}")

    own = Registry()
    own.route("/a", told)
    wsframe.register_global_route("/a", rest)
    wsframe.register_global_route("/b/*", told)
    try:
        async with open_kit(own, http_handler=rest) as kit:
            assert json.loads((await kit.request("/a")).body) == ["GET", "/", {}, ""]
            assert json.loads((await kit.request("/b/c")).body) == ["GET", "/c", {}, ""]
            assert (await kit.request("/c/d")).text == "rest /c/d"
            assert (await kit.request("/c/d", method="POST", body=b"x")).status == 413
    finally:
        wsframe.unregister_global_route("/a")
        wsframe.unregister_global_route("/b/*")


async def test_a_path_with_neither_is_404_and_one_with_a_resource_alone_needs_an_upgrade(hooks: Registry) -> None:
    hooks.register("/chat", Room())
    async with open_kit(hooks, "/chat") as kit:
        assert [(await kit.request(path)).status for path in ("/nothing", "/chat", "/hook/")] == [404, 426, 404]
        assert b"nothing at '/hook/'; there is a page at '/hook'" in (await kit.request("/hook/")).body
        assert (await kit.request("/nothing/")).body == b"nothing at '/nothing/'\n"
        assert (await kit.request("/chat", method="POST")).status == 405
        hooks.register("*", Room())
        assert (await kit.request("/nothing")).status == 426
        hooks.unregister("*")
        hooks.register_dispatcher(lambda request: None)
        assert (await kit.request("/nothing")).status == 426


async def test_routes_come_and_go_while_serving(hooks: Registry) -> None:
    async with open_kit(hooks) as kit:
        hooks.route("/new", told)
        assert (await kit.request("/new")).status == 200
        hooks.unregister_route("/new")
        assert (await kit.request("/new")).status == 404
        with pytest.raises(RuntimeError, match="trio's own thread"):
            await trio.to_thread.run_sync(hooks.route, "/late", told)


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE", "PATCH", "BREW"])
async def test_the_handler_decides_about_methods(hooks: Registry, method: str) -> None:
    async with open_kit(hooks) as kit:
        answer = await kit.request("/hook", method=method, body=b"body" if method != "HEAD" else b"")
        assert answer.status == 200
        if method == "HEAD":
            assert (answer.body, int(answer.headers["content-length"])) == (b"", len('["HEAD", "/", {}, ""]'))
        else:
            assert json.loads(answer.body) == [method, "/", {}, "body"]


async def test_a_handler_refuses_methods_with_405() -> None:
    async def only_post(request: Request) -> Response:
        if request.method != "POST":
            raise Reject(405, {"Allow": "POST"}, "only POST is answered here")
        return Response()

    registry = Registry(alone=True)
    registry.route("/hook", only_post)
    async with open_kit(registry) as kit:
        answer = await kit.request("/hook")
        assert (answer.status, answer.headers["allow"], answer.text) == (405, "POST", "only POST is answered here\n")
        head = await kit.request("/hook", method="HEAD")
        assert (head.status, head.body) == (405, b"")


async def test_a_webhook_posts_into_a_resource(hooks: Registry) -> None:
    room = Room()
    hooks.register("/room", room)

    @hooks.route("/rooms/{name}")
    async def hook(request: Request) -> Response:
        posted = room.post(f"{request.path_params['name']}: {json.loads(request.body)['text']}")
        return Response(status=204 if posted else 503)

    async with open_kit(hooks, "/room") as kit:
        client = await kit.connect()
        assert (await kit.request("/rooms/hall", method="POST", body=b'{"text": "hi"}')).status == 204
        assert await client.receive_text() == "hall: hi"


@pytest.mark.parametrize("method", ["POST", "DELETE", "PUT"])
async def test_pages_of_other_origins_change_nothing(hooks: Registry, method: str, caplog: Any) -> None:
    hooks.route("/open", told, any_origin)
    other = {"Origin": "https://evil.example"}
    async with open_kit(hooks) as kit:
        assert (await kit.request("/hook", method=method, headers=other, body=b"x")).status == 403
        assert (await kit.request("/hook", method=method, headers={"Origin": "null"})).status == 403
        assert (await kit.request("/hook", method=method, headers={"Origin": "http://localhost"})).status == 200
        assert (await kit.request("/open", method=method, headers=other)).status == 200
        for safe in ("GET", "HEAD", "OPTIONS"):
            assert (await kit.request("/hook", method=safe, headers=other)).status == 200


async def test_hosts_apply_to_routes(hooks: Registry) -> None:
    async with open_kit(hooks, hosts=["chat.example"]) as kit:
        assert (await kit.request("/hook", headers={"Host": "evil.example"})).status == 400
        assert (await kit.request("/hook", headers={"Host": "chat.example"})).status == 200


async def test_a_handler_that_fails_is_500_and_named_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async def broken(request: Request) -> Response:
        raise KeyError("key")

    registry = Registry(alone=True)
    registry.route("/a/*", broken)
    async with open_kit(registry) as kit:
        assert (await kit.request("/a/b?secret")).status == 500
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.getMessage().startswith("the handler test_a_handler_that_fails_is_500_and_named_in_the_log.broken")
    assert "GET '/a/b'" in record.getMessage()


CHUNKED = {"content_length": None, "transfer_encoding": "chunked"}


@pytest.mark.parametrize("piece", [1 << 20, 1000])
async def test_a_body_arrives_whole_by_its_length_or_in_chunks(place: Place, hooks: Registry, piece: int) -> None:
    body = b"x" * 65536
    chunks = b"".join(b"1000\r\n" + b"x" * 4096 + b"\r\n" for _ in range(16)) + b"0\r\nTrailer: ignored\r\n\r\n"
    async with place.serve_registry(hooks) as served:
        for request in (post(body), post(b"", **CHUNKED) + chunks):
            status, answer = await ask(served, *(request[at : at + piece] for at in range(0, len(request), piece)))
            assert (status, json.loads(answer)[3]) == (200, body.decode())
        await until(lambda: not local_server_of(served.server).reactor.budget.held)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (post(b"x" * 65537), 413),
        (post(b"", content_length="99999999"), 413),
        (post(b"", content_length="99999999", expect="100-continue"), 413),
        (post(b"", **CHUNKED) + b"10001\r\n" + b"x" * 65537, 413),
        (post(b"", **CHUNKED) + b"1\r\nx\r\n" * 1100, 413),
        (post(b"", **CHUNKED) + b"nonsense\r\n", 400),
        (post(b"0\r\n\r\n", transfer_encoding="chunked"), 400),
        (post(b"", content_length=None, transfer_encoding="gzip"), 501),
        (post(b"", **CHUNKED).replace(b"HTTP/1.1", b"HTTP/1.0") + b"0\r\n\r\n", 411),
        (post(b"x", expect="miracles"), 417),
        (post(b"", content_length=None), 200),
        (post(b"x").replace(b"HTTP/1.1", b"HTTP/1.0"), 200),
        (post(b"x", content_length="1, 1"), 200),
        (post(b"x", content_length="1, 2"), 400),
    ],
)
async def test_a_body_that_cannot_be_taken_is_refused(
    plain: Place, hooks: Registry, request_: bytes, status: int
) -> None:
    async with plain.serve_registry(hooks) as served:
        assert (await ask(served, request_))[0] == status
        await until(lambda: not local_server_of(served.server).reactor.budget.held)


async def test_the_largest_body_is_an_option(hooks: Registry) -> None:
    async with open_kit(hooks, capacity=Capacity(max_body=3)) as kit:
        assert (await kit.request("/hook", method="POST", body=b"abc")).status == 200
        answer = await kit.request("/hook", method="POST", body=b"abcd")
        assert (answer.status, answer.text) == (413, "the body of a request has at most 3 bytes here\n")


async def test_a_peer_that_waits_for_100_continue_gets_it(place: Place, hooks: Registry) -> None:
    async with place.serve_registry(hooks) as served:
        peer = await served.connect()
        await peer.send(post(b"", content_length="3", expect="100-continue"))
        while not peer.received.endswith(b"\r\n\r\n"):
            assert await peer.more()
        assert bytes(peer.received) == b"HTTP/1.1 100 Continue\r\n\r\n"
        await peer.send(b"abc")
        while b'"abc"' not in peer.received:
            assert await peer.more()
        assert b"HTTP/1.1 200 OK" in peer.received


async def test_a_body_that_does_not_come_is_408_by_the_deadline(hooks: Registry, autojump_clock: MockClock) -> None:
    async with open_kit(hooks, timeouts=Timeouts(handshake=7)) as kit:
        line = kit.dial()
        line.send_bytes(post(b"a", content_length="3"))
        began = trio.current_time()
        answer = b""
        while not answer.endswith(b"too slow\n"):
            answer += await line.receive_bytes()
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert trio.current_time() - began == pytest.approx(7)


async def test_slow_bodies_make_room_for_others(hooks: Registry, autojump_clock: MockClock) -> None:
    async with open_kit(hooks, capacity=Capacity(max_pending_handshakes=2)) as kit:
        slow = [kit.dial() for _ in range(2)]
        for line in slow:
            line.send_bytes(post(b"a", content_length="3"))
        await wait_all_tasks_blocked()
        assert kit.server.statistics().pending_handshakes == 2
        assert (await kit.request("/hook", method="POST", body=b"abc")).status == 200
        for line in slow:
            assert (await line.receive_bytes()).startswith(b"HTTP/1.1 408 ")


async def test_a_peer_that_goes_in_the_midst_of_its_body_is_noted(plain: Place, hooks: Registry, info: Lines) -> None:
    async with plain.serve_registry(hooks) as served:
        peer: Peer = await served.connect()
        await peer.send(post(b"ab", content_length="3"))
        await until(lambda: local_server_of(served.server).reactor.budget.held == 2)
        peer.hang_up()
        await until(lambda: not local_server_of(served.server).reactor.budget.held)
        await served.idle()
    assert [line.partition(": ")[2] for line in info()] == ["gone before its request was whole"]


async def test_bodies_count_for_the_memory_of_the_server(hooks: Registry) -> None:
    gate = trio.Event()

    async def waits(request: Request) -> Response:
        await gate.wait()
        return Response()

    hooks.route("/wait", waits)
    async with open_kit(hooks, capacity=Capacity(max_queued_bytes=1000)) as kit:
        line = kit.dial()
        line.send_bytes(post(b"a" * 900).replace(b"/hook", b"/wait"))
        await wait_all_tasks_blocked()
        assert kit.server.statistics().bytes_waiting == 900
        answer = await kit.request("/hook", method="POST", body=b"a" * 200)
        assert (answer.status, answer.text) == (503, "server out of memory\n")
        gate.set()
        assert (await line.receive_bytes()).startswith(b"HTTP/1.1 200 ")
        line.hang_up()
        await wait_all_tasks_blocked()
        assert kit.server.statistics().bytes_waiting == 0


async def test_a_drain_ends_a_body_that_is_under_way_with_503(hooks: Registry) -> None:
    async with open_kit(hooks) as kit:
        line = kit.dial()
        line.send_bytes(post(b"a", content_length="3"))
        await wait_all_tasks_blocked()
        kit.server.close()
        assert (await line.receive_bytes()).startswith(b"HTTP/1.1 503 ")


async def test_a_websocket_handshake_has_no_body_where_there_are_routes_too(plain: Place, hooks: Registry) -> None:
    hooks.register("/hook", Recorder())
    async with plain.serve_registry(hooks) as served:
        assert (await ask(served, upgrade("/hook", changes={"content-length": "3"}), b"abc"))[0] == 400
