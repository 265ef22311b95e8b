"""Resources that are made or chosen by a function of the request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from inspect import iscoroutinefunction

from wsframe.http.request import Request
from wsframe.http.responses import Reject
from wsframe.log import logger
from wsframe.resources.resource import Resource

__all__ = ["Dispatcher", "Factory", "ask", "check_dispatcher", "written_name"]

Dispatcher = Callable[[Request], Resource | None]
"""Makes or chooses the resource for a request; None if it has none. A plain function: it decides, it does not wait."""


@dataclass(frozen=True, eq=False, slots=True)
class Factory:
    """A registered function that makes one resource for each path.

    Args:
        make: The function.
        max_resources: How many of its resources a server has at a time.
        linger: Seconds for which one stays after its last client.

    Raises:
        TypeError: For what is no plain function.
        ValueError: For less than one resource, or a negative time.
    """

    make: Dispatcher
    max_resources: int
    linger: float

    def __post_init__(self) -> None:
        check_dispatcher(self.make)
        if self.max_resources < 1:
            raise ValueError(f"max_resources must be at least 1, not {self.max_resources!r}")
        if not self.linger >= 0:
            raise ValueError(f"linger must be at least 0 seconds, not {self.linger!r}")


def check_dispatcher(function: object) -> None:
    """Check that something can be asked for a resource.

    Raises:
        TypeError: If it cannot be called, is a resource's class, or is a coroutine function.
    """
    if not callable(function) or isinstance(function, type) or iscoroutinefunction(function):
        raise TypeError(f"a plain function that takes the request is needed, not {function!r}")


def ask(dispatcher: Dispatcher, request: Request) -> Resource | None:
    """Ask for the resource of a request.

    Raises:
        Reject: What it raised, else 500 for an exception or what is no resource.
    """
    try:
        resource: object = dispatcher(request)
    except Reject:
        raise
    except Exception:
        logger.exception("the factory or dispatcher failed for %r", request)
        raise Reject(500, body="internal error") from None
    if resource is None or isinstance(resource, Resource):
        return resource
    logger.error("the factory or dispatcher returned %r, which is no resource and not None", resource)
    raise Reject(500, body="internal error")


def written_name(function: Callable[..., object]) -> str:
    """Name a function as it was written."""
    name = str(getattr(function, "__qualname__", type(function).__qualname__))
    return name.replace("<locals>.", "")
