"""Every refusal before the 101: its status, its line of text, its one line in the log."""

import re
from collections.abc import Callable

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import wsframe
from tests.hostile.place import Place, Recorder, Served, until
from tests.local_server import local_server_of
from tests.wire import PING, TEXT, Answer, Peer, frame, upgrade
from wsframe import Accept, Capacity, Reject, Request, Timeouts
from wsframe.testing import Refused, open_kit

SECRETS: dict[str, str | None] = {"cookie": "s3cret=1", "authorization": "Basic s3cret"}
Lines = Callable[[], list[str]]


async def refused(served: Served, *pieces: bytes) -> tuple[Peer, Answer]:
    """Send bytes; return the answer."""
    peer = await served.connect()
    await peer.send(*pieces)
    answer = await peer.answer()
    peer.hang_up()
    return peer, answer


def check_one_line(lines: list[str], peer: Peer, status: int, reason: str) -> None:
    """Check that the log has one line for a refusal, with peer, status and reason, and no secret."""
    assert len(lines) == 1, lines
    assert lines[0].startswith(f"{peer.name}: refused with {status}: ")
    assert reason in lines[0]
    assert "s3cret" not in lines[0]


REFUSALS = {
    "garbage": (b"\x01\x02garbage\r\n\r\n", 400, "malformed"),
    "TLS": (b"\x16\x03\x01\x00garbage\r\n\r\n", 400, "the peer speaks TLS"),
    "leading newlines": (b"\r\n\r\n\r\n", 400, "malformed"),
    "HTTP/1.0": (upgrade(start="GET {} HTTP/1.0"), 400, "HTTP/1.1"),
    "no Host": (upgrade(host=None), 400, "malformed"),
    "two Hosts": (upgrade(host="localhost\r\nhost: localhost"), 400, "malformed"),
    "Host not ASCII": (upgrade(host="h\u00f6st"), 400, "Host header is not ASCII"),
    "Host not answered here": (upgrade(host="evil.example"), 400, "does not answer to the Host 'evil.example'"),
    "Host malformed": (upgrade(host="[::1"), 400, "does not answer to the Host"),
    "no key": (upgrade(sec_websocket_key=None), 400, "Sec-WebSocket-Key"),
    "short key": (upgrade(sec_websocket_key="c2hvcnQ="), 400, "Sec-WebSocket-Key"),
    "key not base64": (upgrade(sec_websocket_key="!" * 24), 400, "Sec-WebSocket-Key"),
    "key not ASCII": (upgrade(sec_websocket_key="\u00e9" * 12), 400, "Sec-WebSocket-Key"),
    "no version": (upgrade(sec_websocket_version=None), 426, "version 13"),
    "version 8": (upgrade(sec_websocket_version="8"), 426, "version 13"),
    "Connection not upgrade": (upgrade(connection="keep-alive"), 400, "Connection"),
    "Connection not ASCII": (upgrade(connection="\u00fcpgrade"), 400, "Connection"),
    "with a body": (upgrade(content_length="3") + b"abc", 400, "no body"),
    "not an upgrade": (upgrade(upgrade=None), 426, "WebSocket"),
    "another upgrade": (upgrade(upgrade="h2c"), 426, "WebSocket"),
    "POST": (upgrade(start="POST {} HTTP/1.1"), 405, "GET"),
    "plain POST": (upgrade(start="POST {} HTTP/1.1", upgrade=None), 405, "GET"),
    "unknown path": (upgrade("/nowhere?token=s3cret"), 404, "'/nowhere'"),
    "path with a slash too many": (upgrade("//"), 404, "no resource at '//'; there is one at '/'"),
    "unknown path with CR": (upgrade("/now%0dhere"), 404, "'/now%0dhere'"),
    "asterisk": (upgrade("*"), 400, "malformed request target"),
    "oversized field": (upgrade(x="y" * 20000), 431, "too large"),
    "oversized target": (upgrade("/" + "y" * 20000), 431, "too large"),
}


