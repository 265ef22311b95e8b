"""Marks of HTTP handlers: those that answer whatever the Host is, and those that answer alike in every worker.

Health checks name any Host or none. Handlers of files and of health ask no object of the program, so no worker is
the right one for them. A mark is an attribute of the function, so that it stays on one that a decorator has wrapped.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from wsframe.http.request import Request
from wsframe.http.responses import HttpHandler

__all__ = ["answers_any_host", "answers_in_any_worker", "at_any_host", "in_any_worker", "workers_of"]

ANY_HOST: Final = "at_any_host"
ANY_WORKER: Final = "in_any_worker"

HandlerT = TypeVar("HandlerT", bound=HttpHandler)


def always(request: Request) -> bool:
    return True


def at_any_host(handler: HttpHandler, decide: Callable[[Request], bool] = always) -> HttpHandler:
    """Mark a handler, and return it.

    Args:
        handler: A function.
        decide: Returns whether the handler answers a request whatever its Host is; by default each.
    """
    handler.__dict__[ANY_HOST] = decide
    return handler


def in_any_worker(handler: HandlerT, decide: Callable[[Request], bool] = always) -> HandlerT:
    """Mark a handler, and return it.

    Args:
        handler: A function.
        decide: Returns whether the handler answers a request in any worker; by default each.
    """
    handler.__dict__[ANY_WORKER] = decide
    return handler


def answers_any_host(handler: HttpHandler, request: Request) -> bool:
    """Return whether a handler answers a request whatever its Host is."""
    return is_marked(handler, ANY_HOST, request)


def answers_in_any_worker(handler: HttpHandler, request: Request) -> bool:
    """Return whether a handler answers a request alike in every worker."""
    return is_marked(handler, ANY_WORKER, request)


def is_marked(handler: HttpHandler, mark: str, request: Request) -> bool:
    decide = getattr(handler, mark, None)
    return decide is not None and decide(request)


def workers_of(handler: HttpHandler) -> str:
    """Say for a list of routes in which workers a handler answers."""
    decide = getattr(handler, ANY_WORKER, None)
    return "0" if decide is None else "any" if decide is always else "0 or any"
