"""Handlers that answer alike in every worker: those of files and of health, which ask no object of the program."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from wsframe.http.request import Request
from wsframe.http.responses import HttpHandler

__all__ = ["answers_in_any_worker", "in_any_worker", "workers_of"]

# Of a function, so that it stays on one that a decorator has wrapped.
MARK = "in_any_worker"

HandlerT = TypeVar("HandlerT", bound=HttpHandler)


def always(request: Request) -> bool:
    return True


def in_any_worker(handler: HandlerT, decide: Callable[[Request], bool] = always) -> HandlerT:
    """Mark a handler, and return it.

    Args:
        handler: A function.
        decide: Returns whether the handler answers a request in any worker; by default each.
    """
    handler.__dict__[MARK] = decide
    return handler


def answers_in_any_worker(handler: HttpHandler, request: Request) -> bool:
    """Return whether a handler answers a request alike in every worker."""
    decide = getattr(handler, MARK, None)
    return decide is not None and decide(request)


def workers_of(handler: HttpHandler) -> str:
    """Say for a list of routes in which workers a handler answers."""
    decide = getattr(handler, MARK, None)
    return "0" if decide is None else "any" if decide is always else "0 or any"
