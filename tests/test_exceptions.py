"""The tree of exceptions."""

from __future__ import annotations

import inspect

import pytest

import wsframe
from wsframe import exceptions


def test_every_exception_of_our_own_is_a_wsframe_error() -> None:
    """But Reject, which is an answer that can be raised and not an error."""
    raised = [
        thing
        for name in wsframe.__all__
        if inspect.isclass(thing := getattr(wsframe, name)) and issubclass(thing, BaseException)
    ]
    assert {thing for thing in raised if not issubclass(thing, wsframe.WsframeError)} == {wsframe.Reject}
    assert {thing.__name__ for thing in raised if thing is not wsframe.Reject} == set(exceptions.__all__)


def test_the_docstring_names_the_whole_tree() -> None:
    assert exceptions.__doc__ is not None
    for name in exceptions.__all__:
        assert f":exc:`{name}`" in exceptions.__doc__


def test_what_has_ended_is_caught_as_a_wsframe_error() -> None:
    with pytest.raises(wsframe.WsframeError, match="gone"):
        raise wsframe.ResourceEnded("gone")
    assert not issubclass(wsframe.WsframeError, RuntimeError | ValueError | OSError)
