"""The deadlines of all connections, on a clock of our own."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.protocol import peer
from wsframe.protocol.deadlines import Due
from wsframe.protocol.decoder import Decoder
from wsframe.protocol.pool import ConnectionPool


@pytest.fixture
def pool() -> ConnectionPool[str]:
    return ConnectionPool()


def add(pool: ConnectionPool[str], key: str, heard_at: float = 0.0) -> Decoder:
    """Add a connection, whose ping is due 20 s after it was heard."""
    connection = peer.connect()
    connection.deadlines.heard_at = heard_at
    pool.add(key, connection)
    return connection


def keys(found: list[tuple[str, list[Due]]]) -> set[str]:
    assert len({key for key, _ in found}) == len(found)
    return {key for key, _ in found}


def test_nothing_is_due_in_an_empty_pool(pool: ConnectionPool[str]) -> None:
    assert pool.next_deadline() == inf
    assert pool.sweep(1e9) == []
    assert len(pool) == 0


def test_a_deadline_is_found_when_it_has_passed(pool: ConnectionPool[str]) -> None:
    add(pool, "a")
    assert pool.next_deadline() == 20
    assert pool.sweep(19.99) == []
    assert pool.sweep(20) == [("a", [Due.PING])]


def test_what_is_due_is_returned_once_until_scheduled_again(pool: ConnectionPool[str]) -> None:
    """The caller acts, then schedules: the same deadline is not found twice meanwhile."""
    connection = add(pool, "a")
    assert keys(pool.sweep(20)) == {"a"}
    assert pool.sweep(21) == []
    assert pool.next_deadline() == inf
    connection.deadlines.ping_at = 20.0
    assert pool.schedule("a") == 40
    assert pool.sweep(40) == [("a", [Due.PING_TIMEOUT])]


def test_a_connection_that_was_heard_since_is_looked_at_later(pool: ConnectionPool[str]) -> None:
    """Hearing schedules nothing: the pool asks when the deadline it knows has come."""
    connection = add(pool, "a")
    connection.deadlines.heard_at = 15.0
    assert pool.next_deadline() == 20
    assert pool.sweep(20) == []
    assert pool.next_deadline() == 35
    assert keys(pool.sweep(35)) == {"a"}


def test_an_earlier_deadline_takes_the_place_of_the_later_one(pool: ConnectionPool[str]) -> None:
    connection = add(pool, "a")
    connection.deadlines.close_by = 5.0
    assert pool.schedule("a") == 5
    assert pool.next_deadline() == 5
    assert pool.sweep(5) == [("a", [Due.CLOSE])]
    assert pool.sweep(1e9) == []


def test_a_later_deadline_leaves_the_earlier_look(pool: ConnectionPool[str]) -> None:
    """It would cost more to move than one look for nothing."""
    connection = add(pool, "a")
    connection.deadlines.heard_at = 10.0
    assert pool.schedule("a") == 20
    assert pool.next_deadline() == 20


def test_deadlines_are_rounded_up_to_a_quarter_second(pool: ConnectionPool[str]) -> None:
    """Never early, and clients that came within one step share a wake-up."""
    add(pool, "a", heard_at=0.01)
    add(pool, "b", heard_at=0.25)
    assert pool.next_deadline() == 20.25
    assert keys(pool.sweep(20.25)) == {"a", "b"}


def test_a_removed_connection_never_fires(pool: ConnectionPool[str]) -> None:
    add(pool, "a")
    add(pool, "b")
    pool.remove("a")
    assert keys(pool.sweep(1000)) == {"b"}
    pool.remove("b")
    assert pool.next_deadline() == inf
    assert len(pool) == 0


def test_removing_what_is_not_there_does_no_harm(pool: ConnectionPool[str]) -> None:
    pool.remove("a")
    add(pool, "a")
    pool.remove("a")
    pool.remove("a")
    assert pool.sweep(1000) == []


def test_scheduling_what_is_not_there_is_never(pool: ConnectionPool[str]) -> None:
    assert pool.schedule("a") == inf
    assert pool.next_deadline() == inf


def test_a_key_used_again_belongs_to_the_new_connection(pool: ConnectionPool[str]) -> None:
    """A descriptor's number comes back: no entry of the old connection may outlive it."""
    old = add(pool, "a")
    old.deadlines.close_by = 1.0
    pool.schedule("a")
    add(pool, "a", heard_at=10.0)
    assert len(pool) == 1
    assert pool.sweep(20) == []
    assert keys(pool.sweep(30)) == {"a"}


