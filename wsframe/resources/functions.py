"""Resources made of functions instead of a class."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import isawaitable
from typing import TypeAlias, TypedDict, TypeVar, Unpack

from wsframe.http.origins import OriginValidator, same_origin
from wsframe.http.request import Request
from wsframe.http.responses import Reject
from wsframe.log import Log, log_for
from wsframe.resources.check_attributes import Ordering
from wsframe.resources.check_hooks import check_takes, close_unawaited
from wsframe.resources.client import Client
from wsframe.resources.hints import add_hint
from wsframe.resources.resource import HOOKS, Resource
from wsframe.resources.routing.registry import Registry, global_registry
from wsframe.workers.partitions import Scope

__all__ = [
    "ClientFunction",
    "ErrorFunction",
    "FunctionResource",
    "Functions",
    "MessageFunction",
    "RequestVerifier",
    "define_resource",
]

logger: Log = log_for(__name__)

ClientFunction: TypeAlias = Callable[[Client], object]
"""Takes a client that has come or gone: ``open`` and ``close``."""

MessageFunction: TypeAlias = Callable[[Client, str | bytes], object]
"""Takes a whole message, text as ``str`` and binary as ``bytes``."""

ErrorFunction: TypeAlias = Callable[[Client, BaseException], object]
"""Takes an error that one of the other functions raised."""

RequestVerifier: TypeAlias = Callable[[Request], object]
"""Takes a newcomer's request; exactly True lets it in, after the origin check. It can raise :class:`Reject`."""


class Functions(TypedDict, total=False):
    """The arguments of :class:`FunctionResource`; :func:`define_resource` describes them."""

    open: ClientFunction | None
    message: MessageFunction | None
    close: ClientFunction | None
    error: ErrorFunction | None
    request_verifier: RequestVerifier | None
    ordering: Ordering
    scope: Scope


ClientFunctionT = TypeVar("ClientFunctionT", bound=ClientFunction)
MessageFunctionT = TypeVar("MessageFunctionT", bound=MessageFunction)
ErrorFunctionT = TypeVar("ErrorFunctionT", bound=ErrorFunction)


DECORATORS = ("on_open", "on_message", "on_close", "on_error")


class FunctionResource(Resource):
    """A resource whose hooks call functions, plain or async; made by :func:`define_resource`.

    It behaves as a class of its own does. It looks up its functions for each event, so the
    decorators below can give or replace them while it is served.
    """

    _wsframe_hooks = (*HOOKS, *DECORATORS)

    def __init__(
        self,
        *,
        open: ClientFunction | None = None,
        message: MessageFunction | None = None,
        close: ClientFunction | None = None,
        error: ErrorFunction | None = None,
        request_verifier: RequestVerifier | None = None,
        ordering: Ordering = "resource",
        scope: Scope = "one",
    ) -> None:
        for name, function in {"open": open, "message": message, "close": close, "error": error}.items():
            if function is not None:
                check_handler(name, function)
        if request_verifier is not None:
            check_handler("request_verifier", request_verifier)
        self._open, self._message, self._close, self._error = open, message, close, error
        self._verifier = request_verifier
        vars(self).update(ordering=ordering, scope=scope)  # of this object, which has no class of its own

    def __setattr__(self, name: str, value: object) -> None:
        if name in DECORATORS:
            raise AttributeError(f"{name} is a decorator: write room.{name}(function), or @room.{name} above it")
        super().__setattr__(name, value)

    def on_open(self, function: ClientFunctionT) -> ClientFunctionT:
        """Call a function with each client that has connected; a decorator."""
        check_handler("open", function)
        self._open = function
        return function

    def on_message(self, function: MessageFunctionT) -> MessageFunctionT:
        """Call a function with each client and message; a decorator."""
        check_handler("message", function)
        self._message = function
        return function

    def on_close(self, function: ClientFunctionT) -> ClientFunctionT:
        """Call a function with each client that has gone; a decorator."""
        check_handler("close", function)
        self._close = function
        return function

    def on_error(self, function: ErrorFunctionT) -> ErrorFunctionT:
        """Call a function with a client and the error that another function raised for it; a decorator."""
        check_handler("error", function)
        self._error = function
        return function

    async def accept_client(self, request: Request) -> None:
        if self._verifier is None:
            return
        passed = await outcome(self._verifier(request))
        if not isinstance(passed, bool | Reject):
            logger.error("the request verifier returned a %s, and only True lets in", type(passed).__name__)
        if passed is not True:
            raise passed if isinstance(passed, Reject) else Reject(403, body="refused by the request verifier")

    async def client_connected(self, client: Client) -> None:
        if self._open is not None:
            answer = await outcome(self._open(client))
            if isinstance(answer, Reject):
                raise answer

    async def received_text(self, client: Client, message: str) -> None:
        if self._message is None:
            await super().received_text(client, message)
        else:
            await outcome(self._message(client, message))

    async def received_binary(self, client: Client, message: bytes) -> None:
        if self._message is None:
            await super().received_binary(client, message)
        else:
            await outcome(self._message(client, message))

    async def disconnected(self, client: Client) -> None:
        if self._close is not None:
            await outcome(self._close(client))

    async def hook_failed(self, error: BaseException, *, hook: str, client: Client | None) -> None:
        if self._error is None or client is None:
            await super().hook_failed(error, hook=hook, client=client)
        else:
            add_hint(error)
            name = type(self).__name__
            logger.error("%s of %s failed for %r", hook, name, client, exc_info=error, kind=(hook, name))
            await outcome(self._error(client, error))


