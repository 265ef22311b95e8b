"""A PostgreSQL server for tests, a process of its own in a folder of the test."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

from tests.patience import PATIENCE
from tests.requirements import require

__all__ = ["PostgresServer", "postgres_server"]

PORT = 5432


class PostgresServer:
    """A PostgreSQL server at a unix socket; run as root it becomes another user, for it refuses to run as root."""

    def __init__(self, folder: Path, prefix: Sequence[str] = (), listen: str = "", port: int = PORT) -> None:
        self.folder = folder
        self._prefix = prefix
        self._listen = listen
        self._port = port
        self.data = folder / "data"
        self.user = "postgres" if os.getuid() == 0 else None
        """The user that it runs as, None for that of the test."""
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"postgresql://postgres@/postgres?host={quote(str(folder), safe='')}"

    def make(self) -> None:
        """Make the cluster."""
        if self.user is not None:
            shutil.chown(self.folder, self.user)
        command = [postgres_program("initdb"), "--pgdata", str(self.data), "--auth", "trust", "--no-sync"]
        done = subprocess.run(
            [*command, "--username", "postgres", "--encoding", "UTF8", "--locale", "C"],
            user=self.user, cwd="/", capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        rules = self.data / "pg_hba.conf"
        more = f"host all all {self._listen}/24 trust\n" if self._listen else ""
        rules.write_text(f"local all locked scram-sha-256\n{more}" + rules.read_text())

    def start(self) -> None:
        """Start it, and wait until it answers."""
        settings = {
            "listen_addresses": self._listen, "port": str(self._port), "unix_socket_directories": str(self.folder),
            "fsync": "off",
        }  # fmt: skip
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        command, user = [postgres_program("postgres"), "-D", str(self.data), *options], self.user
        if self._prefix:  # it needs root, and the server another user
            command = [*self._prefix, "setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", *command]
            user = None
        self._process = subprocess.Popen(
            command,
            user=user, cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                self.ask("SELECT 1")
                return
            except OSError:
                assert time.monotonic() < deadline, "the PostgreSQL server does not start"
                time.sleep(0.05)

    def ask(self, text: str) -> list[tuple[bytes | None, ...]]:
        """Run a command on a connection of its own."""
        from psycopg import pq

        raw = pq.PGconn.connect(f"host={self.folder} port={self._port} user=postgres dbname=postgres".encode())
        try:
            if raw.status != pq.ConnStatus.OK:
                raise OSError(raw.get_error_message())
            result = raw.exec_(text.encode())
            assert result.status in (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK), result.get_error_message()
            return [tuple(result.get_value(row, one) for one in range(result.nfields)) for row in range(result.ntuples)]
        finally:
            raw.finish()

    def grant_leases_at_once(self) -> None:
        """Empty the tables of a backplane, and pretend that they have been here for long."""
        if self.ask("SELECT to_regclass('wsframe_births')") != [(None,)]:
            self.ask("TRUNCATE wsframe_topics, wsframe_messages, wsframe_large, wsframe_leases")
            self.ask("UPDATE wsframe_births SET at = '-infinity'")

    @property
    def pid(self) -> int:
        """Its main process."""
        assert self._process is not None
        return self._process.pid

    def empty(self) -> None:
        """Have it start without data."""
        shutil.rmtree(self.data)
        self.make()

    def kill(self) -> None:
        """Kill it with all its processes, as a crash of the machine does."""
        if self._process is not None:
            self._signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def kill_connections(self) -> None:
        """Have the server end all connections."""
        self.ask(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )

    def freeze(self) -> None:
        """Stop its processes."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let its processes go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        for pid in self._pids():
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def _pids(self) -> list[int]:
        assert self._process is not None
        main = self._process.pid
        listed = Path(f"/proc/{main}/task/{main}/children").read_text()
        return [main, *map(int, listed.split())]


def postgres_program(name: str) -> str:
    """Return the path of one of PostgreSQL's programs, which Debian keeps out of the PATH."""
    versions = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)
    return str(versions[0]) if versions else require(name)


@contextmanager
def postgres_server(prefix: Sequence[str] = (), listen: str = "", port: int = PORT) -> Iterator[PostgresServer]:
    """Run a server until the block ends; ``prefix`` begins its command.

    Its folder is not below pytest's, which other users cannot enter.
    """
    with TemporaryDirectory(prefix="wsframe-postgres-", ignore_cleanup_errors=True) as folder:
        server = PostgresServer(Path(folder), prefix, listen, port)
        server.make()
        try:
            server.start()
            yield server
        finally:
            server.kill()