def test_a_key_used_again_is_removed_whole(pool: ConnectionPool[str]) -> None:
    """An entry left behind would stop the timer of the whole server."""
    add(pool, "a")
    add(pool, "a", heard_at=10.0)
    pool.remove("a")
    assert pool.next_deadline() == inf
    assert pool.sweep(1000) == []


def test_a_connection_without_deadlines_waits_for_a_schedule(pool: ConnectionPool[str]) -> None:
    connection = add(pool, "a")
    pool.remove("a")
    connection.deadlines.blocked_at = inf
    pool.add("a", connection)
    assert pool.next_deadline() == inf
    connection.deadlines.blocked_at = None
    assert pool.schedule("a") == 20


def test_a_connection_taken_in_again_is_scheduled_again(pool: ConnectionPool[str]) -> None:
    connection = add(pool, "a")
    pool.remove("a")
    pool.add("b", connection)
    assert keys(pool.sweep(20)) == {"b"}


class Alarm:
    deadline = inf


def test_an_earlier_deadline_becomes_that_of_the_alarm(pool: ConnectionPool[str]) -> None:
    alarm = pool.alarm = Alarm()
    connection = add(pool, "a")
    assert alarm.deadline == pool.next_deadline() == 20, "it slept without an end"
    connection.deadlines.close_by = 3.0
    pool.schedule("a")
    connection.deadlines.close_by = 5.0
    pool.schedule("a")
    assert alarm.deadline == 3
    add(pool, "b")
    assert alarm.deadline == 3


def test_the_alarm_stays_when_its_connection_goes(pool: ConnectionPool[str]) -> None:
    """A wake-up for nothing is less work than a new alarm with each end."""
    alarm = pool.alarm = Alarm()
    add(pool, "a")
    pool.remove("a")
    assert (alarm.deadline, pool.next_deadline()) == (20, inf)


def test_a_timer_that_does_not_sleep_needs_no_alarm(pool: ConnectionPool[str]) -> None:
    """While it acts on deadlines: it looks at the pool before it sleeps."""
    alarm = pool.alarm = Alarm()
    alarm.deadline = 1.0  # it has passed
    add(pool, "a")
    assert alarm.deadline == 1


def test_thousands_come_due_each_once() -> None:
    pool: ConnectionPool[int] = ConnectionPool()
    for key in range(5000):
        connection = peer.connect()
        connection.deadlines.heard_at = key / 100
        pool.add(key, connection)
    for key in range(0, 5000, 2):
        pool.remove(key)
    found: list[int] = []
    while (now := pool.next_deadline()) < inf:
        due = pool.sweep(now)
        assert all(dues == [Due.PING] and now - 0.26 < key / 100 + 20 <= now for key, dues in due)
        found += [key for key, _ in due]
    assert sorted(found) == list(range(1, 5000, 2))


steps = st.one_of(
    st.tuples(st.sampled_from(["add", "remove"]), st.integers(0, 4), st.just(0.0)),
    st.tuples(st.sampled_from(["heard_at", "close_by", "blocked_at"]), st.integers(0, 4), st.floats(0, 30)),
    st.tuples(st.just("sweep"), st.just(0), st.floats(0, 10)),
)


@given(st.lists(steps, max_size=30))
def test_a_sweep_finds_what_is_due_and_nothing_else(ops: list[tuple[str, int, float]]) -> None:
    """Compared with asking every connection; late by at most the quarter second of a step."""
    pool: ConnectionPool[int] = ConnectionPool()
    there: dict[int, Decoder] = {}
    now = 0.0
    for name, key, value in ops:
        if name == "add":
            there[key] = peer.connect()
            there[key].deadlines.heard_at = now
            pool.add(key, there[key])
        elif name == "remove":
            there.pop(key, None)
            pool.remove(key)
        elif name == "sweep":
            now += value
            found = dict(pool.sweep(now))
            assert set(found) <= set(there)
            for number, connection in there.items():
                assert found.get(number, []) in ([], connection.deadlines.due(now))
                assert number in found or connection.deadlines.due(now - 0.25) == []
                pool.schedule(number)
        elif key in there:
            setattr(there[key].deadlines, name, now + value if name == "close_by" else now)
            pool.schedule(key)
        assert len(pool) == len(there)


def test_the_repr_is_the_debugger(pool: ConnectionPool[str]) -> None:
    add(pool, "a")
    assert repr(pool) == "<ConnectionPool [connections: 1]>"
