"""Runs an example as its reader would: as a program of its own."""

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["EXAMPLES", "example_running"]

EXAMPLES = Path(__file__).parents[2] / "examples"
PATIENCE = 20


@contextmanager
def example_running(name: str, *arguments: str) -> Iterator[str]:
    """Run ``examples/name`` and give the address that its first line of output tells."""
    command = [sys.executable, str(EXAMPLES / name), *arguments]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            yield address_of(process)
        finally:
            end(process)


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
    address = re.search(r"(https?|wss?)://127\.0\.0\.1:\d+", line)
    assert address, f"the first line tells no address: {line!r}"
    return address[0]


def end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
