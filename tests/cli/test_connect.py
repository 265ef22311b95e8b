"""``wsframe connect``: at a terminal, in a pipe, with JSON."""

import json
import os
import pty
import re
import select
import shlex
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio
import trio.lowlevel
import trio.testing
import trustme

import wsframe
from tests.cli.program import serving
from tests.cli.server import serving_in_thread
from tests.patience import PATIENCE
from wsframe import cli
from wsframe.cli.chat import Display, Ping, Sayings, Text
from wsframe.cli.connect import Plain, close_at_signal, converse
from wsframe.cli.connect_options import mistake_of, mistakes_told


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with serving_in_thread() as address:
        yield address


def run(*arguments: str, said: str | bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "wsframe", "connect", *arguments],
        input=said.encode() if isinstance(said, str) else said,
        capture_output=True, timeout=PATIENCE, check=False,
    )  # fmt: skip


def test_each_line_of_a_pipe_is_sent_and_each_answer_printed(address: str) -> None:
    done = run(address, said="hello\ntwice\n\n/ping")
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == b"hello\ntwice\ntwice\n\n/ping\n"


def test_answers_are_waited_for_after_the_end_of_the_input(address: str) -> None:
    assert run(f"{address}/late", "--wait", "none").stdout == b"at last \x1b[31m\n"
    assert run(f"{address}/late", "--wait", "0").stdout == b""


