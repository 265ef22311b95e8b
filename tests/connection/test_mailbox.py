"""Entries that wait for the hooks: the queue, and one client's share of it."""

from collections.abc import Callable
from functools import partial
from typing import Any, cast

import trio
from trio.testing import wait_all_tasks_blocked

from wsframe.connection.mailbox import Inbox, Mailbox, take
from wsframe.connection.memory_budget import MESSAGE_COST, Budget
from wsframe.limits import Limits
from wsframe.resources.client import Client

CLIENT = cast("Client", object())


class Never:
    def resume(self) -> None:
        raise AssertionError("resumed")


NEVER = Never()


def make_inbox(mailbox: Mailbox[Any], *, messages: int = 3, size: int = 10_000) -> Inbox[Any]:
    return Inbox(CLIENT, mailbox, Limits(max_queued_messages=messages, max_queued_bytes=size), NEVER, Budget())


def test_mailbox_keeps_entries_in_order() -> None:
    mailbox: Mailbox[Any] = Mailbox()
    inbox = make_inbox(mailbox)
    mailbox.put(inbox, "first")
    mailbox.put(None, "second")
    assert list(mailbox.entries) == [(inbox, "first"), (None, "second")]


async def test_every_put_into_an_empty_mailbox_rings_the_listener() -> None:
    mailbox: Mailbox[Any] = Mailbox()
    inbox = make_inbox(mailbox)
    puts: list[Callable[[], None]] = [
        partial(mailbox.put, None, "event"),
        partial(inbox.put, ["a"], 1),
        partial(inbox.put, ["a", "b"], 2),
    ]
    for put in puts:
        with trio.fail_after(120):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(mailbox.doorbell.wait)
                await wait_all_tasks_blocked()
                put()
        mailbox.entries.clear()


def test_inbox_queues_each_message_with_itself() -> None:
    mailbox: Mailbox[Any] = Mailbox()
    inbox = make_inbox(mailbox)
    inbox.put(["one"], 3)
    inbox.put([b"two", "three"], 8)
    assert list(mailbox.entries) == [(inbox, "one"), (inbox, b"two"), (inbox, "three")]


def test_inbox_counts_messages_and_bytes() -> None:
    inbox = make_inbox(Mailbox())
    inbox.put(["one"], 3)
    inbox.put([b"two", "three"], 8)
    assert (inbox.waiting, inbox.byte_count, inbox.received) == (3, 11 + 3 * MESSAGE_COST, 3)
    assert [take(inbox, message) for message in ("one", b"two")] == [CLIENT, CLIENT]
    inbox.put(["four"], 4)
    assert (inbox.waiting, inbox.received) == (2, 4)


def test_inbox_is_full_at_its_limit_of_messages() -> None:
    inbox = make_inbox(Mailbox(), messages=3)
    inbox.put(["a", "b"], 2)
    assert not inbox.full
    inbox.put(["c"], 1)
    assert inbox.full


def test_inbox_is_full_at_its_limit_of_bytes() -> None:
    inbox = make_inbox(Mailbox(), size=100 + 2 * MESSAGE_COST)
    inbox.put(["a"], 99)
    assert not inbox.full
    inbox.put(["b"], 1)
    assert inbox.full


def test_shares_of_one_mailbox_are_apart() -> None:
    mailbox: Mailbox[Any] = Mailbox()
    first, second = make_inbox(mailbox, messages=1), make_inbox(mailbox, messages=1)
    first.put(["a"], 1)
    assert first.full
    assert not second.full


def test_new_inbox_is_neither_paused_nor_muted() -> None:
    inbox = make_inbox(Mailbox())
    assert not inbox.paused
    assert not inbox.muted
