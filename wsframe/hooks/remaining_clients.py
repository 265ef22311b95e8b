"""The clients that remain when a life is cancelled: each of them still has its ``disconnected``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio

from wsframe.connection.interfaces import CONNECTED
from wsframe.connection.mailbox import Mailbox
from wsframe.hooks.caller import HookCaller
from wsframe.hooks.forced_end import end_failed
from wsframe.hooks.move_client import call_off
from wsframe.hooks.tasks import TaskFailed, log_task
from wsframe.resources.client import Client
from wsframe.user_code.errors import contain
from wsframe.user_code.protected_nursery import ProtectedNursery

if TYPE_CHECKING:
    AnyClient = Client[Any]

__all__ = ["disconnect_remaining"]


async def disconnect_remaining(hooks: HookCaller, mailbox: Mailbox[AnyClient], *, together: bool) -> None:
    """Call ``disconnected`` for each client that remains, although the task is being cancelled.

    Args:
        hooks: Calls it.
        mailbox: The mailbox of the clients.
        together: Whether the hooks of several clients can overlap.
    """
    deadline = trio.current_time() + hooks.disconnected_seconds
    served = [client for client in hooks.clients if serves(mailbox, client)]
    if together:
        with trio.CancelScope(shield=True):
            async with ProtectedNursery() as nursery:
                for client in served:
                    nursery.start_soon(disconnect, hooks, client, deadline)
    else:
        for client in served:
            await disconnect(hooks, client, deadline)
    # New clients whose client_connected never ran only give back their place.
    for inbox, event in tuple(mailbox.entries):  # an end can be added
        if inbox is not None and event is CONNECTED:
            hooks.force_end(inbox.client)
            inbox.client._link.leaving.left()
            hooks.leave()
        elif inbox is not None and isinstance(event, TaskFailed):
            log_task(inbox.client, event.error)
        if inbox is not None and inbox.byte_count:
            inbox.paused = False
            inbox.took_last()


def serves(mailbox: Mailbox[AnyClient], client: AnyClient) -> bool:
    """Return whether a client's messages come to a mailbox; False if user code has overwritten its link."""
    inbox = getattr(getattr(client, "_link", None), "inbox", None)
    return inbox is not None and inbox.mailbox is mailbox


async def disconnect(hooks: HookCaller, client: AnyClient, deadline: float) -> None:
    hooks.force_end(client)
    with trio.CancelScope(shield=True, deadline=deadline):
        try:
            await hooks.end(client)
        except BaseException as error:  # the others still need theirs
            contain(error)
            end_failed(client, error)
    call_off(client._link.inbox)
