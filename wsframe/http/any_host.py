"""Handlers that answer a request whatever Host it names: health checks, which name any or none."""

from __future__ import annotations

from collections.abc import Callable

from wsframe.http.request import Request
from wsframe.http.responses import HttpHandler

__all__ = ["answers_any_host", "at_any_host"]

# Of a function, so that it stays on one that a decorator has wrapped.
MARK = "at_any_host"


def always(request: Request) -> bool:
    return True


def at_any_host(handler: HttpHandler, decide: Callable[[Request], bool] = always) -> HttpHandler:
    """Mark a handler, and return it.

    Args:
        handler: A function.
        decide: Returns whether the handler answers a request whatever its Host is; by default each.
    """
    handler.__dict__[MARK] = decide
    return handler


def answers_any_host(handler: HttpHandler, request: Request) -> bool:
    """Return whether a handler answers a request whatever its Host is."""
    decide = getattr(handler, MARK, None)
    return decide is not None and decide(request)