@pytest.mark.parametrize(("request_bytes", "status", "reason"), REFUSALS.values(), ids=REFUSALS)
async def test_each_refusal_has_its_status_its_reason_and_one_log_line(
    place: Place, info: Lines, monkeypatch: pytest.MonkeyPatch, request_bytes: bytes, status: int, reason: str
) -> None:
    for module in ("answering", "decide"):
        monkeypatch.setattr(f"wsframe.server.newcomers.{module}.time", lambda: 784111777.5)
    secrets = "".join(f"\r\n{name}: {value}" for name, value in SECRETS.items()).encode()
    data = request_bytes.replace(b"HTTP/1.1\r\n", b"HTTP/1.1" + secrets + b"\r\n", 1)
    async with place.serve(Recorder()) as served:
        peer, answer = await refused(served, data)
        assert answer.status == status
        assert reason in answer.text
        assert re.fullmatch(r"[^\r\n]+\n", answer.text), "one line"
        assert answer.fields["connection"] == "close"
        assert answer.fields["date"] == "Sun, 06 Nov 1994 08:49:37 GMT"
        assert int(answer.fields["content-length"]) == len(answer.body)
        check_one_line(info(), peer, status, reason)
        assert served.server.statistics().refused == 1
        await served.idle()


async def test_wrong_version_is_told_the_right_one(plain: Place) -> None:
    async with plain.serve(Recorder()) as served:
        for version in ("8", "0", "x", "13, 8", None):
            _, answer = await refused(served, upgrade(sec_websocket_version=version))
            assert (answer.status, answer.fields["sec-websocket-version"]) == (426, "13")
        _, answer = await refused(served, upgrade(upgrade=None))
        assert (answer.status, answer.fields["upgrade"]) == (426, "websocket")
        _, answer = await refused(served, upgrade(start="PUT {} HTTP/1.1"))
        assert (answer.status, answer.fields["allow"]) == (405, "GET")


async def test_refused_origin_is_403_and_the_log_names_origin_and_host(plain: Place, info: Lines) -> None:
    def broken(request: Request) -> bool:
        raise RuntimeError("validator")

    registry = wsframe.Registry()
    resource = Recorder()
    registry.register("/same", resource)
    registry.register("/truthy", resource, lambda request: 1)  # type: ignore[arg-type,return-value]
    registry.register("/broken", resource, broken)
    async with plain.serve_registry(registry) as served:
        peer, answer = await refused(served, upgrade("/same", origin="http://evil.example", changes=SECRETS))
        assert answer.status == 403
        check_one_line(info(), peer, 403, "origin 'http://evil.example' cannot open Host 'localhost'")
        for path in ("/truthy", "/broken"):
            _, answer = await refused(served, upgrade(path, origin="http://localhost"))
            assert answer.status == 403, path
        assert (await (await served.connect()).upgrade("/same", origin="http://localhost")).status == 101
        _, answer = await refused(
            served, upgrade("ws://localhost/same", host="evil.example", origin="http://evil.example")
        )
        assert answer.status == 403
        assert resource.log[1:] == []
        assert not [line for line in info() if "s3cret" in line]


class Gatekeeper(Recorder):
    """Decides by the path parameter."""

    async def accept_client(self, request: Request) -> Accept | Reject | None:
        decision = request.query["d"][0]
        if decision == "raised":
            raise Reject(401, [("WWW-Authenticate", "Basic")], "who are you")
        if decision == "error":
            raise ValueError("s3cret")
        decisions: dict[str, Callable[[], object]] = {
            "none": lambda: None,
            "accept": lambda: Accept(headers={"x-hello": "there"}),
            "reject": lambda: Reject(302, {"Location": "/elsewhere"}, "not here"),
            "bare": Reject,
            "false": lambda: False,
            "text": lambda: "yes",
            "subprotocol": lambda: Accept("soap"),
            "field": lambda: Accept(headers={"x": "a\r\nset-cookie: b"}),
            "surrogate": lambda: Reject(403, body="\ud800"),
        }
        return decisions[decision]()  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("decision", "status", "text"),
    [("reject", 302, "not here\n"), ("raised", 401, "who are you\n"), ("bare", 403, ""), ("false", 403, "")],
)
async def test_reject_is_answered_with_its_status_fields_and_body(
    place: Place, info: Lines, decision: str, status: int, text: str
) -> None:
    async with place.serve(Gatekeeper()) as served:
        peer, answer = await refused(served, upgrade(f"/?d={decision}", changes=SECRETS))
        assert (answer.status, answer.text) == (status, text)
        assert answer.fields.get("location") == ("/elsewhere" if decision == "reject" else None)
        assert answer.fields.get("www-authenticate") == ("Basic" if decision == "raised" else None)
        check_one_line(info(), peer, status, text.strip())
        assert served.server.statistics().reserved == 0