TAKES: dict[str, tuple[str, ...]] = {
    "open": ("client",),
    "message": ("client", "message"),
    "close": ("client",),
    "error": ("client", "error"),
    "request_verifier": ("request",),
}


def check_handler(name: str, function: object) -> None:
    """Check a function to call for an event.

    Raises:
        TypeError: If it cannot be called, or takes other arguments.
    """
    if not callable(function):
        close_unawaited(function)
        raise TypeError(f"a handler is a function, not {type(function).__name__}: {name}({', '.join(TAKES[name])})")
    check_takes(name, function, *TAKES[name])


async def outcome(result: object) -> object:
    return await result if isawaitable(result) else result


def define_resource(
    path: str,
    *,
    origins: OriginValidator = same_origin,
    ignore_case: bool = False,
    registry: Registry | None = None,
    **functions: Unpack[Functions],
) -> FunctionResource:
    """Make a resource of functions and register it under a path.

    The functions can be plain or async. A plain one must not block: no client of the
    server is served in the meantime. All are optional, and the resource's decorators can give
    them later.

    Args:
        path: As for :meth:`Registry.register`. It replaces a resource that was there: newcomers
            get the new functions, clients already connected keep theirs.
        open: Called with each client that has connected.
        message: Called with the client and each message, a str or bytes. Without it messages
            close 1003, as in a class without the hook.
        close: Called with each client that has gone; ``client.close_code`` says why.
        error: Called with the client and the error that ``open``, ``message`` or ``close`` raised; the
            error is logged in any case. The client then stays, unless this closes it or raises. Without
            it the client is closed 1011.
        request_verifier: Called with a newcomer's request; anything but True refuses it with 403.
        ordering: As of a class (:attr:`Resource.ordering`): ``"client"`` lets the functions run at the
            same time for different clients, wherever they wait.
        scope: As of a class (:attr:`Resource.scope`): ``"path"`` and ``"shared"`` spread it over workers.
        origins: The origins whose pages can connect.
        ignore_case: Whether ``/CHAT`` is ``/chat``.
        registry: Where to register; None takes the global registry.

    Raises:
        TypeError: For a function that cannot be called.
        ValueError: For a text that is not a path.
    """
    check_names(functions)
    resource = FunctionResource(**functions)
    (global_registry if registry is None else registry).register(path, resource, origins, ignore_case=ignore_case)
    return resource


MEANT = {
    "open": "on_open on_connect connect client_connected connected",
    "message": "on_message handler handle received_text on_receive receive callback",
    "close": "on_close on_disconnect disconnect disconnected",
    "error": "on_error hook_failed on_exception",
    "request_verifier": "verifier accept_client verify authenticate on_request",
    "origins": "origin allowed_origins check_origin",
}


def check_names(options: Mapping[str, object]) -> None:
    """Raise TypeError for a function under another name than it has here."""
    for ours, names in MEANT.items():
        for name in set(names.split()).intersection(options):
            raise TypeError(f"there is no option {name!r}: is it {ours!r}?")
