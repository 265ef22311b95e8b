"""``wsframe connect``: talk to a server, from a terminal or through a pipe."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from base64 import b64encode
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, NoReturn

import trio

from wsframe.cli.arguments import add_parser, number, or_none
from wsframe.cli.chat import Display, Sayings, Text, talk
from wsframe.cli.connect_options import add_remote_options, connect_options, mistakes_told
from wsframe.cli.errors import Mistake, OutputGone
from wsframe.cli.input_lines import lines_of, said_in_json, said_typed, sayings_of
from wsframe.cli.tables import printable
from wsframe.cli.terminal import Terminal, terminal_restored
from wsframe.outgoing.connect import connect
from wsframe.outgoing.exceptions import ConnectionClosed
from wsframe.outgoing.options import ConnectOptions
from wsframe.outgoing.websocket import WebSocket

if TYPE_CHECKING:
    from wsframe.cli.arguments import Commands

__all__ = ["add_command"]

# Seconds to wait for the server's close frame after a signal.
PATIENCE = 1.0

EXAMPLES = """\
  wsframe connect ws://127.0.0.1:8000/chat
  echo hello | wsframe connect ws://127.0.0.1:8000/chat
  wsframe connect wss://chat.example/ --header 'Origin: https://chat.example' --wait none < /dev/null > log
  wsframe connect ws://127.0.0.1:8000/ --json | jq -r 'select(.type == "text").data'
"""


def add_command(commands: Commands) -> None:
    parser = add_parser(
        commands,
        "connect",
        help="talk to a server",
        description="Talk to a WebSocket server. At a terminal, each line you type is sent as a text message; /help "
        "lists the commands. From a pipe, each line is sent as a text message and each message received is printed; "
        "after the end of the input, connect waits for answers until the server has been silent for --wait seconds.",
        examples=EXAMPLES,
    )
    add_remote_options(parser)
    option = parser.add_argument
    option(
        "--wait", type=or_none(number), default=1.0, metavar="SECONDS",
        help="seconds of silence before closing, after the end of the input; 'none' waits for the server (default 1)",
    )  # fmt: skip
    option("--json", action="store_true", help="read and print JSON objects, one per line")
    parser.set_defaults(command=connect_command)


def connect_command(args: argparse.Namespace) -> int:
    options = connect_options(args)
    with mistakes_told():
        if args.json:
            lines = sayings_of(lines_of(sys.stdin.fileno()), said_in_json, refuse)
            return trio.run(converse, args.url, options, lines, JsonLines(), args.wait)
        if sys.stdin.isatty() and sys.stdout.isatty():
            terminal = Terminal()
            with terminal_restored():
                sayings = sayings_of(terminal.typed_lines(), said_typed, terminal.complain)
                return trio.run(converse, args.url, options, sayings, terminal, 0.0)
        lines = sayings_of(lines_of(sys.stdin.fileno()), Text, refuse)
        return trio.run(converse, args.url, options, lines, Plain(for_terminal=sys.stdout.isatty()), args.wait)


def refuse(mistake: Mistake) -> NoReturn:
    """End the command at a wrong line in a pipe: there is no user to correct it."""
    raise mistake


async def converse(url: str, options: ConnectOptions, sayings: Sayings, display: Display, wait: float | None) -> int:
    """Connect and talk; return the exit code."""
    async with connect(url, **options) as websocket:
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(close_at_signal, websocket, signals)
                orderly = await talk(websocket, sayings, display, wait=wait)
                nursery.cancel_scope.cancel()
    return 0 if orderly else 1


async def close_at_signal(websocket: WebSocket, signals: AsyncIterator[int]) -> None:
    """Close in order at the first Ctrl-C or SIGTERM; abort at the second, or if the server does not answer."""
    await anext(signals)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(websocket.close)
        with trio.move_on_after(PATIENCE):
            await anext(signals)
        websocket.abort()


class Plain(Display):
    """Prints only messages: text with a line feed, bytes as they are.

    Args:
        for_terminal: Whether stdout is a terminal; control characters are then replaced.
    """

    def __init__(self, *, for_terminal: bool = False) -> None:
        self._for_terminal = for_terminal

    def opened(self, websocket: WebSocket) -> None:
        pass

    def message(self, message: str | bytes) -> None:
        if self._for_terminal:
            text = message if isinstance(message, str) else message.decode(errors="replace")
            message = "\n".join(map(printable, text.split("\n")))
        write(f"{message}\n".encode(errors="replace") if isinstance(message, str) else message)

    def pong(self, latency: float) -> None:
        raise AssertionError("nothing here sends pings")

    def closed(self, closed: ConnectionClosed) -> None:
        if not closed.orderly:
            print(f"wsframe: {printable(str(closed))}", file=sys.stderr)


class JsonLines(Display):
    """Prints a JSON object for each event."""

    def show(self, kind: str, **fields: object) -> None:
        write(json.dumps({"type": kind, **fields}).encode() + b"\n")

    def opened(self, websocket: WebSocket) -> None:
        self.show("open", url=websocket.url, subprotocol=websocket.subprotocol, extensions=websocket.extensions)

    def message(self, message: str | bytes) -> None:
        if isinstance(message, str):
            self.show("text", data=message)
        else:
            self.show("binary", data=b64encode(message).decode())

    def pong(self, latency: float) -> None:
        self.show("pong", latency=latency)

    def closed(self, closed: ConnectionClosed) -> None:
        frame = closed.received
        code, reason = (1006, closed.reason) if frame is None else (frame.code, frame.reason)
        self.show("close", code=code, reason=reason, orderly=closed.orderly)


def write(data: bytes) -> None:
    """Print bytes.

    Raises:
        OutputGone: If the reader of stdout has gone.
    """
    try:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise OutputGone from None  # not an OSError of the network
