"""A server's answers to the probes of its supervisors."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import wsframe
from tests.backplane.fake_engine import FakeEngine
from tests.hostile.place import BOUND, Place, Recorder, Served
from tests.wire import upgrade
from wsframe import Capacity, HttpHandler, Registry, Request, Response, healthz, http_routes, readyz
from wsframe.backplane.engines.supervised import SupervisedBackplane
from wsframe.testing import Kit, open_kit

HANDLER = http_routes({"/healthz": healthz, "/readyz": readyz})


async def ask(served: Served, path: str, method: str = "GET") -> tuple[int, str]:
    peer = await served.connect()
    await peer.send(upgrade(path, start=f"{method} {{}} HTTP/1.1", upgrade=None, connection=None))
    answer = await peer.answer()
    peer.hang_up()
    assert answer.fields["cache-control"] == "no-store"
    assert answer.fields.get("retry-after") == ("5" if answer.status == 503 else None)
    return answer.status, answer.text


async def test_a_server_is_alive_and_ready(place: Place) -> None:
    async with place.serve(Recorder(), http_handler=HANDLER) as served:
        assert await ask(served, "/healthz") == (200, "alive\n")
        assert await ask(served, "/readyz") == (200, "ready\n")
        assert await ask(served, "/readyz", "HEAD") == (200, "")
        assert served.server.unready() == ""


async def test_a_full_server_is_alive_but_not_ready(plain: Place) -> None:
    resource = Recorder()
    async with plain.serve(resource, http_handler=HANDLER, capacity=Capacity(max_clients=1)) as served:
        peer = await served.open()
        assert await ask(served, "/healthz") == (200, "alive\n")
        assert await ask(served, "/readyz") == (503, "server full\n")
        assert await ask(served, "/readyz", "HEAD") == (503, "")
        await peer.close()
        await peer.rest.until_close()
        peer.hang_up()
        await resource.until(lambda: "-1000" in resource.log)
        with trio.fail_after(BOUND):
            while (await ask(served, "/readyz"))[0] != 200:
                pass


async def test_a_server_is_ready_once_its_backplane_has_been_reached(autojump_clock: MockClock) -> None:
    class Everywhere(Recorder):
        scope = "shared"

    engine = FakeEngine()
    engine.failure = OSError("not there")
    async with open_kit(Everywhere(), backplane=SupervisedBackplane(engine)) as kit:
        await trio.sleep(5)
        assert kit.server.unready() == "backplane not reached yet"
        engine.failure = None
        await trio.sleep(5)
        assert kit.server.unready() == ""
        engine.failure = OSError("gone")
        engine.kill()
        await trio.sleep(5)
        assert kit.server.unready() == ""  # else a fault of the engine would take all servers out at once


def probe(method: str, path: str, version: str, *hosts: str) -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/{version}", *(f"Host: {host}" for host in hosts), "", ""]).encode()


async def asked(kit: Kit, data: bytes) -> bytes:
    line = kit.dial()
    line.send_bytes(data)
    answer = b""
    while more := await line.receive_bytes():
        answer += more
    return answer


@pytest.fixture(params=["handler", "routes", "nested", "route", "below"])
def mounted(request: pytest.FixtureRequest) -> tuple[Registry, HttpHandler | None]:
    """The places where a health check can be."""
    registry = Registry()
    registry.register("/", Recorder())
    match request.param:
        case "handler":
            return registry, healthz
        case "routes":
            return registry, http_routes({"/healthz": healthz})
        case "nested":
            return registry, http_routes({"/": http_routes({"/healthz": healthz})})
        case "route":
            registry.route("/healthz", healthz)
        case "below":
            registry.route("/*", http_routes({"/healthz": healthz}))
    return registry, None


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("hosts", [[], ["10.0.0.7"], ["10.0.0.7:8000"], ["evil.example"], [""]], ids=str)
async def test_a_probe_is_answered_whatever_its_host_is(
    mounted: tuple[Registry, HttpHandler | None], version: str, hosts: list[str]
) -> None:
    """HAProxy sends none, Kubernetes the address of the pod."""
    registry, handler = mounted
    async with open_kit(registry, http_handler=handler) as kit:
        for method, body in [("GET", b"alive\n"), ("OPTIONS", b"alive\n"), ("HEAD", b"")]:
            answer = await asked(kit, probe(method, "/healthz", version, *hosts))
            assert answer.startswith(b"HTTP/1.1 200 OK\r\n"), answer
            assert answer.endswith(b"\r\n\r\n" + body)
            assert (b"Allow: GET, HEAD, OPTIONS\r\n" in answer) is (method == "OPTIONS")
        assert b" 405 " in await asked(kit, probe("DELETE", "/healthz", version, *hosts))


async def test_nothing_else_is_answered_whatever_its_host_is() -> None:
    async def page(request: Request) -> Response:
        raise AssertionError("a page of a Host that is not answered here")

    handler = http_routes({"/": page, "/healthz": healthz, "/readyz": readyz})
    registry = Registry()
    registry.register("/", Recorder())
    async with open_kit(registry, http_handler=handler) as kit:
        for data in (
            probe("GET", "/", "1.1", "evil.example"),
            probe("GET", "/", "1.0"),
            probe("GET", "/", "1.1"),
            probe("GET", "/healthz/", "1.1", "evil.example"),
            probe("GET", "/healthz", "1.1", "localhost", "localhost"),
            upgrade("/healthz", host="evil.example"),
            upgrade("/", host=None),
        ):
            assert (await asked(kit, data)).startswith(b"HTTP/1.1 400 "), data
        assert b" 200 " in await asked(kit, probe("OPTIONS", "/readyz", "1.0"))


class Fragile(Recorder):
    """Fails when told to."""

    def __init__(self) -> None:
        super().__init__()
        self.failing = trio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        self.start_soon(self.fail)
        yield

    async def fail(self) -> None:
        await self.failing.wait()
        self.failing = trio.Event()
        raise RuntimeError("failed")


async def test_a_server_is_not_ready_in_the_pause_after_a_resource_failed(
    plain: Place, mock_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """After it, it is: a probe before newcomers are sent here would otherwise never see the resource start again."""
    resource = Fragile()
    async with plain.serve(resource, Recorder(), http_handler=HANDLER) as served:
        resource.failing.set()
        await wait_all_tasks_blocked()
        assert await ask(served, "/readyz") == (503, "resource not running\n")
        assert await ask(served, "/healthz") == (200, "alive\n")
        mock_clock.jump(1.01)
        assert await ask(served, "/readyz") == (200, "ready\n")
        await served.open()
        assert await ask(served, "/readyz") == (200, "ready\n")
        assert "Fragile stopped" in caplog.text


async def test_a_server_that_drains_is_not_ready(plain: Place) -> None:
    """Nobody can ask any more; the server itself answers requests that have come already."""
    asked = trio.Event()

    async def slow(request: Request) -> Response:
        asked.set()
        await trio.sleep_forever()
        raise AssertionError

    async with plain.serve(Recorder(), http_handler=slow) as served:
        peer = await served.connect()
        await peer.send(upgrade("/readyz", upgrade=None, connection=None))
        await asked.wait()
        served.server.close()
        assert served.server.unready() == "server stopping"
        answer = await peer.answer()
        assert (answer.status, answer.text) == (503, "server stopping\n")
        with pytest.raises(ConnectionRefusedError):
            await served.connect()


async def test_each_of_two_servers_answers_for_itself(plain: Place) -> None:
    capacity = Capacity(max_clients=1)
    async with (
        plain.serve(Recorder(), http_handler=HANDLER, capacity=capacity) as full,
        plain.serve(Recorder(), http_handler=HANDLER, capacity=capacity) as other,
    ):
        await full.open()
        assert (await ask(full, "/readyz"))[0] == 503
        assert (await ask(other, "/readyz"))[0] == 200
    with pytest.raises(LookupError):
        await readyz(wsframe.Request("/", []))
