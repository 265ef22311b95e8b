"""The tree of exceptions."""

from __future__ import annotations

import copy
import inspect
import pickle
from collections.abc import Callable

import pytest

import wsframe
from wsframe import CloseFrame, ConnectionClosed, exceptions
from wsframe.http.client_handshake import __all__ as of_handshakes
from wsframe.outgoing.exceptions import __all__ as of_connections

NAMES = {*exceptions.__all__, *(name for name in of_handshakes if name.startswith("Handshake")), *of_connections}


def test_every_exception_of_our_own_is_a_wsframe_error() -> None:
    """But Reject, which is an answer that can be raised and not an error."""
    raised = [
        thing
        for name in wsframe.__all__
        if inspect.isclass(thing := getattr(wsframe, name)) and issubclass(thing, BaseException)
    ]
    assert {thing for thing in raised if not issubclass(thing, wsframe.WsframeError)} == {wsframe.Reject}
    assert {thing.__name__ for thing in raised if thing is not wsframe.Reject} == NAMES


def test_the_docstring_names_the_whole_tree() -> None:
    assert exceptions.__doc__ is not None
    for name in NAMES:
        assert f":exc:`{name}`" in exceptions.__doc__


def test_what_has_ended_is_caught_as_a_wsframe_error() -> None:
    with pytest.raises(wsframe.WsframeError, match="gone"):
        raise wsframe.ResourceEnded("gone")
    assert not issubclass(wsframe.WsframeError, RuntimeError | ValueError | OSError)


class Mine(wsframe.HandshakeRejected):
    """A user's own, with other arguments."""

    def __init__(self, word: str) -> None:
        super().__init__(418, wsframe.Headers([("x", "y")]), b"short and stout")
        self.word = word


EXCEPTIONS: list[wsframe.WsframeError] = [
    wsframe.WsframeError("text"),
    wsframe.WsframeError(),
    wsframe.BinaryRefused("text"),
    wsframe.HookTimeout("text"),
    wsframe.ResourceEnded("text"),
    ConnectionClosed(CloseFrame(4000, "bye"), CloseFrame(1000, ""), peer_first=False),
    ConnectionClosed(None, None, peer_first=True, reason="ping timeout"),
    wsframe.HandshakeFailed("text"),
    wsframe.HandshakeRejected(403, wsframe.Headers([("retry-after", "3")]), b"no\nentry"),
    wsframe.ProxyFailed("text", 407, temporary=True),
    wsframe.OpeningTimeout("text"),
    wsframe.InvalidURL("text"),
    wsframe.LivesElsewhere("text"),
    Mine("word"),
]


def test_each_exception_is_among_those_copied() -> None:
    assert {type(error).__name__ for error in EXCEPTIONS} - {"Mine"} == NAMES


@pytest.mark.parametrize("error", EXCEPTIONS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("way", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))])
def test_a_copy_keeps_type_text_and_fields(error: wsframe.WsframeError, way: Callable[[object], object]) -> None:
    error.add_note("a note")
    again = way(error)
    assert isinstance(again, type(error))
    assert (type(again), str(again), again.args, repr(again)) == (type(error), str(error), error.args, repr(error))
    fields, kept = dict(vars(error)), dict(vars(again))
    headers, headers_kept = fields.pop("headers", None), kept.pop("headers", None)
    assert fields == kept
    assert isinstance(headers, wsframe.Headers) is isinstance(headers_kept, wsframe.Headers)
    if isinstance(headers, wsframe.Headers) and isinstance(headers_kept, wsframe.Headers):
        assert headers.fields() == headers_kept.fields()


@pytest.mark.parametrize("way", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))])
def test_a_refusal_is_copied_too(way: Callable[[wsframe.Reject], wsframe.Reject]) -> None:
    again = way(wsframe.Reject(401, [("WWW-Authenticate", "Basic")], "log in"))
    assert (again.status, again.headers, again.body) == (401, [("WWW-Authenticate", "Basic")], "log in")
