"""Checks of users' functions, made where a class is made or registered and not by its first client."""

from __future__ import annotations

from collections.abc import Callable, Collection, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager
from difflib import get_close_matches
from functools import partialmethod
from inspect import (
    Parameter,
    Signature,
    currentframe,
    getattr_static,
    isasyncgenfunction,
    iscoroutinefunction,
    isfunction,
    isgeneratorfunction,
    ismethod,
    signature,
    unwrap,
)
from types import FunctionType
from typing import Any, cast
from warnings import warn

__all__ = [
    "check_async",
    "check_hook",
    "check_http_handler",
    "check_made_by_running",
    "check_not_async",
    "check_not_shadowed",
    "check_own_hooks",
    "check_plain",
    "check_running",
    "check_takes",
    "close_unawaited",
    "is_async",
    "outside",
    "warn_of_misspelt",
    "written",
]

# Such as recieved_text and receive_text.
ALIKE = 0.92

HABITS = {
    "accept_client": "accept accept_connection accept_websocket on_accept websocket_accept on_handshake",
    "client_connected": "connect connected connection connection_made connection_open connection_opened open opened "
    "client_connect client_joined client_opened on_client on_client_connect on_client_connected on_connect "
    "on_connected on_connection on_join on_open on_opened onconnect onopen handle_connect handle_open "
    "websocket_connect websocket_open websocket_connected user_connected ws_connect ws_open handle_connection",
    "received_text, or received_json of a JSONResource": "on_json receive_json received_json json_received handle_json",
    "received_text": "data_received "
    "message message_received messages receive received received_message receive_message receive_str "
    "received_str text text_message text_message_received text_received client_message client_received "
    "on_data on_message on_msg on_receive on_received on_text on_text_message onmessage ontext handle_message "
    "handle_text websocket_message websocket_receive websocket_received ws_message ws_receive received_data",
    "received_binary": "binary_message binary_message_received binary_received bytes_received on_binary on_bytes "
    "on_binary_message receive_binary receive_bytes received_bytes handle_binary handle_bytes",
    "received_pong": "pong pong_received on_pong onpong handle_pong receive_pong",
    "received_custom": "custom_message custom_message_received on_custom on_post received_post handle_post",
    "disconnected": "close closed client_close client_closed client_disconnect client_disconnected client_left "
    "connection_closed connection_lost disconnect on_client_disconnect on_client_disconnected on_close on_closed "
    "on_disconnect on_disconnected on_disconnection on_leave onclose ondisconnect handle_close handle_disconnect "
    "user_disconnected websocket_close websocket_disconnect websocket_disconnected ws_close ws_disconnect",
    "hook_failed": "error exception on_error on_exception onerror handle_error handle_exception websocket_error",
    "running": "lifespan on_startup on_shutdown startup shutdown on_start on_stop",
    "subprotocols": "select_subprotocol get_subprotocol",
    "accept_client, or origins= of register": "check_origin verify_origin",
}
"""Names that users of Starlette, Tornado, Channels, Socket.IO, clws and the browser's API write, by our own."""

MEANT = {habit.replace("_", ""): ours for ours, habits in HABITS.items() for habit in habits.split()}


def is_async(function: object) -> bool:
    """Return whether a call of something makes a coroutine, as far as can be seen without a call."""
    by_call = getattr(type(function), "__call__", None)  # noqa: B004
    return any(iscoroutinefunction(one) for one in (function, unwrap_safely(function), by_call))


def unwrap_safely(function: object) -> object:
    for name in ("__partialmethod__", "_partialmethod"):  # since Python 3.13, and before it
        partial = getattr(function, name, None)
        if isinstance(partial, partialmethod):
            return unwrap_safely(partial.func)
    return unwrap(function) if callable(function) and hasattr(function, "__wrapped__") else function


