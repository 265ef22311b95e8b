"""Plain HTTP on the same port: refusals, answers to HEAD, and the memory that slow readers can hold."""

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

import wsframe
from tests.hostile.place import Place, Recorder, until
from tests.local_server import local_server_of
from tests.patience import PATIENCE
from tests.wire import upgrade
from wsframe import Capacity, Reject, Request, Response, Timeouts, http_routes, static_file, static_folder

Lines = Callable[[], list[str]]

SHORT = Timeouts(handshake=1)


def http(start: str, **changes: str | None) -> bytes:
    return upgrade(start=start, upgrade=None, connection=None, changes=changes)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "index.html").write_text("<p>start")
    (tmp_path / "large.bin").write_bytes(bytes(1024 * 1024))
    return tmp_path


@pytest.fixture
def generous() -> Iterator[list[socket.socket]]:
    """A listening socket in whose kernel an answer of a MiB has room."""
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * 1024 * 1024)
    yield [sock]
    sock.close()


async def test_pages_and_sockets_share_the_port(place: Place, folder: Path, info: Lines) -> None:
    handler = http_routes({"/": static_folder(folder), "/healthz": wsframe.healthz})
    async with place.serve(Recorder(), http_handler=handler) as served:
        page = await served.ask(http("GET / HTTP/1.1"))
        assert (page.status, page.body) == (200, b"<p>start")
        assert page.fields["content-type"] == "text/html; charset=utf-8"
        assert page.fields["connection"] == "close"
        again = await served.ask(http("GET / HTTP/1.1", if_none_match=page.fields["etag"]))
        assert (again.status, again.body) == (304, b"")
        assert "content-length" not in again.fields
        assert "content-type" not in again.fields
        assert (again.fields["etag"], again.fields["cache-control"]) == (page.fields["etag"], "no-cache")
        whole = await served.ask(http("GET /large.bin HTTP/1.1"))
        assert (whole.status, len(whole.body)) == (200, 1024 * 1024)
        assert (await served.ask(http("GET /healthz HTTP/1.1"))).text == "alive\n"
        assert (await served.ask(http("GET /../passwd HTTP/1.1"))).status == 404
        assert (await served.ask(http("DELETE / HTTP/1.1"))).fields["allow"] == "GET, HEAD"
        old = await served.ask(http("GET / HTTP/1.0"))
        assert (old.status, old.body) == (200, b"<p>start")
        assert info() == []
        await served.open()


async def test_a_handler_sees_only_what_is_no_websocket(plain: Place, folder: Path) -> None:
    async with plain.serve(Recorder(), http_handler=static_folder(folder)) as served:
        assert (await served.ask(upgrade("/index.html"))).status == 404
        assert (await served.ask(http("GET / HTTP/1.1", host="evil.example"))).status == 400


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"content_length": "3"}, 413),
        ({"content_length": "03"}, 413),
        ({"content_length": "99999999999"}, 413),
        ({"transfer_encoding": "chunked"}, 413),
        ({"content_length": "3", "expect": "100-continue"}, 413),
        ({"content_length": "0"}, 200),
        ({"content_length": "00"}, 200),
        ({"content_length": "3, 4"}, 400),
        ({"content_length": "-1"}, 400),
        ({"transfer_encoding": "gzip"}, 501),
    ],
)
async def test_a_request_with_a_body_is_refused(plain: Place, info: Lines, fields: dict[str, str], status: int) -> None:
    """Nobody would read it; and bytes after a request are never taken for another one, so nothing can be smuggled."""
    asked: list[Request] = []

    async def handler(request: Request) -> Response:
        asked.append(request)
        return Response()

    second = http("GET /second HTTP/1.1")
    async with plain.serve(Recorder(), http_handler=handler) as served:
        for method in ("GET", "POST"):
            answer = await served.ask(http(f"{method} /first HTTP/1.1", **fields), second)
            assert answer.status == status
            assert b"HTTP/1.1" not in answer.body
    assert [request.path for request in asked] == ["/first"] * (2 if status == 200 else 0)


async def test_head_never_gets_a_body(place: Place, folder: Path) -> None:
    async def handler(request: Request) -> Response:
        if request.path == "/reject":
            raise Reject(418, body="teapot")
        if request.path == "/broken":
            raise RuntimeError("handler")
        return await files(request)

    files = static_folder(folder, max_file=100)
    async with place.serve(Recorder(), http_handler=handler) as served:
        for target, status, length in (
            ("/", 200, 8),
            ("/nothing", 404, 10),
            ("/reject", 418, 7),
            ("/broken", 500, 15),
            ("/large.bin", 500, 15),
        ):
            answer = await served.ask(http(f"HEAD {target} HTTP/1.1"))
            assert (answer.status, answer.body) == (status, b"")
            assert int(answer.fields["content-length"]) == length
    async with place.serve(Recorder()) as served:
        answer = await served.ask(http("HEAD / HTTP/1.1"))
        assert (answer.status, answer.fields["allow"], answer.body) == (405, "GET", b"")


@pytest.mark.parametrize("status", [204, 304])
async def test_an_answer_without_content_says_nothing_of_one(plain: Place, status: int) -> None:
    async def handler(request: Request) -> Response:
        if request.query_string and status >= 300:
            raise Reject(status, body="unchanged")
        return Response("content", status)

    async with plain.serve(Recorder(), http_handler=handler) as served:
        for start in ("GET / HTTP/1.1", "HEAD / HTTP/1.1", "GET /?reject HTTP/1.1"):
            answer = await served.ask(http(start))
            assert (answer.status, answer.body) == (status, b"")
            assert answer.fields.keys() == {"date", "connection"}


