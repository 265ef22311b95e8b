"""``debug=True`` at a terminal: the real debugger stands where the hook failed, and the server goes on."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from websockets.sync.client import connect

from tests.patience import PATIENCE

pytest.importorskip("pty", reason="terminals are of unix")


PROGRAM = """
import logging

import wsframe

logging.disable()  # its lines would stand in the midst of the others

class Room(wsframe.Resource):
    async def received_text(self, client, message):
        if message == "bad":
            secret = "the frame" + " of the hook"
            raise ZeroDivisionError("the bug")
        client.send_text(message)

def started(server):
    print("come to", server.addresses[0] + "/", flush=True)

wsframe.register_global_resource("/", Room())
wsframe.run(port=0, debug=True, started=started)
"""


class Session:
    """The text on a terminal, and a person that types."""

    def __init__(self, terminal: int) -> None:
        self.terminal = terminal
        self.shown = ""

    def until(self, words: str) -> str:
        """Wait for some words; return the text up to them."""
        while words not in self.shown:
            self.shown += os.read(self.terminal, 4096).decode()
        before, _, self.shown = self.shown.partition(words)
        return before

    def type(self, line: str) -> None:
        os.write(self.terminal, f"{line}\n".encode())


@contextmanager
def at_a_terminal(program: Path) -> Iterator[Session]:
    import pty

    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "dumb"}
    process = subprocess.Popen(
        ["timeout", "-k", "1", str(PATIENCE), sys.executable, str(program)],
        stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    try:
        yield Session(ours)
    finally:
        process.terminate()
        process.wait(PATIENCE)
        os.close(ours)


def test_debugger_stands_in_the_failing_frame_and_the_server_goes_on(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    with at_a_terminal(program) as session:
        session.until("come to ")
        address = session.until("/\r\n")
        with connect(address, proxy=None, open_timeout=PATIENCE) as peer:
            peer.send("bad")
            assert "ZeroDivisionError: the bug" in session.until("(Pdb) ")
            session.type("p secret.upper()")
            assert "'THE FRAME OF THE HOOK'" in session.until("(Pdb) ")
            session.type("q")
            with pytest.raises(Exception, match="1011"):
                peer.recv(PATIENCE)
        with connect(address, proxy=None, open_timeout=PATIENCE) as peer:
            peer.send("fine")
            assert peer.recv(PATIENCE) == "fine"