def test_who_stops_reading_the_output_ends_it_without_a_word(address: str) -> None:
    command = [sys.executable, "-m", "wsframe", "connect", address, "--wait", "none"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as program:
        assert program.stdin is not None
        assert program.stdout is not None
        assert program.stderr is not None
        program.stdin.write(b"hello\n")
        program.stdin.flush()
        assert program.stdout.readline() == b"hello\n"
        program.stdout.close()
        program.stdin.write(b"twice\n")
        program.stdin.flush()
        assert program.wait(PATIENCE) == 0
        assert program.stderr.read() == b""


def test_header_subprotocol_and_compression_are_offered(address: str) -> None:
    options = ["--header", "X-Token: a:b", "--subprotocol", "a", "--subprotocol", "b", "--compress", "--wait", "0.2"]
    lines = '{"type": "text", "data": "header X-Token"}\n{"type": "binary", "data": "AP8="}\n{"type": "ping"}\n'
    done = run(address, "--json", *options, said=lines)
    assert done.stderr == b""
    shown = [json.loads(line) for line in done.stdout.splitlines()]
    (pong,) = [event for event in shown if event["type"] == "pong"]
    assert 0 < pong["latency"] < PATIENCE
    shown.remove(pong)
    assert shown[0]["url"] == f"{address}/"
    assert shown[0]["subprotocol"] == "a"
    assert shown[0]["extensions"][0].startswith("permessage-deflate")
    assert shown[1:] == [
        {"type": "text", "data": "a:b"},
        {"type": "binary", "data": "AP8="},
        {"type": "close", "code": 1000, "reason": "", "orderly": True},
    ]


def test_binary_messages_are_printed_as_they_are(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    Plain().message(b"\x00\xff")
    Plain().message("text")
    assert capfdbinary.readouterr().out == b"\x00\xfftext\n"


@pytest.mark.parametrize(
    ("said", "code", "told"),
    [
        ("close 1000", 0, ""),
        ("close 4001", 1, "the peer closed with code 4001 'as told'"),
        ("abort", 1, "connection lost"),
    ],
)
def test_how_the_server_ends_is_the_exit_code(address: str, said: str, code: int, told: str) -> None:
    done = run(address, "--wait", "none", said=said)
    assert done.returncode == code
    assert told in done.stderr.decode()
    assert done.stderr.count(b"\n") == bool(told)


def test_json_tells_how_the_server_ends(address: str) -> None:
    done = run(address, "--json", "--wait", "none", said='{"type": "text", "data": "close 4001"}\n')
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "type": "close", "code": 4001, "reason": "as told", "orderly": False,
    }  # fmt: skip
    done = run(address, "--json", "--wait", "none", said='{"type": "text", "data": "abort"}\n')
    assert json.loads(done.stdout.splitlines()[-1])["code"] == 1006
    done = run(address, "--json", said='{"type": "close", "code": 4000, "reason": "bye"}\n')
    assert json.loads(done.stdout.splitlines()[-1])["code"] == 4000


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_closes_in_order(number: signal.Signals, address: str) -> None:
    command = [sys.executable, "-m", "wsframe", "connect", f"{address}/", "--json"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["type"] == "open"
        process.send_signal(number)
        closed = json.loads(process.stdout.readline())
        assert (closed["code"], closed["orderly"]) == (1000, True)
        assert process.wait(PATIENCE) == 0


MISTAKES = {
    "connect": "the following arguments are required: URL; see wsframe connect --help",
    "connect http://a.example/": "the URL of a WebSocket begins with ws:// or wss://, not http://",
    "connect ws://a.example/ --header X": "--header must be 'NAME: VALUE', got 'X'",
    "connect ws://a.example/ --header 'X Y: 1'": "header field 'X Y': '1' must not be sent",
    "connect ws://a.example/ --max-message 0": "--max-message must be at least 1, not 0",
    "connect ws://a.example/ --wait long": "argument --wait: 'long' is not a number; see wsframe connect --help",
}


@pytest.mark.parametrize("command", MISTAKES)
def test_a_mistake_is_one_line_and_exit_code_2(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match=r"^2$"):
        raise SystemExit(cli.main(shlex.split(command)))
    line = capsys.readouterr().err.removeprefix("wsframe connect: ").removeprefix("wsframe: ")
    assert line == MISTAKES[command] + "\n"


def test_what_cannot_be_sent_from_a_pipe_ends_it(address: str) -> None:
    done = run(address, "--json", said="hello\n")
    assert (done.returncode, done.stderr) == (2, b"wsframe: 'hello' is not a JSON object\n")
    done = run(address, said=b"\xff\n")
    assert (done.returncode, done.stderr) == (1, b"wsframe: line 1 of the input is not UTF-8\n")


def test_a_refusal_is_told_in_one_line(address: str) -> None:
    done = run(f"{address}/closed")
    assert done.returncode == 1
    assert done.stderr.decode() == "wsframe: the server answered 403: members only\N{REPLACEMENT CHARACTER}\n"
    done = run("ws://127.0.0.1:1/")
    assert (done.returncode, done.stderr) == (1, b"wsframe: cannot connect: Connection refused\n")


def test_a_certificate_is_checked_unless_told_otherwise(folder: Path) -> None:
    authority = trustme.CA()
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(folder / "both.pem"))
    with serving(folder, "hello_target", "--port", "0", "--tls-cert", "both.pem") as program:
        done = run(f"{program.address}/hello")
        assert done.returncode == 1
        assert b"certificate verify failed" in done.stderr.lower()
        assert b"; set SSL_CERT_FILE=FILE to trust" in done.stderr
        assert run(f"{program.address}/hello", "--insecure").stdout == b"hello\n"


def test_a_unix_socket(folder: Path) -> None:
    with serving(folder, "hello_target", "--unix", "socket"):
        assert run("ws://localhost/hello", "--unix", str(folder / "socket")).stdout == b"hello\n"


def test_a_bug_of_ours_is_no_one_line() -> None:
    assert mistake_of(LookupError("no")) is None
    with pytest.raises(LookupError), mistakes_told():
        raise ExceptionGroup("", [ExceptionGroup("", [LookupError("no")])])
    assert str(mistake_of(wsframe.ConnectionClosed(None, None, peer_first=True, reason="lost"))) == (
        "the connection has ended: connection lost (lost)"
    )


class Silent(Display):
    """Shows nothing."""

    def opened(self, websocket: wsframe.WebSocket) -> None:
        pass

    def message(self, message: str | bytes) -> None:
        pass

    def pong(self, latency: float) -> None:
        pass

    def closed(self, closed: wsframe.ConnectionClosed) -> None:
        self.how = closed


async def test_a_second_ctrl_c_ends_at_once() -> None:
    class Stub:
        aborted = False

        async def close(self) -> None:
            await trio.sleep_forever()

        def abort(self) -> None:
            self.aborted = True
            nursery.cancel_scope.cancel()

    signals, receiver = trio.open_memory_channel[int](2)
    stub = Stub()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(close_at_signal, stub, receiver)  # type: ignore[arg-type]
        signals.send_nowait(signal.SIGINT)
        signals.send_nowait(signal.SIGINT)
    assert stub.aborted


async def test_a_mute_server_is_left_a_second_after_ctrl_c(autojump_clock: trio.testing.MockClock) -> None:
    class Stub:
        left_at = 0.0

        async def close(self) -> None:
            await trio.sleep_forever()

        def abort(self) -> None:
            self.left_at = trio.current_time()
            nursery.cancel_scope.cancel()

    signals, receiver = trio.open_memory_channel[int](2)
    stub = Stub()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(close_at_signal, stub, receiver)  # type: ignore[arg-type]
        signals.send_nowait(signal.SIGINT)
    assert stub.left_at == 1


async def test_a_message_that_the_server_does_not_wait_for_is_no_error(address: str) -> None:
    """The connection may end while something is said; the end is told once."""

    async def endless() -> Sayings:
        yield Text("close 4002")
        while True:
            yield Text("more")
            yield Ping(b"")
            await trio.lowlevel.checkpoint()

    display = Silent()
    with trio.fail_after(PATIENCE):
        assert await converse(f"{address}/", {}, endless(), display, 0) == 1
    assert display.how.received is not None
    assert display.how.received.code == 4002


# At a terminal.


class Typist:
    """A ``wsframe connect`` at a pseudo-terminal."""

    def __init__(self, controller: int, process: subprocess.Popen[bytes]) -> None:
        self.controller = controller
        self.process = process
        self.shown = ""

    def type(self, keys: str) -> None:
        os.write(self.controller, keys.encode())

    def until(self, pattern: str) -> str:
        """Read until this has been shown, and forget everything up to it."""
        while not (found := re.search(pattern, self.shown)):
            assert select.select([self.controller], [], [], PATIENCE)[0], f"no {pattern!r} in {self.shown!r}"
            self.shown += os.read(self.controller, 4096).decode(errors="replace")
        self.shown = self.shown[found.end() :]
        return found[0]


@contextmanager
def typing(*arguments: str) -> Iterator[Typist]:
    controller, terminal = pty.openpty()
    before = termios.tcgetattr(terminal)
    command = [sys.executable, "-m", "wsframe", "connect", *arguments]
    environment = {**os.environ, "TERM": "xterm", "INPUTRC": "/dev/null"}
    with subprocess.Popen(
        command, stdin=terminal, stdout=terminal, stderr=terminal, env=environment, start_new_session=True
    ) as process:
        try:
            yield Typist(controller, process)
            process.wait(PATIENCE)
            assert termios.tcgetattr(terminal) == before, "the terminal is left as it was"
        finally:
            process.kill()
            os.close(terminal)
            os.close(controller)


def test_a_conversation_at_a_terminal(address: str) -> None:
    with typing(f"{address}/", "--subprotocol", "a", "--compress") as typist:
        typist.until(r"connected to ws://127\.0\.0\.1:\d+/, subprotocol a, permessage-deflate.*; /help for help\r\n> ")
        typist.type("hello\r")
        typist.until(r"< hello\r\n> ")
        typist.type("\x1b[A\x1b[D!\r")  # the line before, once to the left
        typist.until(r"< hell!o\r\n> ")
        typist.type("/binary 00ff\r")
        typist.until(r"< binary, 2 bytes: 00ff\r\n")
        typist.type(f"/binary {'00' * 300}\r")
        typist.until(r"< binary, 300 bytes: (00){256}\.\.\.\r\n")
        typist.type("/ping\r")
        typist.until(r"pong after \d+\.\d ms\r\n")
        typist.type("/nothing\r")
        typist.until(r"unknown command /nothing: see /help\r\n")
        typist.type("/close 4000 bye\r")
        typist.until(r"disconnected: we closed with code 4000 'bye'; the peer answered")
        assert typist.process.wait(PATIENCE) == 0


def test_what_comes_in_leaves_the_line_that_is_typed(address: str) -> None:
    with typing(f"{address}/late") as typist:
        typist.until("> ")
        typist.type("unfinished")
        typist.until("< at last \N{REPLACEMENT CHARACTER}\\[31m\r\n> unfinished")
        typist.until("disconnected: the peer closed with code 1000; we answered")
        assert typist.process.wait(PATIENCE) == 0


def test_a_pipe_to_a_terminal_passes_nothing_on_that_it_would_obey(address: str) -> None:
    controller, terminal = pty.openpty()
    command = [sys.executable, "-m", "wsframe", "connect", "--wait", "none", f"{address}/rude"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=terminal) as process:
        try:
            process.wait(PATIENCE)
            assert os.read(controller, 4096).decode() == "\ufffd[31m text\r\n\ufffd]0;bytes\ufffd\ufffd\r\n"
        finally:
            process.kill()
            os.close(terminal)
            os.close(controller)


@pytest.mark.parametrize("keys", ["\x04", "\x03"])
def test_ctrl_d_and_ctrl_c_close_in_order(address: str, keys: str) -> None:
    with typing(f"{address}/") as typist:
        typist.until("> ")
        if keys == "\x03":  # which a terminal turns into a signal for those it controls
            typist.process.send_signal(signal.SIGINT)
        else:
            typist.type(keys)
        typist.until("disconnected: we closed with code 1000; the peer answered")
        assert typist.process.wait(PATIENCE) == 0
