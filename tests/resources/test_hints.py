"""Hints below the traceback of a mistake that many make at first."""

import pytest

from wsframe import Client
from wsframe.resources.hints import HINTS, add_hint


def notes_of(error: BaseException) -> list[str]:
    return getattr(error, "__notes__", [])


def test_a_known_mistake_gets_its_hint_once() -> None:
    error = AttributeError("'Client' object has no attribute 'emit'")
    add_hint(error)
    add_hint(error)
    (note,) = notes_of(error)
    assert "client.send" in note


def test_another_error_and_another_kind_get_none() -> None:
    for error in (ValueError("x"), ValueError("no running event loop"), RuntimeError("event loop")):
        add_hint(error)
        assert not notes_of(error)


def test_a_note_of_the_users_is_left_alone() -> None:
    error = RuntimeError("no running event loop")
    error.add_note("mine")
    add_hint(error)
    assert notes_of(error) == ["mine"]


async def test_the_words_are_those_that_python_uses() -> None:
    with pytest.raises(TypeError) as caught:
        await None  # type: ignore[misc]
    add_hint(caught.value)
    assert notes_of(caught.value)
    with pytest.raises(AttributeError) as missing:
        Client.__new__(Client).nothing  # type: ignore[attr-defined]  # noqa: B018
    add_hint(missing.value)
    assert notes_of(missing.value)


def test_no_hint_is_hidden_by_the_one_before_it() -> None:
    assert len({words for _, words, _ in HINTS}) == len(HINTS)