async def test_a_large_file_goes_to_all_who_read_it(place: Place, folder: Path) -> None:
    """However slowly, within the time of the handshake; none waits for another."""
    patient = Timeouts(handshake=PATIENCE)
    async with place.serve(Recorder(), http_handler=static_folder(folder), timeouts=patient) as served:
        sizes: list[int] = []

        async def fetch(number: int) -> None:
            peer = await served.connect(receive_buffer=4096)
            await peer.send(http("GET /large.bin HTTP/1.1"))
            await peer.head()
            if number % 2:
                await trio.sleep(0.2)
            while await peer.more():
                pass
            sizes.append(len(peer.received))
            peer.hang_up()

        async with trio.open_nursery() as nursery:
            for number in range(10):
                nursery.start_soon(fetch, number)
        assert sizes == [1024 * 1024] * 10
        await until(lambda: local_server_of(served.server).admission.answering.under_way == 0)


@pytest.mark.parametrize("half_closed", [False, True])
async def test_a_slow_reader_is_cut_by_the_timeout(
    place: Place, folder: Path, half_closed: bool, patient_clock: MockClock
) -> None:
    async with place.serve(Recorder(), http_handler=static_folder(folder), timeouts=SHORT) as served:
        slow = await served.connect(receive_buffer=4096)
        await slow.send(http("GET /large.bin HTTP/1.1"))
        if half_closed:
            slow.half_close()
        await until(lambda: local_server_of(served.server).admission.answering.under_way == 1)
        honest = await served.open()
        await honest.text("hello")
        assert await honest.message() == "hello"
        assert local_server_of(served.server).admission.answering.under_way == 1
        await trio.sleep(1.5)
        assert local_server_of(served.server).admission.answering.under_way == 0
        assert await slow.end() == "reset"
        assert len(slow.received) < 1024 * 1024


@pytest.mark.parametrize("half_closed", [False, True])
async def test_what_the_kernel_took_of_an_answer_is_not_left_there(
    plain: Place, folder: Path, generous: list[socket.socket], half_closed: bool, patient_clock: MockClock
) -> None:
    """An answer that has room in the kernel is sent at once; closed then, it would stay for as long as peers like."""
    async with plain.serve(Recorder(), http_handler=static_folder(folder), timeouts=SHORT, sockets=generous) as served:
        slow = await served.connect(receive_buffer=4096)
        await slow.send(http("GET /large.bin HTTP/1.1"))
        if half_closed:
            slow.half_close()
        await until(lambda: local_server_of(served.server).admission.answering.under_way == 1)
        await trio.sleep(1.5)
        assert local_server_of(served.server).admission.answering.under_way == 0
        assert await slow.end() == "reset"
        assert len(slow.received) < 1024 * 1024


async def test_a_reader_that_resets_is_not_waited_for(
    plain: Place, folder: Path, generous: list[socket.socket]
) -> None:
    async with plain.serve(
        Recorder(), http_handler=static_folder(folder), timeouts=Timeouts(handshake=1000), sockets=generous
    ) as served:
        for half_closed in (False, True):
            peer = await served.connect(receive_buffer=4096)
            await peer.send(http("GET /large.bin HTTP/1.1"))
            await peer.head()
            if half_closed:
                peer.half_close()
                await trio.sleep(0.2)
            peer.reset()
            await until(lambda: local_server_of(served.server).admission.answering.under_way == 0)


async def test_large_answers_beyond_the_bound_are_refused_and_small_ones_sent(
    place: Place, folder: Path, info: Lines
) -> None:
    """Nobody waits for their peers, so bytes that those do not take would stay in the kernel."""
    capacity = Capacity(max_pending_handshakes=2)
    async with place.serve(Recorder(), http_handler=static_folder(folder), capacity=capacity) as served:
        admission = local_server_of(served.server).admission
        slow = [await served.connect(receive_buffer=4096) for _ in range(2)]
        for peer in slow:
            await peer.send(http("GET /large.bin HTTP/1.1"))
        await until(lambda: admission.answering.under_way == 2)
        large = await served.ask(http("GET /large.bin HTTP/1.1"))
        assert (large.status, large.fields["retry-after"]) == (503, "5")
        assert large.text == "too many answers under way\n"
        assert [line.partition(": ")[2] for line in info()] == ["refused with 503: too many answers under way"]
        small = await served.ask(http("GET / HTTP/1.1"))
        assert (small.status, small.body) == (200, b"<p>start")
        assert admission.answering.under_way == 2


async def test_a_file_above_the_limit_is_500_and_the_log_says_why(
    plain: Place, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with plain.serve(Recorder(), http_handler=static_file(folder / "large.bin", max_file=1000)) as served:
        answer = await served.ask(http("GET / HTTP/1.1"))
        assert (answer.status, answer.text) == (500, "internal error\n")
    (record,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert record.exc_info is not None
    assert "larger than max_file" in str(record.exc_info[1])


async def test_what_is_no_response_is_500_and_the_log_says_so(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    async def handler(request: Request) -> Response:
        return "a page"  # type: ignore[return-value]

    async with place.serve(Recorder(), http_handler=handler) as served:
        answer = await served.ask(http("GET / HTTP/1.1"))
        assert (answer.status, answer.text) == (500, "internal error\n")
    assert "http_handler returned 'a page', which is not a Response" in caplog.text