@pytest.mark.parametrize("decision", ["error", "text", "subprotocol", "field", "surrogate"])
async def test_broken_accept_client_is_500_and_tells_the_peer_nothing(
    plain: Place, info: Lines, caplog: pytest.LogCaptureFixture, decision: str
) -> None:
    """Nothing fails open, and the error is in the log with its traceback, for its author."""
    resource = Gatekeeper()
    async with plain.serve(resource) as served:
        peer, answer = await refused(served, upgrade(f"/?d={decision}", changes=SECRETS))
        assert (answer.status, answer.text) == (500, "internal error\n")
        assert [record.levelname for record in caplog.records if record.levelname == "ERROR"] == ["ERROR"]
        assert f"{peer.name}: refused with 500: internal error" in info()
        assert not [line for line in info() if "Basic s3cret" in line or "s3cret=1" in line]
        assert served.server.statistics().reserved == 0
        assert (await (await served.connect()).upgrade("/?d=accept")).fields["x-hello"] == "there"


@pytest.mark.parametrize("headers", [{"Location": "/\r\nSet-Cookie: x"}, {"Location": "/\u20ac"}, {"": "x"}])
async def test_reject_that_cannot_be_sent_is_500_and_the_server_goes_on(plain: Place, headers: dict[str, str]) -> None:
    """A redirect to the path that the peer asked for can hold CR LF: the server goes on all the same."""

    class Redirector(Recorder):
        async def accept_client(self, request: Request) -> Reject | None:
            return Reject(302, headers) if request.query_string else None

    async with plain.serve(Redirector()) as served:
        _, answer = await refused(served, upgrade("/?away"))
        assert (answer.status, answer.text) == (500, "internal error\n")
        assert "set-cookie" not in answer.fields
        await served.open()


async def test_http_handler_answers_what_is_no_upgrade(place: Place, info: Lines) -> None:
    async def handler(request: Request) -> wsframe.Response:
        if request.path == "/broken":
            raise RuntimeError("handler")
        if request.path == "/none":
            return None  # type: ignore[return-value]
        if request.path == "/teapot":
            raise Reject(418, body="teapot")
        return wsframe.Response(f"{request.method} {request.path}", 201, headers={"x-a": "b"})

    async with place.serve(Recorder(), http_handler=handler) as served:
        _, answer = await refused(served, upgrade("/health", upgrade=None))
        assert (answer.status, answer.text, answer.fields["x-a"]) == (201, "GET /health", "b")
        _, answer = await refused(served, upgrade("/health", upgrade=None, start="HEAD {} HTTP/1.1"))
        assert (answer.status, answer.body, answer.fields["content-length"]) == (201, b"", "12")
        assert info() == []
        for path, status in (("/broken", 500), ("/none", 500), ("/teapot", 418)):
            _, answer = await refused(served, upgrade(path, upgrade=None))
            assert answer.status == status
        _, answer = await refused(served, upgrade("http://localhost/x/y?z", host="evil.example", upgrade=None))
        assert (answer.status, answer.text) == (201, "GET /x/y")
        assert (await refused(served, upgrade("http://evil.example/x", upgrade=None)))[1].status == 400
        assert (await refused(served, upgrade("ftp://localhost/x", upgrade=None)))[1].status == 400
        assert (await refused(served, upgrade(host="evil.example", upgrade=None)))[1].status == 400
        assert (await refused(served, upgrade(sec_websocket_version="8")))[1].status == 426
        await served.open()


