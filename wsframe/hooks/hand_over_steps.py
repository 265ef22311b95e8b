"""The part of a life by which it goes to another process: errands for its tasks, and the end of its own tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wsframe.connection.mailbox import Mailbox
from wsframe.doorbell import Happening
from wsframe.hooks.caller import HookCaller
from wsframe.hooks.posts import Errand, Posts
from wsframe.resources.client import Client

if TYPE_CHECKING:
    AnyClient = Client[Any]

__all__ = ["HandOverSteps"]


class HandOverSteps:
    """The way of one life to another process, or from one.

    Args:
        mailbox: The mailbox of the listener task.
        hooks: Calls the hooks.
        posts: Takes the posts and calls.
    """

    __slots__ = ("_hooks", "_mailbox", "_posts", "leaves", "no_more_tasks", "tasks_ended")

    def __init__(self, mailbox: Mailbox[AnyClient], hooks: HookCaller, posts: Posts) -> None:
        self._mailbox = mailbox
        self._hooks = hooks
        self._posts = posts
        self.no_more_tasks: Happening = Happening()
        """Set when the tasks of the resource and of its clients are to end."""
        self.leaves: bool = False
        """Whether the life leaves this process, so that none follows it here."""
        self.tasks_ended: Happening = Happening()
        """Set once they have."""

    def stop_tasks(self) -> None:
        """End the tasks of the resource and of its clients, while its hooks go on, and take no more posts and calls."""
        self.no_more_tasks.set()
        self._posts.leaving = True

    def keep_count(self, received: int) -> None:
        """Count messages of a client that goes to another process; fewer than none, of one that comes from there."""
        self._hooks.received_before += received

    def put_errand(self, errand: Errand) -> None:
        """Have work done in the task that calls hooks, while no hook waits; drop it if that task has ended."""
        if self._posts.over:
            errand.dropped()
        else:
            self._mailbox.put(None, errand)

    async def ask(self, hook: str, seconds: float, *args: object) -> object:
        """Call a hook without a client in an errand, and return its answer; see :meth:`HookCaller.ask`."""
        return await self._hooks.ask(hook, seconds, *args)
