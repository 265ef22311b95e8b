"""The exceptions of wsframe: their root, and those of servers.

* :exc:`WsframeError`

  * :exc:`BinaryRefused`
  * :exc:`HookTimeout`
  * :exc:`LivesElsewhere`, also a :exc:`RuntimeError`
  * :exc:`ResourceEnded`
  * :exc:`HandshakeFailed`, in ``http.client_handshake``, as the next

    * :exc:`HandshakeRejected`

  * :exc:`ConnectionClosed`, in ``outgoing.exceptions``, as all that follow
  * :exc:`ProxyFailed`
  * :exc:`OpeningTimeout`, also an :exc:`OSError`
  * :exc:`InvalidURL`, also a :exc:`ValueError`
  * :exc:`~wsframe.centrifuge.CentrifugeError`, in ``centrifuge.errors``, as the next
  * :exc:`~wsframe.centrifuge.CentrifugeDisconnect`

Misuse of the interface raises :exc:`TypeError`, :exc:`ValueError` or :exc:`RuntimeError`, as in the
standard library. No client of a server can make it raise anything. Where we are the client, failures of
the network are an :exc:`OSError`.
"""

from __future__ import annotations

from typing import Any

__all__ = ["BinaryRefused", "HookTimeout", "LivesElsewhere", "ResourceEnded", "WsframeError"]


class WsframeError(Exception):
    """Root of wsframe's own exceptions; with ``pickle`` and ``copy`` they keep type, text and fields."""

    def __reduce__(self) -> tuple[Any, ...]:
        # The default calls the class with the text alone, which is not one of its arguments.
        return rebuilt, (type(self), self.args, self.__dict__)


def rebuilt(kind: type[Exception], args: tuple[Any, ...], fields: dict[str, Any]) -> Exception:
    """Make an exception as it was, without calling its ``__init__``."""
    error = kind.__new__(kind, *args)
    error.__dict__.update(fields)
    return error


class HookTimeout(WsframeError):
    """Handed to :meth:`Resource.hook_failed` for a hook that took longer than ``timeouts.hook``."""


class BinaryRefused(WsframeError):
    """Raised by ``send_binary`` and ``broadcast_binary``, before anything is sent, for a client of version 0."""


class ResourceEnded(WsframeError):
    """Raised by :meth:`Resource.call` when the resource stops before it ran the call."""


class LivesElsewhere(WsframeError, RuntimeError):
    """Raised for a resource that lives in another worker, where it cannot be used by its object or its path.

    The text names the worker. :meth:`Server.post` reaches a resource wherever it lives.
    """
