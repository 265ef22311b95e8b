"""What a resource's own code puts into its mailbox: messages and calls."""

from __future__ import annotations

from collections.abc import Callable

from wsframe.doorbell import Signal

__all__ = ["Call", "Post"]


class Post:
    """A message from :meth:`Resource.post`."""

    __slots__ = ("message",)

    def __init__(self, message: object) -> None:
        self.message = message


class Call:
    """A function from :meth:`Resource.call`, and the signal its caller waits for."""

    __slots__ = ("abandoned", "args", "fn", "signal")

    def __init__(self, fn: Callable[..., object], args: tuple[object, ...]) -> None:
        self.fn = fn
        self.args = args
        self.signal = Signal()
        self.abandoned = False
        """Whether the caller was cancelled: then it is not run any more."""
