"""Each engine over TLS, with user and password in the URL: all promises, and no part of the password in any line."""

from __future__ import annotations

import io
import logging
import os
import shutil
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote

import pytest
import trio
import trustme

from tests.backplane.postgres_server import PostgresServer, postgres_server
from tests.backplane.redis_server import RedisServer, redis_server
from tests.certificates import write_certificate
from tests.patience import PATIENCE
from tests.ports import free_port
from tests.requirements import require_package
from wsframe.backplane.engines import session
from wsframe.backplane.engines.engine import BackplaneRefused
from wsframe.backplane.interface import Backplane
from wsframe.backplane.postgres.backplane import PostgresBackplane
from wsframe.backplane.postgres.schema import SCHEMA
from wsframe.backplane.redis.backplane import RedisBackplane, Transport
from wsframe.testing.backplanes import HistoryConformance, LeaseConformance, PublishConformance, Recording

PASSWORD = "gehéim/@:#%?&1"
"""All that has a meaning in a URL, and a letter that is not ASCII."""
WRONG = "wröng/@:#%?&2"
SHOWN = ("héim", "röng", *(quote(word, safe="")[:10] for word in (PASSWORD, WRONG)))
"""Parts of both, as they are and as in a URL."""


class Secure(PublishConformance, HistoryConformance, LeaseConformance):
    """The promises, and the lines that stand in no log."""

    server: RedisServer | PostgresServer
    ca: Path
    port: int
    patience = PATIENCE

    def plane(self, password: str = PASSWORD, *, trusted: bool = True) -> Backplane:
        """Make a backplane of the server."""
        raise NotImplementedError

    @asynccontextmanager
    async def service(self) -> AsyncIterator[Callable[[], Backplane]]:
        if isinstance(self.server, RedisServer):
            self.server.ask("FLUSHALL")
        self.server.grant_leases_at_once()
        with pytest.MonkeyPatch.context() as patched:  # a machine that is busy makes no difference
            patched.setattr(session, "LOOKS", 10 * PATIENCE)
            patched.setattr(session, "PUBLISHED_WITHIN", PATIENCE)
            yield self.plane

    @pytest.fixture(autouse=True)
    def _no_password_in_a_line_of_any_level(self, capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
        lines = io.StringIO()
        handler = logging.StreamHandler(lines)
        found = [one for one in logging.root.manager.loggerDict.values() if isinstance(one, logging.Logger)]
        levels = {one: one.level for one in [logging.root, *found]}
        for one in levels:
            one.setLevel(1)
        logging.root.addHandler(handler)
        try:
            yield
        finally:
            logging.root.removeHandler(handler)
            for one, level in levels.items():
                one.setLevel(level)
        told = lines.getvalue() + "".join(capfd.readouterr())
        assert not [part for part in SHOWN if part in told], told

    async def until(self, plane: Backplane, condition: Callable[[Recording], bool]) -> None:
        """Run a backplane until it has told something."""
        told = Recording()
        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(plane.run, "a", told)
                await told.until(lambda: condition(told))
                nursery.cancel_scope.cancel()

    async def test_connections_that_are_killed_are_made_again(self) -> None:
        def lost(told: Recording) -> bool:
            if told.reached == [True]:
                self.server.kill_connections()
            return told.reached[:3] == [True, False, True]

        await self.until(self.plane(), lost)

    async def test_a_wrong_password_is_refused(self) -> None:
        with pytest.RaisesGroup(BackplaneRefused, flatten_subgroups=True, allow_unwrapped=True) as caught:
            await self.until(self.plane(WRONG), lambda told: False)
        text = str(caught.value) + repr(getattr(caught.value, "exceptions", ""))
        assert "refuses us" in text
        assert not [part for part in SHOWN if part in text]

    async def test_a_certificate_that_is_not_trusted_is_told(self, caplog: pytest.LogCaptureFixture) -> None:
        await self.until(self.plane(trusted=False), lambda told: told.reached == [False])
        assert "cannot be reached" in caplog.text

    def test_the_password_is_in_no_repr(self) -> None:
        assert not [part for part in SHOWN if part in repr(self.plane())]


class TlsRedis(Secure):
    transport: Transport

    @pytest.fixture(autouse=True)
    def _server(self, request: pytest.FixtureRequest) -> None:
        require_package(self.transport)
        self.server, self.ca, self.port = request.getfixturevalue("redis_with_tls")

    def plane(self, password: str = PASSWORD, *, trusted: bool = True) -> Backplane:
        more = f"?ca={quote(str(self.ca))}" if trusted else ""
        url = f"rediss://app:{quote(password, safe='')}@localhost:{self.port}{more}"
        return RedisBackplane(url, transport=self.transport)


class TestGlide(TlsRedis):
    transport = "glide"


class TestCoredis(TlsRedis):
    transport = "coredis"


class TestLibpq(Secure):
    @pytest.fixture(autouse=True)
    def _server(self, request: pytest.FixtureRequest) -> None:
        require_package("psycopg")
        self.server, self.ca, self.port = request.getfixturevalue("postgres_with_tls")

    def plane(self, password: str = PASSWORD, *, trusted: bool = True) -> Backplane:
        ca = self.ca if trusted else self.ca.with_name("other.pem")
        options = f"sslmode=verify-full&sslrootcert={quote(str(ca), safe='')}"
        login = f"app:{quote(password, safe='')}"
        return PostgresBackplane(f"postgresql://{login}@localhost:{self.port}/postgres?{options}")


def written_authority(folder: Path) -> trustme.CA:
    """Write the certificate of an authority, and that of another one."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    trustme.CA().cert_pem.write_to_path(folder / "other.pem")
    return authority


@pytest.fixture(scope="module")
def redis_with_tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RedisServer, Path, int]]:
    folder, port = tmp_path_factory.mktemp("redis"), free_port()
    made = write_certificate(written_authority(folder), folder, "server", "localhost")
    with redis_server(
        folder, "--bind", "127.0.0.1", "-::1", "--tls-port", str(port),
        "--tls-cert-file", str(made.certfile), "--tls-key-file", str(made.keyfile),
        "--tls-ca-cert-file", str(folder / "ca.pem"), "--tls-auth-clients", "no",
        "--user", "app", "on", f">{PASSWORD}", "~*", "&*", "+@all",
    ) as server:  # fmt: skip
        yield server, folder / "ca.pem", port


@pytest.fixture(scope="module")
def postgres_with_tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[PostgresServer, Path, int]]:
    folder, port = tmp_path_factory.mktemp("postgres"), free_port()
    made = write_certificate(written_authority(folder), folder, "server", "localhost")
    with postgres_server(listen="127.0.0.1", port=port) as server:
        for source, name in ((made.certfile, "server.crt"), (folder / "server.key", "server.key")):
            copied = server.data / name
            shutil.copyfile(source, copied)
            os.chmod(copied, 0o600)
            if server.user is not None:
                shutil.chown(copied, server.user)
        rules = server.data / "pg_hba.conf"
        rules.write_text(
            f"hostssl all app 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 reject\n{rules.read_text()}"
        )
        server.ask(SCHEMA)
        server.ask(f"CREATE ROLE app LOGIN SUPERUSER PASSWORD '{PASSWORD}'")
        server.ask("ALTER SYSTEM SET ssl TO on")
        server.ask("SELECT pg_reload_conf()")
        deadline = time.monotonic() + PATIENCE
        while server.ask("SHOW ssl") != [(b"on",)]:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield server, folder / "ca.pem", port
