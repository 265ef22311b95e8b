"""The load generator keeps to the protocol, and believes no server."""

import json
import shutil
import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

import wsframe
from benchmarks.generator import Generator, build


class Answering(wsframe.Resource):
    """Echoes a message with something done to it."""

    def __init__(self, answers: list[str]) -> None:
        self.answers = answers

    async def received_text(self, client: wsframe.Client, message: str) -> None:
        for answer in self.answers:
            client.send_text(message if answer == "same" else answer)

    async def received_binary(self, client: wsframe.Client, message: bytes) -> None:
        client.send_binary(message, frame_size=7)


class Everybody(wsframe.Resource):
    async def received_text(self, client: wsframe.Client, message: str) -> None:
        self.broadcast_text(message)


class Closing(wsframe.Resource):
    async def received_text(self, client: wsframe.Client, message: str) -> None:
        client.close(1000)


async def run_quietly(command: list[str]) -> subprocess.CompletedProcess[bytes]:
    return await trio.run_process(command, capture_stdout=True, capture_stderr=True, check=False)


async def run_load(
    generator: Generator, resource: wsframe.Resource, *words: str, path: str = "/", **options: Any
) -> subprocess.CompletedProcess[bytes]:
    registry = wsframe.Registry()
    registry.register("/", resource)
    async with wsframe.open_server(registry, port=0, **options) as server:
        port = server.addresses[0].rpartition(":")[2]
        command = [generator.program, "--port", port, "--path", path, "--seconds", "0.05", "--warm-up", "0"]
        return await run_quietly([*map(str, command), *words])


@pytest.mark.parametrize(
    "words",
    [
        "--mode echo --connections 3 --window 4 --text",
        "--mode echo --size 0",
        "--mode echo --size 5 --window 9",
        "--mode echo --connections 4 --active 1 --size 126",
        "--mode echo --size 65535",
        "--mode echo --size 65536",
        "--mode broadcast --connections 3 --window 4 --text",
        "--mode connect --connections 2",
        "--mode echo --size 16384 --fragments 64",
        "--mode echo --size 7 --fragments 3 --window 4 --text",
        "--mode echo --size 2 --fragments 5",
        "--mode broadcast --connections 2 --fragments 2 --text",
    ],
)
async def test_a_run_reports_what_it_counted(generator: Generator, words: str) -> None:
    resource = Everybody() if "broadcast" in words else Answering(["same"])
    done = await run_load(generator, resource, *words.split())
    assert done.stderr == b""
    report = json.loads(done.stdout)
    assert report["total"] >= report["messages"] > 0
    assert report["seconds"] >= 0.05
    assert 0 < report["latency_us"]["p50"] <= report["latency_us"]["p99"] <= 1.05 * report["latency_us"]["max"]
    assert "generator_cpu" in report
    assert "server_cpu" not in report


@pytest.mark.parametrize("words", ["--connections 3 --window 4", "--size 16", "--size 100000", "--mode connect"])
async def test_messages_are_compressed_both_ways(generator: Generator, words: str) -> None:
    deflate = wsframe.Deflate.shared(threshold=0)
    words = f"--deflate --text {words}"
    done = await run_load(generator, Answering(["same"]), *words.split(), deflate=deflate)
    if not generator.deflate:
        assert b"built without zlib" in done.stderr
        return
    assert done.stderr == b""
    assert json.loads(done.stdout)["messages"] > 0


@pytest.mark.parametrize(
    ("answers", "options", "complaint"),
    [
        (["same"], {}, "no compression was agreed on"),
        (["0" * 16], {"threshold": 0}, "a message of less than 64 bytes"),
        (["long" * 20], {"threshold": 0}, "a message of more than 64 bytes"),
        (["same"], {"threshold": 1000}, "an answer that is not compressed"),
    ],
)
async def test_a_wrong_answer_to_a_compressed_message_ends_the_run(
    generator: Generator, answers: list[str], options: dict[str, int], complaint: str
) -> None:
    if generator.deflate:
        deflate = wsframe.Deflate.shared(**options) if options else None
        done = await run_load(generator, Answering(answers), "--text", "--deflate", deflate=deflate)
        assert (done.returncode, done.stdout) == (1, b"")
        assert complaint in done.stderr.decode()


async def test_idle_clients_have_one_message_each(generator: Generator) -> None:
    done = await run_load(generator, Answering(["same"]), "--mode", "idle", "--connections", "5")
    report = json.loads(done.stdout)
    assert (report["total"], report["messages"]) == (5, 0)


@pytest.mark.parametrize(
    ("answers", "complaint"),
    [
        (["X" * 64], "message 0 is missing, late or another's"),
        (["0" * 16 + "X" * 48], "a message has come back changed"),
        (["short"], "a message of less than 64 bytes"),
        (["long" * 20], "a message of more than 64 bytes"),
        (["same", "same"], "is missing, late or another's"),
    ],
)
async def test_a_wrong_answer_ends_the_run(generator: Generator, answers: list[str], complaint: str) -> None:
    # The pattern of a text is the alphabet, again and again, behind a stamp of 16 digits.
    alphabet = "".join(chr(ord("a") + at % 26) for at in range(64))
    answers = [answer if answer != "X" * 64 else "f" * 16 + alphabet[16:] for answer in answers]
    done = await run_load(generator, Answering(answers), "--text")
    assert (done.returncode, done.stdout) == (1, b"")
    assert complaint in done.stderr.decode()