@pytest.mark.parametrize(
    "start", [b"", b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ", b"\r\n"], ids=["silence", "half a head", "empty line"]
)
async def test_head_that_never_ends_is_408(autojump_clock: MockClock, info: Lines, start: bytes) -> None:
    async with open_kit(Recorder()) as kit:
        line = kit.dial()
        line.send_bytes(start)
        answer = await line.receive_bytes()
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert answer.endswith(b"\r\n\r\ntoo slow\n")
        assert await line.ended() == "eof"
        assert trio.current_time() == pytest.approx(10)
        assert info() == ["127.0.0.1:50001: refused with 408: too slow"]


async def test_slow_loris_gains_no_time_by_sending(autojump_clock: MockClock) -> None:
    async with open_kit(Recorder()) as kit:
        line = kit.dial()
        line.send_bytes(b"GET / HTTP/1.1\r\nHost: localhost\r\n")
        for _ in range(95):
            line.send_bytes(b"x: y\r\n")
            await trio.sleep(0.1)
        line.send_bytes(b"x: y\r\n")
        assert (await line.receive_bytes()).startswith(b"HTTP/1.1 408 ")
        assert trio.current_time() == pytest.approx(10)


async def test_slow_accept_client_is_408(autojump_clock: MockClock) -> None:
    class Slow(Recorder):
        async def accept_client(self, request: Request) -> None:
            await trio.sleep_forever()

    async with open_kit(Slow()) as kit:
        with pytest.raises(Refused, match=r"^408: too slow$"):
            await kit.connect()
        assert trio.current_time() == pytest.approx(10)
        assert kit.server.statistics().reserved == 0


@pytest.mark.parametrize("pieces", [1, 2])
async def test_empty_lines_before_the_request_are_ignored(place: Place, pieces: int) -> None:
    async with place.serve(Recorder()) as served:
        peer = await served.connect()
        if pieces == 2:
            await peer.send(b"\r\n")
            await wait_all_tasks_blocked()
            await peer.send(b"\r\n", upgrade())
        else:
            await peer.send(b"\r\n\r\n", upgrade())
        assert (await peer.head()).status == 101


async def test_frames_behind_the_request_head_are_not_lost(place: Place) -> None:
    """A peer need not wait for the 101; a frame may also be cut anywhere."""
    pipelined = frame(TEXT, "one") + frame(PING, b"p") + frame(TEXT, "two" * 1000)
    async with place.serve(Recorder()) as served:
        for cut in (3, 20, len(pipelined)):
            peer = await served.connect()
            await peer.send(upgrade(), pipelined[:cut])
            assert (await peer.head()).status == 101
            await peer.send(pipelined[cut:], frame(TEXT, "three"))
            assert await peer.messages(3) == ["one", "two" * 1000, "three"]


@pytest.mark.parametrize("stage", ["nothing", "half a head", "accept_client"])
@pytest.mark.parametrize("how", ["fin", "reset"])
async def test_peer_may_leave_at_each_stage(
    place: Place, caplog: pytest.LogCaptureFixture, stage: str, how: str
) -> None:
    class Gated(Recorder):
        async def accept_client(self, request: Request) -> None:
            if request.query_string:
                self.note("asked")
                await self.gate.wait()

    resource = Gated()
    async with place.serve(resource) as served:
        peer = await served.connect()
        await until(lambda: served.server.statistics().pending_handshakes != 0)
        if stage == "half a head":
            await peer.send(b"GET / HTTP/1.1\r\n")
        elif stage == "accept_client":
            await peer.send(upgrade("/?wait"))
            await resource.until(lambda: "asked" in resource.log)
        if how == "reset":
            peer.reset()
        else:
            peer.hang_up()
        resource.gate.set()
        await served.idle()
        assert served.server.statistics().reserved == 0
        assert resource.log.count("+") == len([entry for entry in resource.log if entry.startswith("-")])
        await served.open()
        assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_long_answer_to_a_peer_that_does_not_read_holds_up_nobody(place: Place) -> None:
    async def handler(request: Request) -> wsframe.Response:
        return wsframe.Response(b"x" * 8_000_000)

    async with place.serve(Recorder(), http_handler=handler, timeouts=Timeouts(handshake=1)) as served:
        stalled = await served.connect(receive_buffer=4096)
        await stalled.send(upgrade(upgrade=None))
        await stalled.head()
        peer = await served.open()
        await peer.text("hello")
        assert await peer.message() == "hello"
        stalled.hang_up()
        peer.hang_up()
        await served.idle()


async def test_the_question_for_room_cancels_nobody(autojump_clock: MockClock) -> None:
    async with open_kit(Recorder(), capacity=Capacity(max_pending_handshakes=1)) as kit:
        admission = local_server_of(kit.server).admission
        kit.dial()
        await wait_all_tasks_blocked()
        (newcomer,) = admission.pending.under_way
        newcomer.since -= 60
        assert not admission.pending.has_room()
        assert not newcomer.scope.cancel_called
        admission.pending.make_room()
        assert newcomer.scope.cancel_called