def check_async(title: str, function: Any, *, such: str = "", hint: str = "") -> None:
    """Check something that is awaited.

    A lambda, or an object of another kind, passes: only its call shows.

    Raises:
        TypeError: For a coroutine, for an object that cannot be called, and for a plain function.
    """
    if isinstance(function, Coroutine):
        name = getattr(function, "__name__", "function")
        function.close()
        raise TypeError(f"{title} is an async function itself: write {name}, not the call {name}(...)")
    if not callable(function):
        raise TypeError(f"{title} is an async function{such}, not {type(function).__name__}")
    if (isfunction(function) or ismethod(function)) and not is_async(function) and function.__name__ != "<lambda>":
        name = function.__name__
        raise TypeError(f"{title} is an async function: write 'async def {name}', not 'def {name}'{hint}")


def check_http_handler(title: str, handler: Any, *, such: str = "") -> None:
    """Check that something can be asked for a Response.

    Raises:
        TypeError: For anything but an async function of one request.
    """
    check_async(title, handler, such=such)
    check_takes(title, handler, "request")


def check_plain(title: str, function: Callable[..., object]) -> None:
    """Check something that is called where nothing can wait.

    Raises:
        TypeError: If it is a coroutine function, or an object that is called as one.
    """
    if is_async(function):
        name = getattr(function, "__name__", "__call__")
        raise TypeError(f"{title} must be a plain function, because nothing can wait for it: write 'def {name}'")


def check_takes(title: str, function: Callable[..., object], *names: str, otherwise: str = "") -> None:
    """Check that something can be called with these arguments.

    Raises:
        TypeError: If it takes something else.
    """
    try:
        given = signature(function, follow_wrapped=False)  # a decorator may add arguments
    except (TypeError, ValueError):  # it can be unknown for functions written in C
        return
    try:
        given.bind(*names)
    except TypeError:
        told = f"{title} is called with ({', '.join(names)}), but takes {written(given)}"
        raise TypeError(f"{told}: {otherwise}" if otherwise else told) from None


def close_unawaited(result: object) -> bool:
    """Close a coroutine that nobody will await, which would be a warning; return whether it was one."""
    if isinstance(result, Coroutine):
        result.close()
    return isinstance(result, Coroutine)


def check_hook(base: type[object], cls: type[object], name: str) -> None:
    """Check that a class has a hook that can be awaited, with the parameters of that of ``base``.

    Raises:
        TypeError: If it is not a coroutine function, or takes something else.
    """
    hook = getattr(cls, name)
    if isasyncgenfunction(hook):
        raise TypeError(f"{cls.__name__}.{name} must be a coroutine function: take the 'yield' out of it")
    if not is_async(hook):
        raise TypeError(f"{cls.__name__}.{name} must be a coroutine function: write 'async def {name}'")
    check_parameters(base, cls, name)


def check_not_async(base: type[object], cls: type[object], name: str) -> None:
    """Check a hook that is called where nothing can wait.

    Raises:
        TypeError: If it is a coroutine function, or takes something else.
    """
    if is_async(getattr(cls, name)):
        raise TypeError(f"{cls.__name__}.{name} must be a plain function: nothing can wait for it")
    check_parameters(base, cls, name)


MAKE_RUNNING = "write '@asynccontextmanager' above 'async def running(self)', and one 'yield' in it"


def check_made_by_running(cls: type[object], made: object) -> AbstractAsyncContextManager[None]:
    """Return the result of a ``running()``, which only a call can show to be something else.

    Raises:
        TypeError: If it is not an async context manager.
    """
    if hasattr(type(made), "__aenter__") and hasattr(type(made), "__aexit__"):
        return cast(AbstractAsyncContextManager[None], made)
    close_unawaited(made)
    raise TypeError(f"{cls.__name__}.running() returned {made!r}, not a context manager: {MAKE_RUNNING}")


def check_running(base: type[object], cls: type[object], name: str) -> None:
    """Raise TypeError for a function that does not make an async context manager."""
    running = getattr(cls, name)
    inner = unwrap_safely(running)
    # @asynccontextmanager leaves a plain function, with an async generator function inside.
    if is_async(inner) or isgeneratorfunction(inner) or (isasyncgenfunction(inner) and inner is running):
        raise TypeError(f"{cls.__name__}.{name} must be a context manager: {MAKE_RUNNING}")
    check_parameters(base, cls, name)
    wrapped = getattr(running, "__wrapped__", None)
    if isasyncgenfunction(wrapped) and isfunction(
        getattr_static(cls, name)
    ):  # which @asynccontextmanager calls with its own arguments
        check_takes(f"{cls.__name__}.{name}", wrapped, "self")


