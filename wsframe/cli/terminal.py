"""A conversation at a terminal: the user edits a line while messages appear above it."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager

import trio

from wsframe.cli.chat import Display
from wsframe.cli.errors import Mistake
from wsframe.cli.tables import printable
from wsframe.outgoing.exceptions import ConnectionClosed
from wsframe.outgoing.websocket import WebSocket

try:
    from readline import get_line_buffer as typed_so_far  # and input() edits lines
except ImportError:  # pragma: no cover  # Windows

    def typed_so_far() -> str:
        return ""


__all__ = ["Terminal", "terminal_restored"]

PROMPT = "> "
BYTES_SHOWN = 256
# Go to the beginning of the line and erase it.
ERASE = "\r\x1b[K"


class Terminal(Display):
    """Shows events above the line that the user is typing."""

    def __init__(self) -> None:
        self._typing = False

    def show(self, words: str) -> None:
        """Show a line, and below it the text typed so far."""
        line = f"{PROMPT}{typed_so_far()}" if self._typing else ""
        sys.stdout.write(f"{ERASE}{words}\n{line}")
        sys.stdout.flush()

    def read_line(self) -> str:
        """Read a line from the terminal; call it in a thread, because it blocks."""
        self._typing = True
        try:
            return input(PROMPT)
        finally:
            self._typing = False

    async def typed_lines(self) -> AsyncGenerator[str, None]:
        """Yield the lines that the user types, with readline if there is one, until Ctrl-D."""
        while True:
            try:
                # A thread that waits for the terminal cannot be stopped; it ends with the process.
                yield await trio.to_thread.run_sync(self.read_line, abandon_on_cancel=True)
            except EOFError:
                return

    def complain(self, mistake: Mistake) -> None:
        """Show why a line cannot be sent."""
        self.show(str(mistake))

    def opened(self, websocket: WebSocket) -> None:
        subprotocol = "" if websocket.subprotocol is None else f", subprotocol {websocket.subprotocol}"
        extensions = "".join(f", {printable(extension)}" for extension in websocket.extensions)
        print(f"connected to {printable(websocket.url)}{subprotocol}{extensions}; /help for help", flush=True)

    def message(self, message: str | bytes) -> None:
        if isinstance(message, str):
            self.show("< " + "\n  ".join(map(printable, message.split("\n"))))
        else:
            more = "..." if len(message) > BYTES_SHOWN else ""
            self.show(f"< binary, {len(message)} bytes: {message[:BYTES_SHOWN].hex()}{more}")

    def pong(self, latency: float) -> None:
        self.show(f"pong after {latency * 1000:.1f} ms")

    def closed(self, closed: ConnectionClosed) -> None:
        print(f"{ERASE}disconnected: {printable(str(closed))}", flush=True)


@contextmanager
def terminal_restored() -> Iterator[None]:
    """Restore the terminal at the end: readline, interrupted in the middle of a line, does not."""
    try:
        import termios
    except ImportError:  # pragma: no cover  # Windows
        yield
        return
    before = termios.tcgetattr(sys.stdin)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
