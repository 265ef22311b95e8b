"""A server under test: started fresh, alone on its CPU, and measured through the kernel."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.contestants import Contestant

__all__ = ["CPUs", "Serving", "ServingFailed", "cpu_seconds", "memory_kib", "serving"]

HOST = "127.0.0.1"
# Enough for a cold interpreter with many imports, on a busy machine.
START_PATIENCE = 30.0
STOP_PATIENCE = 2.0


class ServingFailed(Exception):
    """A server did not start."""


@dataclass(frozen=True)
class CPUs:
    """The CPUs of server and generator; None if the kernel decides."""

    server: int | None
    generator: int | None

    @classmethod
    def choose(cls) -> CPUs:
        """Choose the first and the last CPU, which are the least likely to share a core."""
        there_are = sorted(os.sched_getaffinity(0))
        return cls(there_are[-1], there_are[0]) if len(there_are) > 1 else cls(None, None)


@dataclass(frozen=True)
class Serving:
    """A running server."""

    port: int
    process: subprocess.Popen[str]

    @property
    def pid(self) -> int:
        """The server's process."""
        return self.process.pid

    def calls(self) -> str:
        """Return the call counts of a server that counts its calls."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self.process.stdout.readline()


def pin(pid: int, cpu: int | None) -> None:
    """Keep a process on one CPU."""
    if cpu is not None:
        os.sched_setaffinity(pid, {cpu})


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind((HOST, 0))
        port: int = sock.getsockname()[1]
        return port


def wait_for(port: int, process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + START_PATIENCE
    while time.monotonic() < end:
        if process.poll() is not None:
            raise ServingFailed(f"the server exited with status {process.returncode}")
        try:
            socket.create_connection((HOST, port), 1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise ServingFailed(f"the server does not listen after {START_PATIENCE:g} s")


@contextmanager
def serving(
    contestant: Contestant,
    *,
    log: Path,
    cpus: CPUs,
    certificate: Path | None = None,
    deflate: bool = False,
    counting: bool = False,
) -> Iterator[Serving]:
    """Run a server while the body runs.

    Args:
        contestant: The server.
        log: Receives its standard error.
        cpus: The CPUs to use.
        certificate: The certificate for TLS, or None.
        deflate: Whether it compresses.
        counting: Whether the server counts its calls, for :meth:`Serving.calls`.

    Raises:
        ServingFailed: If it does not start.
    """
    port = free_port()
    command = [*contestant.command(port, certificate, deflate=deflate), *(["--count-calls"] if counting else [])]
    with log.open("a") as errors:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**os.environ, **contestant.environment},
        )
    try:
        pin(process.pid, cpus.server)
        wait_for(port, process)
        yield Serving(port, process)
    finally:
        process.terminate()
        try:
            process.communicate(timeout=STOP_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def memory_kib(pid: int) -> int:
    """Return a process's share of the memory in KiB (PSS), or its resident memory if the kernel does not report it."""
    for name, field in (("smaps_rollup", "Pss"), ("status", "VmRSS")):
        try:
            text = Path(f"/proc/{pid}/{name}").read_text()
        except OSError:
            continue
        found = re.search(rf"^{field}:\s+(\d+) kB", text, re.MULTILINE)
        if found is not None:
            return int(found[1])
    raise OSError(f"/proc does not report the memory of process {pid}")


def cpu_seconds(pids: Iterable[int]) -> float:
    """Return the CPU time that processes have taken together, in seconds."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")
