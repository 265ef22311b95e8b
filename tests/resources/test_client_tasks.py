"""The cancel scopes that end with one client."""

from __future__ import annotations

import trio

from wsframe.resources.client_tasks import ClientTasks


async def test_all_scopes_are_cancelled_with_the_client() -> None:
    work = ClientTasks()
    work.scopes = {trio.CancelScope(), trio.CancelScope()}
    work.cancel()
    assert all(scope.cancel_called for scope in work.scopes)


async def test_the_call_for_afterwards_comes_once_all_are_done() -> None:
    work, calls = ClientTasks(), []
    one, two = trio.CancelScope(), trio.CancelScope()
    work.scopes = {one, two}
    work.after = lambda: calls.append("after")
    work.done(one)
    assert calls == []
    work.done(two)
    work.done(two)
    assert calls == ["after"]
