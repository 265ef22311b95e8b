"""Checks of a resource's attributes, made where the class is written and not by its first client."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import Field
from difflib import get_close_matches
from re import fullmatch
from typing import Any, Literal, TypeAlias, get_args
from warnings import warn

from wsframe.backplane.interface import History
from wsframe.http.deflate_terms import TOKEN
from wsframe.limits import INHERIT, Limits, Overflow, Timeouts, check_number
from wsframe.log import Log, log_for
from wsframe.protocol.close import check_close_code
from wsframe.protocol.deflate import Deflate
from wsframe.resources.check_hooks import outside
from wsframe.user_code.errors import contain
from wsframe.workers.partitions import Scope

__all__ = ["OnHookFailed", "Ordering", "check_choice", "check_settings", "error_code_of", "warn_of_alike"]

logger: Log = log_for(__name__)

Ordering: TypeAlias = Literal["resource", "client"]
OnHookFailed: TypeAlias = Literal["drop_client", "drop_message"]

# Such as limit and max_client; not order, which may well be somebody's own.
ALIKE = 0.9

CHOICES = {
    "overflow": get_args(Overflow),
    "ordering": get_args(Ordering),
    "on_hook_failed": get_args(OnHookFailed),
    "scope": get_args(Scope),
}


def check_settings(resource: object) -> None:
    """Check the attributes of a resource or of its class, hooks apart.

    A property, or the field of a dataclass, has its value in objects only, and is skipped in classes.

    Raises:
        TypeError: For a value of another type than the attribute's, or not one of its choices.
        ValueError: For a number or a close code out of its range.
    """
    owner = resource if isinstance(resource, type) else type(resource)
    for name, check in CHECKS.items():
        value = getattr(resource, name)
        if not isinstance(value, property | Field):
            check(f"{owner.__name__}.{name}", value)


def warn_of_alike(cls: type[object]) -> None:
    """Warn of attributes that are named nearly as one that can be set, and could be it: nothing reads them."""
    for name, value in vars(cls).items():
        meant = get_close_matches(name, CHECKS, n=1, cutoff=ALIKE)
        if meant and name != meant[0] and not name.startswith("_") and could_be(meant[0], value):
            warn(f"nothing reads {cls.__name__}.{name}: did you mean {meant[0]}?", stacklevel=outside())


def could_be(name: str, value: object) -> bool:
    try:
        CHECKS[name](name, value)
    except (TypeError, ValueError):
        return False
    return value is not None


def check_limits(name: str, value: object) -> None:
    if not isinstance(value, Limits):
        raise TypeError(f"{name} must be a wsframe.Limits, not {value!r}")


def check_timeouts(name: str, value: object) -> None:
    if not isinstance(value, Timeouts):
        raise TypeError(f"{name} must be a wsframe.Timeouts, not {value!r}")


def check_deflate(name: str, value: object) -> None:
    if value is not None and value != INHERIT and not isinstance(value, Deflate):
        raise TypeError(f"{name} must be a wsframe.Deflate, None or INHERIT, not {value!r}")


def check_history(name: str, value: object) -> None:
    if value is not None and not isinstance(value, History):
        raise TypeError(
            f"{name} must be a wsframe.backplane.History or None, not {value!r}: "
            "give an attribute of your own another name"
        )


def check_choice(name: str, value: object) -> None:
    choices = CHOICES[name.rpartition(".")[2]]
    if value not in choices:
        raise TypeError(f"{name} must be one of {', '.join(choices)}, not {value!r}")


def check_subprotocols(name: str, value: object) -> None:
    if isinstance(value, str) or not isinstance(value, Collection) or not all(isinstance(one, str) for one in value):
        raise TypeError(f"{name} must be a collection of names, each a str, not {value!r}")
    for one in value:
        if not fullmatch(TOKEN, one):
            raise ValueError(f"{name} has {one!r}, which is not a valid subprotocol name (a token)")


def check_code(name: str, value: object) -> None:
    try:
        check_close_code(value)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name}: {error}") from None


def check_max_clients(name: str, value: object) -> None:
    check_number(name, value, "int | None", 0)


def check_flag(name: str, value: object) -> None:
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, not {value!r}")


CHECKS = {
    "subprotocols": check_subprotocols,
    "max_clients": check_max_clients,
    "limits": check_limits,
    "timeouts": check_timeouts,
    "deflate": check_deflate,
    "history": check_history,
    **dict.fromkeys(CHOICES, check_choice),
    "error_close_code": check_code,
    "cancel_on_disconnect": check_flag,
}


def error_code_of(resource: Any) -> int:
    """Return the ``error_close_code`` of a resource, or 1011 if that is not a code that can be sent."""
    try:
        code: int = resource.error_close_code
        check_close_code(code)
    except BaseException as error:
        contain(error)
        logger.error("error_close_code of %s: 1011 is sent instead", type(resource).__name__, exc_info=error)
        return 1011
    return code
