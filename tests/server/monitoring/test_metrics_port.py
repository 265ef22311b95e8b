"""The port of its own for metrics and health checks."""

from __future__ import annotations

import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.lowlevel

import wsframe
from tests.local_server import local_server_of
from tests.patience import PATIENCE
from tests.recorder import Echo, Recorder
from tests.server.http_get import get
from tests.wire import KEY, close, connected, serving
from wsframe.server.monitoring.metrics_port import MOST_AT_ONCE


async def test_the_port_has_metrics_and_health_checks_and_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with serving(Echo(), metrics_port=0) as server:
        place = server.metrics_address
        assert place.startswith("http://127.0.0.1:")
        assert f"metrics at {place}" in caplog.messages
        assert b"wsframe_clients" in (await get(place)).body
        assert (await get(place, "/healthz")).text == "alive\n"
        assert (await get(place, "/readyz")).text == "ready\n"
        assert (await get(place, "/")).status == 404
        upgrade = await get(place, "/", upgrade="websocket", connection="Upgrade", sec_websocket_version="13",
                            sec_websocket_key=KEY)  # fmt: skip
        assert upgrade.status == 404
        assert (await get(server.addresses[0], "/metrics")).status == 426  # not at the other port


async def test_requests_at_the_port_count_in_no_number() -> None:
    async with serving(Echo(), metrics_port=0) as server:
        for path in ("/metrics", "/", "/readyz"):
            await get(server.metrics_address, path)
        metrics = server.statistics().metrics
        assert metrics["wsframe_handshakes_total"] == metrics["wsframe_http_responses_total"] == {}
        assert metrics["wsframe_pending_handshakes"] == {(): 0}
        assert server.statistics().refused == 0


async def test_without_the_option_there_is_no_port() -> None:
    async with serving(Echo()) as server:
        assert server.metrics_address == ""


class Slow(Recorder):
    """Starts and ends when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.starting = trio.Event()
        self.started = trio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        self.starting.set()
        await self.started.wait()
        yield


async def test_the_port_answers_before_resources_have_started(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    slow, registry = Slow(), wsframe.Registry(alone=True)
    registry.register("/", slow)
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:

            async def serve() -> None:
                await wsframe.serve(registry, port=0, metrics_port=0)

            nursery.start_soon(serve)
            await slow.starting.wait()
            while not any("metrics at" in line for line in caplog.messages):
                await trio.lowlevel.checkpoint()
            [line] = [line for line in caplog.messages if "metrics at" in line]
            assert b"wsframe_resources 1.0" in (await get(line.split()[-1])).body
            answer = await get(line.split()[-1], "/readyz")
            assert (answer.status, answer.text) == (503, "server starting\n")
            slow.started.set()
            nursery.cancel_scope.cancel()


async def test_the_port_answers_in_a_drain_until_the_last_client_has_gone() -> None:
    async with serving(Echo(), metrics_port=0) as server:
        async with connected(server) as peer:
            server.close()
            await peer.receive_close()
            place = server.metrics_address
            answer = await get(place, "/readyz")
            assert (answer.status, answer.text) == (503, "server stopping\n")
            assert b"wsframe_ready 0.0" in (await get(place)).body
            await peer.send(close(1001))
        await server.closed()
        with pytest.raises(OSError, match="all attempts to connect"):
            await get(place)


async def test_a_port_in_use_is_an_error_that_names_it_and_nothing_stays_bound() -> None:
    with socket.socket() as other, socket.socket() as free:
        for sock in (other, free):
            sock.bind(("127.0.0.1", 0))
        other.listen()
        taken, port = other.getsockname()[1], free.getsockname()[1]
        free.close()
        with pytest.raises(OSError, match=rf"cannot listen at 127\.0\.0\.1:{taken}: Address already"):
            await wsframe.serve(wsframe.Registry(alone=True), port=port, metrics_port=taken)
        with socket.socket() as again:
            again.bind(("127.0.0.1", port))


async def test_connections_that_say_nothing_keep_no_scraper_away() -> None:
    async with serving(Echo(), metrics_port=0) as server:
        port = int(server.metrics_address.split(":")[2].split("/")[0])
        streams = [await trio.open_tcp_stream("127.0.0.1", port) for _ in range(2 * MOST_AT_ONCE)]
        assert b"wsframe_clients" in (await get(server.metrics_address)).body
        for stream in streams:
            await stream.aclose()


async def test_another_host_name_is_refused_on_loopback() -> None:
    """A page in a browser must not read it by a name that was rebound to 127.0.0.1."""
    async with serving(Echo(), metrics_port=0) as server:
        assert (await get(server.metrics_address, host="evil.example")).status == 400


@pytest.mark.parametrize("start", ["GET {} HTTP/1.0", "OPTIONS {} HTTP/1.0", "HEAD {} HTTP/1.1\r\nHost: 10.0.0.7"])
async def test_health_checks_there_need_no_host_either(start: str) -> None:
    """HAProxy on the same machine sends none."""
    async with serving(Echo(), metrics_port=0) as server:
        for path, status in (("/healthz", b"200"), ("/readyz", b"200"), ("/metrics", b"400"), ("/", b"400")):
            stream = await trio.open_tcp_stream("127.0.0.1", int(server.metrics_address.split(":")[2].split("/")[0]))
            async with stream:
                await stream.send_all(f"{start.format(path)}\r\n\r\n".encode())
                assert (await stream.receive_some(20)).split()[1] == status, path


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"metrics_port": -1}, ValueError, "metrics_port is an int from 0 to 65535, not -1"),
        ({"metrics_port": "9100"}, TypeError, "metrics_port is an int from 0 to 65535, or None, not '9100'"),
        ({"metrics_port": True}, TypeError, "metrics_port is an int"),
        ({"metrics_host": ""}, ValueError, "metrics_host is a name or address, and None"),
        (
            {"metrics_host": "localhost:9100"}, ValueError,
            "metrics_host is a name or address alone: give metrics_host='localhost' and metrics_port=9100",
        ),
    ],
)  # fmt: skip
def test_wrong_options_are_errors_that_say_what_is_right(
    options: dict[str, object], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        wsframe.ServeOptions(**options)  # type: ignore[arg-type]


async def test_nothing_of_the_port_is_left_when_the_server_has_ended() -> None:
    async with serving(Echo(), metrics_port=0, metrics_host="::1") as server:
        assert server.metrics_address.startswith("http://[::1]:")
        local = local_server_of(server)
    assert not local.reactor.newcomers
