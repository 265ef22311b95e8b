"""Registering a class by a decorator."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import Any, TypeVar

from wsframe.http.origins import OriginValidator, same_origin
from wsframe.resources.check_hooks import written
from wsframe.resources.resource import Resource
from wsframe.resources.routing.registry import Registry, global_registry

__all__ = ["resource"]

ResourceClassT = TypeVar("ResourceClassT", bound=type[Resource[Any]])


def resource(
    path: str,
    origins: OriginValidator = same_origin,
    *,
    ignore_case: bool = False,
    registry: Registry | None = None,
) -> Callable[[ResourceClassT], ResourceClassT]:
    """Make one object of a class and register it under a path; a class decorator, which returns the class.

    ``@wsframe.resource("/chat")`` above ``class Chat(Resource)`` is short for
    ``register_global_resource("/chat", Chat())`` after it. :func:`find_global_resource` returns the
    object. A class that needs arguments, or one object for several paths, is registered with
    :func:`register_global_resource`; one object for each path, such as a room, with a factory.

    Args:
        path: As for :meth:`Registry.register`, and so are ``origins`` and ``ignore_case``.
        origins: The origins whose pages can connect.
        ignore_case: Whether ``/CHAT`` is ``/chat``.
        registry: Where to register; None takes the global registry.

    Raises:
        TypeError: For a class that is not a Resource, or needs arguments; besides, as
            :meth:`Registry.register` does.
        ValueError: As :meth:`Registry.register` does.
    """
    if not isinstance(path, str):
        raise TypeError('@resource needs a path: write @wsframe.resource("/chat") above the class')

    def register(cls: ResourceClassT) -> ResourceClassT:
        check_makes(cls, path, "register_global_resource" if registry is None else "registry.register")
        (global_registry if registry is None else registry).register(path, cls(), origins, ignore_case=ignore_case)
        return cls

    return register


def check_makes(cls: object, path: str, register: str) -> None:
    """Check that an object of a class can be made without arguments.

    Raises:
        TypeError: If not; the text says how to register it instead.
    """
    if not isinstance(cls, type) or not issubclass(cls, Resource):
        name = getattr(cls, "__name__", type(cls).__name__)
        raise TypeError(
            f"@resource registers a subclass of Resource, not {name}; functions are registered with define_resource"
        )
    takes = signature(cls)
    try:
        takes.bind()
    except TypeError:
        raise TypeError(
            f"@resource makes {cls.__name__} without arguments, but it takes {written(takes)}: leave out the "
            f"decorator and write {register}({path!r}, {cls.__name__}(...)) after the class"
        ) from None
