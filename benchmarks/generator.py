"""Build the load generator from ``load/``, and run it."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.scenarios import Scenario

__all__ = ["Generator", "Load", "LoadFailed", "build"]

SOURCES = Path(__file__).parent / "load"
TLS = ["-DWITH_TLS", "-lssl", "-lcrypto"]
DEFLATE = ["-DWITH_DEFLATE", "-lz"]
# After the last message; the generator itself gives up after 10 s without an answer.
PATIENCE = 60


class LoadFailed(Exception):
    """The generator gave up: the server answered wrongly or not at all."""


@dataclass(frozen=True)
class Generator:
    """A built generator."""

    program: Path
    tls: bool
    """Whether the generator supports TLS."""
    deflate: bool
    """Whether the generator supports compression."""

    @contextmanager
    def load(self, scenario: Scenario, port: int, *, seconds: float, warm_up: float, server: int) -> Iterator[Load]:
        """Connect as the scenario says, and wait; close all connections at the end.

        Raises:
            LoadFailed: If the server refuses a connection, or answers wrongly.
        """
        command = [str(self.program), "--port", str(port), "--server", str(server), "--gate"]
        command += ["--seconds", str(seconds), "--warm-up", str(warm_up), *scenario.arguments()]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        try:
            yield Load(process)
            process.communicate("\n", timeout=PATIENCE)
        finally:
            process.kill()
            process.communicate()


class Load:
    """A running generator; it waits twice: after opening all connections, and before closing them."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.pid = process.pid

    def wait_until_open(self) -> None:
        """Wait until all connections are open; in connect mode there are not any yet."""
        self._read()

    def run(self) -> dict[str, Any]:
        """Run, and return the generator's report."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        line = self._process.stdout.readline()
        if not line:
            raise LoadFailed(self._process.stderr.read().strip() or "the load generator ended without a report")
        report: dict[str, Any] = json.loads(line)
        return report


def build(folder: Path) -> Generator:
    """Compile the generator into a folder, with TLS and compression if the headers of OpenSSL and zlib are installed.

    Raises:
        FileNotFoundError: If there is no C compiler.
        subprocess.CalledProcessError: If it does not compile; ``stderr`` says why.
    """
    compiler = shutil.which("cc")
    if compiler is None:
        raise FileNotFoundError("no C compiler (cc) found: install one")
    program = folder / "load"
    command = [compiler, "-O2", "-o", str(program), *map(str, sorted(SOURCES.glob("*.c")))]
    if subprocess.run([*command, *TLS, *DEFLATE], check=False, capture_output=True).returncode == 0:
        return Generator(program, tls=True, deflate=True)
    tls, deflate = (
        subprocess.run([*command, *words], check=False, capture_output=True).returncode == 0 for words in (TLS, DEFLATE)
    )
    words = [*(TLS if tls else []), *(DEFLATE if deflate else [])]
    subprocess.run([*command, *words], check=True, capture_output=True, text=True)
    return Generator(program, tls, deflate)
