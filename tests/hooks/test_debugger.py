"""A failed hook with ``debug=True``."""

import pdb
import sys
from types import TracebackType

import pytest

import wsframe
from tests.recorder import Recorder
from tests.wire import close, connected, serving, text
from wsframe.resources.resource import Ordering
from wsframe.user_code.errors import post_mortem


class Terminal:
    """Standard input and output, with somebody there or not."""

    def __init__(self, present: bool) -> None:
        self.present = present

    def isatty(self) -> bool:
        return self.present

    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None:
        pass


@pytest.fixture
def entered(monkeypatch: pytest.MonkeyPatch) -> list[TracebackType]:
    """Whatever the debugger was entered with; it is not really entered."""
    found: list[TracebackType] = []
    monkeypatch.setattr(pdb, "post_mortem", found.append)
    return found


def attach(monkeypatch: pytest.MonkeyPatch, *, stdin: bool, stdout: bool) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal(stdin))
    monkeypatch.setattr(sys, "stdout", Terminal(stdout))


def caught() -> ZeroDivisionError:
    try:
        raise ZeroDivisionError("the bug")
    except ZeroDivisionError as error:
        return error


def test_terminal_enters_the_debugger_where_the_error_was_raised(
    monkeypatch: pytest.MonkeyPatch, entered: list[TracebackType], capsys: pytest.CaptureFixture[str]
) -> None:
    attach(monkeypatch, stdin=True, stdout=True)
    error = caught()
    assert post_mortem(error)
    assert entered == [error.__traceback__]
    assert "ZeroDivisionError: the bug" in capsys.readouterr().err


@pytest.mark.parametrize(("stdin", "stdout"), [(False, False), (True, False), (False, True)])
def test_without_a_terminal_there_is_no_debugger(
    monkeypatch: pytest.MonkeyPatch, entered: list[TracebackType], stdin: bool, stdout: bool
) -> None:
    """Nobody could type at a debugger: the program would hang."""
    attach(monkeypatch, stdin=stdin, stdout=stdout)
    assert not post_mortem(caught())
    assert entered == []


class Parting(Recorder):
    async def disconnected(self, client: wsframe.Client) -> None:
        await super().disconnected(client)
        raise ZeroDivisionError("said goodbye")


@pytest.mark.parametrize("ordering", ["resource", "client"])
async def test_goodbye_that_fails_while_the_server_is_cut_off_ends_nobody_elses(
    monkeypatch: pytest.MonkeyPatch, ordering: Ordering
) -> None:
    attach(monkeypatch, stdin=False, stdout=False)

    class Ordered(Parting):
        pass

    Ordered.ordering = ordering
    room = Ordered()

    async def provoke() -> None:
        async with (
            serving(room, debug=True, timeouts=wsframe.Timeouts(drain=0.1, close=0.1)) as server,
            connected(server) as peer,
            connected(server),
            connected(server),
        ):
            await room.journal.until("connected", 3)
            await peer.send(text("hold"))
            await room.journal.until("text hold")
            server.close()
            await server.closed()

    raised = False
    try:
        await provoke()
    except* ZeroDivisionError:
        raised = True
    assert raised
    assert room.notes.count("disconnected 1006") == 3


class Failing(wsframe.Resource):
    async def received_text(self, client: wsframe.Client, message: str) -> None:
        raise ZeroDivisionError(message)


async def test_debug_without_a_terminal_lets_the_error_out_of_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    attach(monkeypatch, stdin=False, stdout=False)

    async def provoke() -> None:
        async with serving(Failing(), debug=True) as server, connected(server) as peer:
            await peer.send(text("the message"))
            await server.closed()

    with pytest.raises(ZeroDivisionError, match="the message"):
        await provoke()


async def test_debug_with_a_terminal_enters_the_debugger_and_goes_on(
    monkeypatch: pytest.MonkeyPatch, entered: list[TracebackType]
) -> None:
    attach(monkeypatch, stdin=True, stdout=True)
    async with serving(Failing(), debug=True) as server, connected(server) as peer:
        await peer.send(text("the message"))
        assert (await peer.receive_close())[0] == 1011
        await peer.send(close(1011))
    assert len(entered) == 1


async def test_without_debug_the_error_stays_inside(
    monkeypatch: pytest.MonkeyPatch, entered: list[TracebackType]
) -> None:
    attach(monkeypatch, stdin=True, stdout=True)
    async with serving(Failing()) as server, connected(server) as peer:
        await peer.send(text("the message"))
        assert (await peer.receive_close())[0] == 1011
    assert entered == []
