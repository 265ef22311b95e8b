"""The exceptions wsframe raises on purpose.

* :exc:`WsframeError`

  * :exc:`BinaryRefused`
  * :exc:`HookTimeout`
  * :exc:`ResourceEnded`

Misuse of the interface is a :exc:`TypeError`, :exc:`ValueError` or
:exc:`RuntimeError`, as in the standard library. What a peer does never raises.
"""

from __future__ import annotations

__all__ = ["BinaryRefused", "HookTimeout", "ResourceEnded", "WsframeError"]


class WsframeError(Exception):
    """Root of the exceptions that are wsframe's own."""


class HookTimeout(WsframeError):
    """Handed to :meth:`Resource.hook_failed` for a hook that took longer than ``timeouts.hook``."""


class BinaryRefused(WsframeError):
    """Raised by ``send_binary`` and ``broadcast_binary``, before anything is sent, for a client of version 0.

    Source: clws, which signals an error there too.
    """


class ResourceEnded(WsframeError):
    """Raised by :meth:`Resource.call` when the resource stops before it ran the call."""
