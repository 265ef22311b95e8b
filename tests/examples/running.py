"""Runs an example as its reader would: as a program of its own."""

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.patience import PATIENCE

__all__ = ["EXAMPLES", "example_running", "example_served", "program_running"]

EXAMPLES = Path(__file__).parents[2] / "examples"
WORKERS = os.environ.get("WSFRAME_EXAMPLE_WORKERS", "")
"""With so many workers each example is to behave as with one process; ``nox -s workers`` sets it."""


@contextmanager
def example_running(name: str, *arguments: str) -> Iterator[str]:
    """Run ``examples/name`` and give the address that its first line of output tells."""
    command = ["-m", "tests.examples.as_workers", WORKERS] if WORKERS else []
    with program_running(sys.executable, *command, str(EXAMPLES / name), *arguments) as address:
        yield address


@contextmanager
def example_served(name: str, *arguments: str) -> Iterator[str]:
    """Serve ``examples/name`` with the command line of wsframe; give its address."""
    more = ["--workers", WORKERS] if WORKERS else []
    command = ["-m", "wsframe", "serve", str(EXAMPLES / name), "--log-level", "error", *more, *arguments]
    with program_running(sys.executable, *command) as address:
        yield address


@contextmanager
def program_running(*command: str) -> Iterator[str]:
    """Run a server and give the address of its page, ``http://127.0.0.1:PORT``; it must end well when told to."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            yield address_of(process)
        finally:
            end(process)
        assert process.returncode == 0


def address_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    # A program that says nothing is ended, which ends the wait for its line.
    watchdog = threading.Timer(PATIENCE, process.kill)
    watchdog.start()
    try:
        line = process.stdout.readline()
    finally:
        watchdog.cancel()
        watchdog.join()
    address = re.search(r"(http://127\.0\.0\.1:\d+)/", line)
    assert address, f"the first line tells no address: {line!r}"
    return address[1]


def end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
