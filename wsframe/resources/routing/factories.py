"""Resources that are made or chosen by a function of the request."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from inspect import isfunction, signature

from wsframe.http.paths import folded, normalized_request_path
from wsframe.http.request import Request
from wsframe.http.responses import Reject, explained
from wsframe.limits import check_number
from wsframe.log import Log, log_for
from wsframe.resources.check_attributes import check_choice, check_settings
from wsframe.resources.check_hooks import check_own_hooks, check_plain, check_takes, close_unawaited
from wsframe.resources.resource import Resource
from wsframe.user_code.errors import call_plain, failed
from wsframe.workers.partitions import Scope

__all__ = ["Dispatcher", "Factory", "ask", "call_of", "check_dispatcher", "check_resource", "written_name"]

logger: Log = log_for(__name__)

Dispatcher = Callable[[Request], Resource | None]
"""Makes or chooses the resource for a request; None if it has none. A plain function: it decides, it does not wait."""


@dataclass(frozen=True, eq=False, slots=True)
class Factory:
    """A registered function that makes one resource for each path.

    Args:
        make: The function.
        max_resources: How many of its resources a server has at a time.
        linger: Seconds for which one stays after its last client.
        ignore_case: Whether paths that differ in the case of letters alone are one, ``{name}`` segments apart.
        scope: The scope of the resources that it makes.

    Raises:
        TypeError: For a ``make`` that is not a plain function, an option that is not a number, or another scope.
        ValueError: For less than one resource, or a negative time.
    """

    make: Dispatcher
    max_resources: int
    linger: float
    ignore_case: bool = False
    scope: Scope = "one"

    def __post_init__(self) -> None:
        check_dispatcher(self.make)
        check_number("max_resources", self.max_resources, "int", 1)
        check_number("linger", self.linger, "float", 0)
        check_choice("scope", self.scope)

    def place(self, path: str, params: Mapping[str, str]) -> Hashable:
        """Return a key that is the same for all paths that share a resource.

        Args:
            path: In the form in which paths are compared.
            params: The text that its ``{name}`` segments matched; its case always counts.
        """
        return (folded(path), *map(normalized_request_path, params.values())) if self.ignore_case else path


def call_of(cls: type[object]) -> str:
    """Return the call of a class that makes an object, as a program writes it."""
    try:
        signature(cls).bind()
    except (TypeError, ValueError):
        return f"{cls.__name__}(...)"
    return f"{cls.__name__}()"


def check_dispatcher(function: object) -> None:
    """Check that something can be asked for a resource.

    Raises:
        TypeError: If it cannot be called, is a resource's class, is a coroutine function, or takes something else.
    """
    if isinstance(function, type) and issubclass(function, Resource):
        raise TypeError(
            f"a plain function that takes the request is needed, not the class: "
            f"write 'lambda request: {call_of(function)}'"
        )
    if isinstance(function, Resource):
        raise TypeError(f"a plain function that makes a resource is needed; to register {function!r} itself: register")
    if isinstance(function, type) or not callable(function):
        raise TypeError(f"a plain function that takes the request is needed, not {function!r}")
    check_plain("a factory or dispatcher", function)
    check_takes("a factory or dispatcher", function, "request", otherwise="every newcomer would be answered 500")


def check_resource(resource: object) -> None:
    """Check that something is a resource, with attributes and hooks that can be used.

    Raises:
        TypeError: For a class instead of an object of it, for any other object, and for an attribute of a wrong type.
        ValueError: For an attribute out of range.
    """
    if isinstance(resource, type):
        raise TypeError(f"register an object, not the class: {call_of(resource)}")
    if not isinstance(resource, Resource):
        way_out = ": define_resource(path, message=echo) makes one of functions" if isfunction(resource) else ""
        raise TypeError(f"a resource is an object of a Resource subclass, not {type(resource).__name__}{way_out}")
    life = resource._listener
    if life is not None and not hasattr(life, "departures"):
        raise TypeError(f"{type(resource).__name__}._listener is a name that wsframe uses itself: take another")
    try:
        object.__setattr__(resource, "_listener", life)  # as each life does
    except TypeError:  # such as a threading.local
        others = [
            base.__name__ for base in type(resource).__mro__ if "__setattr__" in vars(base) and base is not object
        ]
        raise TypeError(
            f"{type(resource).__name__} cannot be a resource and a {others[-1]}: keep that in an attribute"
        ) from None
    check_settings(resource)
    check_own_hooks(resource, resource._wsframe_hooks)


def ask(dispatcher: Dispatcher, request: Request) -> Resource | None:
    """Ask for the resource of a request.

    Raises:
        Reject: The one it raised, else 500 for another exception or a result that is not a resource.
    """
    try:
        resource: object = call_plain(dispatcher, request)
    except Reject as refusal:
        raise explained(refusal, f"{written_name(dispatcher)} raised Reject without a body") from None
    except BaseException as error:
        if not failed(error):
            raise Reject(503, body="server stopping") from None
        logger.error("the factory or dispatcher failed for %r", request, exc_info=error)
        raise Reject(500, body="internal error") from None
    if resource is None:
        return None
    try:
        check_resource(resource)
    except Exception as error:
        close_unawaited(resource)
        logger.error("the factory or dispatcher returned %r, which cannot be served: %s", resource, error)
        raise Reject(500, body="internal error") from None
    assert isinstance(resource, Resource)
    return resource


def written_name(function: Callable[..., object]) -> str:
    """Name a function as it was written."""
    name = str(getattr(function, "__qualname__", type(function).__qualname__))
    return name.replace("<locals>.", "")
