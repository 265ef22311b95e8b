"""Checking how hooks are written: told when a class is made, not by its first client."""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches
from inspect import (
    Parameter,
    Signature,
    getattr_static,
    isasyncgenfunction,
    iscoroutinefunction,
    isfunction,
    signature,
    unwrap,
)
from warnings import warn

__all__ = ["check_hook", "check_not_async", "check_running", "warn_of_misspelt"]

# Such as recieved_text and receive_text; not disconnect, which may well be somebody's own.
ALIKE = 0.92


def check_hook(base: type[object], cls: type[object], name: str) -> None:
    """Check that a class has a hook that can be awaited, and takes what that of ``base`` takes.

    Raises:
        TypeError: If it is no coroutine function, or takes something else.
    """
    hook = getattr(cls, name)
    if not (iscoroutinefunction(hook) or iscoroutinefunction(unwrap(hook))):
        raise TypeError(f"{cls.__name__}.{name} must be a coroutine function: write 'async def {name}'")
    check_parameters(base, cls, name)


def check_not_async(base: type[object], cls: type[object], name: str) -> None:
    """Check a hook that is called where nothing can wait.

    Raises:
        TypeError: If it is a coroutine function, or takes something else.
    """
    if iscoroutinefunction(getattr(cls, name)):
        raise TypeError(f"{cls.__name__}.{name} must be a plain function: the reactor cannot wait for it")
    check_parameters(base, cls, name)


def check_running(cls: type[object], name: str) -> None:
    """Raise TypeError for what yields, but makes no context manager."""
    if isasyncgenfunction(getattr(cls, name)):
        raise TypeError(f"{cls.__name__}.{name} must be a context manager: write '@asynccontextmanager' above it")


def check_parameters(base: type[object], cls: type[object], name: str) -> None:
    hook = getattr_static(cls, name)
    if not isfunction(hook):  # what a descriptor takes, only its call tells
        return
    wanted = signature(getattr(base, name))
    # A decorator may add arguments, so what it has wrapped does not count.
    given = signature(hook, follow_wrapped=False)
    by_name = [one.name for one in wanted.parameters.values() if one.kind is Parameter.KEYWORD_ONLY]
    try:
        given.bind(*range(len(wanted.parameters) - len(by_name)), **dict.fromkeys(by_name))
    except TypeError:
        raise TypeError(f"{cls.__name__}.{name} takes {written(given)}, but is called with {written(wanted)}") from None


def written(of: Signature) -> Signature:
    """Leave out the annotations."""
    plain = [one.replace(annotation=Parameter.empty) for one in of.parameters.values()]
    return of.replace(parameters=plain, return_annotation=Signature.empty)


def warn_of_misspelt(base: type[object], cls: type[object], hooks: Collection[str]) -> None:
    """Warn of coroutine functions whose names are nearly those of hooks: nothing would call them."""
    for name, value in vars(cls).items():
        meant = get_close_matches(name, hooks, n=1, cutoff=ALIKE)
        if meant and not name.startswith("_") and not hasattr(base, name) and iscoroutinefunction(value):
            warn(f"nothing calls {cls.__name__}.{name}: did you mean {meant[0]}?", stacklevel=3)