def check_own_hooks(resource: object, hooks: Collection[str]) -> None:
    """Raise TypeError for a hook that was set on an object, and cannot be awaited."""
    for name in set(hooks).intersection(getattr(resource, "__dict__", ())):
        if not is_async(getattr(resource, name)):
            raise TypeError(f"{type(resource).__name__}.{name} must be a coroutine function: write 'async def {name}'")


def check_not_shadowed(base: type[object], cls: type[object], names: Collection[str]) -> None:
    """Raise TypeError for an attribute in the place of one that is kept for the resource."""
    for name in names:
        if not isinstance(getattr_static(cls, name), property):
            raise TypeError(
                f"{cls.__name__}.{name} hides {base.__name__}.{name}, which is kept for you: take another name"
            )


def check_parameters(base: type[object], cls: type[object], name: str) -> None:
    hook = getattr_static(cls, name)
    if not isfunction(hook):  # only a call shows the parameters of a descriptor
        return
    wanted = signature(getattr(base, name))
    # A decorator may add arguments, so the function it has wrapped does not count.
    given = signature(hook, follow_wrapped=False)
    by_name = [one.name for one in wanted.parameters.values() if one.kind is Parameter.KEYWORD_ONLY]
    try:
        given.bind(*range(len(wanted.parameters) - len(by_name)), **dict.fromkeys(by_name))
        fits = not has_names_astray(given, [one for one in wanted.parameters if one not in by_name])
    except TypeError:
        fits = False
    if not fits:
        raise TypeError(f"{cls.__name__}.{name} takes {written(given)}, but is called with {written(wanted)}")


def has_names_astray(given: Signature, places: list[str]) -> bool:
    """Return whether a parameter has the name of one of ours in another place, and so would get another value."""
    return any(
        one.name in places[:number] + places[number + 1 :]
        for number, one in enumerate(given.parameters.values())
        if one.kind is Parameter.POSITIONAL_OR_KEYWORD and one.default is Parameter.empty
    )


def written(of: Signature) -> Signature:
    """Leave out the annotations."""
    plain = [one.replace(annotation=Parameter.empty) for one in of.parameters.values()]
    return of.replace(parameters=plain, return_annotation=Signature.empty)


def warn_of_misspelt(base: type[object], cls: type[object], hooks: Collection[str]) -> None:
    """Warn of functions that are named as hooks are elsewhere, or nearly as ours are: nothing would call them."""
    functions = dict(functions_of(base, cls))
    spoken_of = {one for name, function in functions.items() for one in function.__code__.co_names if one != name}
    for name, function in functions.items():
        alike = get_close_matches(name, hooks, n=1, cutoff=ALIKE)
        if name.startswith("_") or name in hooks or hasattr(base, name) or name in spoken_of:
            continue  # a name that another method uses is the class's own
        meant = MEANT.get(name.replace("_", "").lower(), "")  # onMessage too
        if meant and (is_async(function) or function.__code__.co_argcount > 1 or name.startswith("on")):
            meant = "received_json" if meant.startswith("received_text") and "received_json" in hooks else meant
        elif alike and is_async(function):
            meant = alike[0]
        else:
            continue
        warn(f"nothing calls {cls.__name__}.{name}: did you mean {meant}?", stacklevel=outside())


def outside() -> int:
    """Return how far up the stack the caller of our code is, for a warning that names its line."""
    frame, level = currentframe(), 0
    while frame is not None and str(frame.f_globals.get("__name__")).startswith("wsframe."):
        frame, level = frame.f_back, level + 1
    return level


def functions_of(base: type[object], cls: type[object]) -> Iterator[tuple[str, FunctionType]]:
    """Yield the functions that a class has of itself and of mixins that are not classes of ours."""
    for owner in cls.__mro__:
        if owner is cls or not (issubclass(base, owner) or issubclass(owner, base)):
            for name, value in vars(owner).items():
                function = unwrap_safely(value)
                if isinstance(function, FunctionType):
                    yield name, function
