"""The interest of a link in its socket."""

from __future__ import annotations

from typing import cast

from wsframe.connection.readiness import Readiness
from wsframe.net.poller import END, READ, WRITE, Poller


class Calls:
    """Notes the calls of a poller."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, int | None]] = []

    def watch(self, fd: int, mask: int) -> None:
        self.calls.append((fd, mask))

    def forget(self, fd: int) -> None:
        self.calls.append((fd, None))


def test_the_poller_is_asked_only_for_a_change() -> None:
    calls = Calls()
    readiness = Readiness(7, cast(Poller, calls))
    readiness.read_on()
    assert calls.calls == []
    readiness.read_no_more()
    readiness.read_no_more()
    assert calls.calls == [(7, 0)]


def test_reading_and_writing_are_watched_apart() -> None:
    calls = Calls()
    readiness = Readiness(7, cast(Poller, calls))
    readiness.await_room(wanted=True)
    assert readiness.interest == READ | WRITE
    readiness.read_no_more(tell_end=True)
    assert readiness.interest == WRITE | END
    readiness.await_room(wanted=False)
    assert readiness.interest == END
    readiness.await_room(wanted=True)
    readiness.only_read()
    assert readiness.interest == READ


def test_a_descriptor_that_was_given_up_is_never_watched_again() -> None:
    calls = Calls()
    readiness = Readiness(7, cast(Poller, calls))
    readiness.forget()
    readiness.fd = -1
    readiness.read_no_more()
    readiness.await_room(wanted=True)
    assert calls.calls == [(7, None)]