async def test_a_server_that_closes_ends_the_run(generator: Generator) -> None:
    done = await run_load(generator, Closing(), "--text")
    assert done.stderr == b"load: connection 0: closed by the server\n"


async def test_a_refusal_ends_the_run(generator: Generator) -> None:
    done = await run_load(generator, Everybody(), path="/elsewhere")
    assert done.stderr == b"load: connection 0 was refused: HTTP/1.1 404 Not Found\n"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (("Upgrade: websocket", "Upgrade: h2c"), "the answer upgrades to no websocket"),
        (("Connection: upgrade", "Connection: close"), "the answer does not upgrade"),
        (("Sec-WebSocket-Accept: ", "Sec-WebSocket-Accept: x"), "Sec-WebSocket-Accept does not answer the key"),
        (("\r\n\r\n", "\r\nSec-WebSocket-Protocol: chat\r\n\r\n"), "a subprotocol that was not offered: chat"),
        (("\r\n\r\n", "\r\nSec-WebSocket-Extensions: x\r\n\r\n"), "an extension that was not offered: x"),
        (("\r\n\r\n", "\r\n\r\n\x81\x80...."), "a masked frame from a server"),
        (("\r\n\r\n", "\r\n\r\n\x80\x00"), "a message in the middle of another"),
        (("\r\n\r\n", "\r\n\r\n\xc1\x00"), "a reserved bit is set"),
        (("\r\n\r\n", "\r\n\r\n\x89\x7e\x00\x7e"), "a wrong frame: opcode 9, 126 bytes"),
        (("\r\n\r\n", "\r\n\r\n\x83\x00"), "a wrong frame: opcode 3, 0 bytes"),
    ],
)
async def test_what_the_protocol_forbids_ends_the_run(
    generator: Generator, change: tuple[str, str], complaint: str
) -> None:
    """A real answer, changed on its way."""
    registry = wsframe.Registry()
    registry.register("/", Everybody())
    async with wsframe.open_server(registry, port=0) as server, trio.open_nursery() as nursery:
        port = int(server.addresses[0].rpartition(":")[2])

        async def relay(client: trio.SocketStream) -> None:
            async with await trio.open_tcp_stream("127.0.0.1", port) as upstream:
                await upstream.send_all(await client.receive_some())
                answer = (await upstream.receive_some()).decode("latin-1")
                assert change[0].lower() in answer.lower()
                at = answer.lower().index(change[0].lower())
                answer = answer[:at] + change[1] + answer[at + len(change[0]) :]
                await client.send_all(answer.encode("latin-1"))
                await client.receive_some()

        listeners = await nursery.start(partial(trio.serve_tcp, relay, 0, host="127.0.0.1"))
        relay_port = listeners[0].socket.getsockname()[1]
        command = [str(generator.program), "--port", str(relay_port), "--path", "/", "--seconds", "0.05"]
        done = await run_quietly(command)
        nursery.cancel_scope.cancel()
    assert complaint in done.stderr.decode()


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ("--mode dance", "there is no mode dance"),
        ("--speed 1", "there is no option --speed"),
        ("--seconds", "--seconds needs a value"),
        ("--mode broadcast --size 4", "a broadcast has at least 8 bytes"),
        ("--active 2", "active is 1 to the number of connections"),
        ("--window 0", "the window is 1 to"),
        ("--fragments 0", "a message has at least one frame"),
        ("--deflate", "a compressed message is one frame of text"),
        ("--deflate --text --size 15", "a compressed message is one frame of text, of at least 16 bytes"),
        ("--host nowhere", "not an IPv4 address: nowhere"),
        ("--connections 100000000", "need more descriptors"),
    ],
)
def test_wrong_words(generator: Generator, words: str, complaint: str) -> None:
    done = subprocess.run([generator.program, *words.split()], check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert complaint in done.stderr


def test_it_tells_its_options(generator: Generator) -> None:
    done = subprocess.run([generator.program, "--help"], check=True, capture_output=True, text=True)
    assert "--window N" in done.stdout


@pytest.mark.parametrize(("library", "tls", "deflate"), [("ssl", False, True), ("z", True, False)])
def test_it_is_built_without_a_library_that_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str, tls: bool, deflate: bool
) -> None:
    compiler = tmp_path / "cc"
    compiler.write_text(f'#!/bin/sh\nfor word; do [ "$word" = -l{library} ] && exit 1; done; exit 0\n')
    compiler.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    built = build(tmp_path)
    assert (built.tls, built.deflate) == (tls, deflate)


def test_without_a_compiler_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(FileNotFoundError, match="no C compiler"):
        build(tmp_path)
