"""Redis as a backplane: the promises of every backplane, by both client libraries."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from traceback import format_exception_only

import pytest
import trio
import trustme

from tests.backplane.redis_server import RedisServer, redis_server
from tests.patience import PATIENCE
from tests.ports import free_port
from tests.requirements import require_package
from wsframe.backplane.engines.engine import BackplaneRefused
from wsframe.backplane.interface import Backplane
from wsframe.backplane.redis.address import RedisAddress, redis_address
from wsframe.backplane.redis.backplane import RedisBackplane, RedisEngine, Transport
from wsframe.backplane.redis.connection import Push, RedisConnection
from wsframe.testing.backplanes import HistoryConformance, LeaseConformance, PublishConformance, Recording


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


class Conformance(PublishConformance, HistoryConformance, LeaseConformance):
    transport: Transport = "auto"

    @pytest.fixture(autouse=True)
    def _server(self, server: RedisServer) -> None:
        self.server = server

    @asynccontextmanager
    async def service(self) -> AsyncIterator[Callable[[], Backplane]]:
        self.server.ask("FLUSHALL")
        self.server.grant_leases_at_once()
        yield lambda: RedisBackplane(self.server.url, transport=self.transport)


class TestGlide(Conformance):
    transport = "glide"

    @pytest.fixture(autouse=True)
    def _package(self) -> None:
        require_package("glide")


class TestCoredis(Conformance):
    transport = "coredis"

    @pytest.fixture(autouse=True)
    def _package(self) -> None:
        require_package("coredis")


TRANSPORTS: list[Transport] = ["glide", "coredis"]


@pytest.fixture(params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> Transport:
    require_package(request.param)
    chosen: Transport = request.param
    return chosen


async def meets(url: str, transport: Transport) -> None:
    """Raise unless a backplane at a URL is connected."""
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            await nursery.start(RedisBackplane(url, transport=transport).run, "a", Recording())
            nursery.cancel_scope.cancel()


async def test_a_wrong_password_is_one_line_without_it(
    tmp_path: Path, transport: Transport, caplog: pytest.LogCaptureFixture
) -> None:
    with redis_server(tmp_path, password="right-one") as server:
        await meets(f"redis+unix://:right-one@{server.path}", transport)
        for login in (":wrong-one@", "nobody:right-one@", ""):
            with pytest.RaisesGroup(BackplaneRefused, flatten_subgroups=True, allow_unwrapped=True) as caught:
                await meets(f"redis+unix://{login}{server.path}", transport)
            text = "".join(format_exception_only(caught.value)) + repr(getattr(caught.value, "exceptions", ""))
            assert "refuses us" in text
            assert "-one" not in text + caplog.text


async def test_tls_needs_a_certificate_that_is_trusted(
    tmp_path: Path, transport: Transport, caplog: pytest.LogCaptureFixture
) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost", "127.0.0.1")
    files = [tmp_path / "chain.pem", tmp_path / "key.pem", tmp_path / "ca.pem"]
    certificate.cert_chain_pems[0].write_to_path(files[0])
    certificate.private_key_pem.write_to_path(files[1])
    authority.cert_pem.write_to_path(files[2])
    port = free_port()
    with redis_server(
        tmp_path, "--tls-port", str(port), "--tls-cert-file", str(files[0]), "--tls-key-file", str(files[1]),
        "--tls-ca-cert-file", str(files[2]), "--tls-auth-clients", "no",
    ):  # fmt: skip
        await meets(f"rediss://127.0.0.1:{port}?ca={files[2]}", transport)
        told = Recording()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(RedisBackplane(f"rediss://127.0.0.1:{port}", transport=transport).run, "a", told)
            with trio.fail_after(PATIENCE):
                await told.until(lambda: told.reached == [False])
            nursery.cancel_scope.cancel()
    assert "cannot be reached" in caplog.text


def test_other_transports_are_refused() -> None:
    with pytest.raises(ValueError, match="'auto', 'glide' or 'coredis', not 'redis'"):
        RedisBackplane("redis://", transport="redis")  # type: ignore[arg-type]


def test_without_a_client_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wsframe.backplane.redis.backplane.find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'wsframe\[redis\]'"):
        RedisBackplane("redis://")


def test_a_password_is_not_in_the_repr(transport: Transport) -> None:
    assert repr(RedisBackplane("redis://u:secret@h/1", transport=transport)) == "<RedisBackplane redis://h:6379>"


@pytest.mark.parametrize(("scheme", "answer"), [("redis", b"-NOAUTH\r\n"), ("redis", b""), ("rediss", b"-ERR\r\n")])
async def test_a_server_that_stands_still_is_noticed_before_the_library_is_called(scheme: str, answer: bytes) -> None:
    called: list[str] = []

    def open_connection(address: RedisAddress, push: Push) -> AbstractAsyncContextManager[RedisConnection]:
        called.append(address.name)
        raise ConnectionError("called")

    listening = trio.socket.socket()
    await listening.bind(("127.0.0.1", 0))
    listening.listen()
    engine = RedisEngine(redis_address(f"{scheme}://127.0.0.1:{listening.getsockname()[1]}"), open_connection)

    async def connect() -> None:
        try:
            async with engine.connect(lambda topic, data: None):
                pass
        except* ConnectionError:
            pass

    with listening:
        for answers in (False, True):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(connect)
                sock, _ = await listening.accept()
                with sock:
                    asked = await sock.recv(1000)
                    assert asked == b"PING\r\n" if scheme == "redis" else asked[:1] == b"\x16"
                    assert called == []
                    if answers and answer:
                        await sock.send(answer)
                    if not answers:
                        nursery.cancel_scope.cancel()
    assert len(called) == 1
