"""SIGINT and SIGTERM in every phase of a program: the second one ends it, whatever a hook does."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from queue import Queue
from typing import IO

import pytest
import trio
from websockets.sync.client import connect

import wsframe
from tests.patience import PATIENCE, watched
from wsframe.server import signals
from wsframe.server.signals import Attention

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no such signals")


class Stubborn:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert process.stdout is not None
        self.stdout: IO[str] = process.stdout

    def until(self, words: str) -> str:
        """Return the rest of the line that begins with these words, which is waited for."""
        for line in self.stdout:
            if line.startswith(words):
                return line.removeprefix(words).strip()
        raise AssertionError(f"it ended without {words!r}")

    def end(self, number: signal.Signals) -> int:
        """Send a signal; return the status."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)

    def end_at_last(self, number: signal.Signals) -> int:
        """Send a signal again and again, for two at once may count as one; return the status."""
        while self.process.poll() is None:
            self.process.send_signal(number)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(0.1)
        return self.process.returncode


@contextmanager
def stubborn(how: str) -> Iterator[Stubborn]:
    command = [sys.executable, "-m", "tests.server.stubborn", how]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            with watched(process):
                yield Stubborn(process)
        finally:
            process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("how", ["sleeps", "loops", "swallows", "is not Python", "holds the interpreter"])
def test_the_second_signal_ends_a_program_whose_hook_does_not_end(how: str, number: signal.Signals) -> None:
    with stubborn(how) as program, connect(program.until("at "), proxy=None) as peer:
        peer.send("go")
        program.until("busy")
        assert program.end_at_last(number) == -number


def test_the_second_signal_ends_a_program_whose_running_is_left_behind_a_shield() -> None:
    with stubborn("is left behind a shield") as program:
        program.until("at ")
        program.process.send_signal(signal.SIGTERM)
        program.until("left")  # a second signal before that would cancel running(), which then ends in order
        assert program.end(signal.SIGTERM) == -signal.SIGTERM
        assert program.process.stderr is not None
        assert "has not ended 1 s after the second signal: SIGTERM ends it" in program.process.stderr.read()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("how", ["starts for ever", "starts beside another"])
def test_a_signal_ends_a_start_in_order(how: str, number: signal.Signals) -> None:
    with stubborn(how) as program:
        program.until("busy")
        assert program.end(number) == 0
        rest = program.stdout.read()
        assert rest.endswith("ended\n")
        assert "at " not in rest
        assert rest.count("left") == (how == "starts beside another")


@pytest.mark.parametrize("how", ["starts for ever behind a shield", "starts and blocks"])
def test_the_second_signal_ends_a_start_that_cannot_be_cancelled(how: str) -> None:
    with stubborn(how) as program:
        program.until("busy")
        assert program.end_at_last(signal.SIGTERM) == -signal.SIGTERM


def test_a_signal_for_a_child_that_user_code_has_forked_is_the_childs() -> None:
    with stubborn("forks") as program, connect(program.until("at "), proxy=None) as peer:
        for _ in range(5):
            peer.send("go")
            assert program.until("child") == str(-signal.SIGTERM)
            assert peer.recv(timeout=PATIENCE) == "served"
        peer.close()
        assert program.end(signal.SIGTERM) == 0


async def wait_for(condition: Callable[[], object]) -> None:
    with trio.fail_after(PATIENCE):
        while not condition():  # noqa: ASYNC110
            await trio.sleep(0.01)


async def test_signals_are_obeyed_in_turn_and_put_back_with_no_thread_left(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LAST_SECONDS", "KERNEL_SECONDS"):  # on a machine that is busy they would end the tests
        monkeypatch.setattr(signals, name, PATIENCE)
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    obeyed: list[str] = []
    with Attention(lambda: obeyed.append("close"), lambda: obeyed.append("hurry")):
        signal.raise_signal(signal.SIGTERM)
        await wait_for(lambda: obeyed)
        assert obeyed == ["close"]
        signal.raise_signal(signal.SIGINT)
        await wait_for(lambda: len(obeyed) > 1)
    assert obeyed == ["close", "hurry"]
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    assert "wsframe signals" not in {thread.name for thread in threading.enumerate()}


async def test_a_handler_of_the_users_own_takes_its_signal_away() -> None:
    obeyed: list[str] = []
    heard: list[int] = []
    before = signal.getsignal(signal.SIGTERM)
    with Attention(lambda: obeyed.append("close"), lambda: obeyed.append("hurry")):
        signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)
        await wait_for(lambda: obeyed)
    assert obeyed == ["close"]
    assert heard == [signal.SIGTERM]
    signal.signal(signal.SIGTERM, before)


def test_attention_in_another_thread_says_where_it_belongs() -> None:
    raised: list[BaseException] = []

    async def main() -> None:
        with Attention(lambda: None, lambda: None):
            pass

    def run() -> None:
        try:
            trio.run(main)
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(PATIENCE)
    assert type(raised[0]) is RuntimeError
    assert "signals come to the main thread" in str(raised[0])


def test_run_in_another_thread_leaves_signals_alone_and_ends_by_close() -> None:
    servers: Queue[wsframe.Server] = Queue()
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    registry = wsframe.Registry(alone=True)
    thread = threading.Thread(target=partial(wsframe.run, registry, port=0, started=servers.put))
    thread.start()
    server = servers.get(timeout=PATIENCE)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    server.close()
    thread.join(PATIENCE)
    assert not thread.is_alive()
