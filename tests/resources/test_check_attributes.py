"""Attributes that a resource can set, and errors for the rest before there is a client."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

import wsframe
from wsframe.resources.topic_hooks import TopicHooks

WRONG: dict[str, list[tuple[object, type[Exception], str]]] = {
    "max_clients": [
        ("a", TypeError, "must be an int or None, not str"),
        (1.0, TypeError, "must be an int or None, not float"),
        (True, TypeError, "must be an int or None, not bool"),
        (-1, ValueError, "must be at least 0, not -1"),
    ],
    "subprotocols": [
        ("chat", TypeError, "must be a collection of names, each a str, not 'chat'"),
        (None, TypeError, "must be a collection of names"),
        ([b"chat"], TypeError, "must be a collection of names"),
        (iter(["chat"]), TypeError, "must be a collection of names"),
        (["chat", "super chat"], ValueError, "has .super chat., which is not a valid subprotocol name"),
        ([""], ValueError, "has .., which is not a valid subprotocol name"),
    ],
    "limits": [({}, TypeError, r"must be a wsframe\.Limits, not \{\}")],
    "timeouts": [(5, TypeError, r"must be a wsframe\.Timeouts, not 5")],
    "deflate": [
        (True, TypeError, r"must be a wsframe\.Deflate, None or INHERIT, not True"),
        ("shared", TypeError, r"must be a wsframe\.Deflate"),
    ],
    "history": [
        ([], TypeError, r"must be a wsframe\.backplane\.History or None, not \[\]: give an attribute of your own")
    ],
    "overflow": [("drop", TypeError, "must be one of disconnect, drop_oldest, drop_newest, not 'drop'")],
    "ordering": [(None, TypeError, "must be one of resource, client, not None")],
    "on_hook_failed": [("drop", TypeError, "must be one of drop_client, drop_message, not 'drop'")],
    "error_close_code": [
        ("1011", TypeError, "a close code is an int, not str"),
        (1006, ValueError, "close code 1006 must not be sent"),
    ],
    "scope": [("everywhere", TypeError, "must be one of one, path, shared, not .everywhere.")],
    "cancel_on_disconnect": [(1, TypeError, "must be True or False, not 1")],
}
CASES = [(name, *wrong) for name, cases in WRONG.items() for wrong in cases]


def make_class(**members: object) -> type[wsframe.Resource]:
    return type("Chat", (wsframe.Resource,), members)


def test_each_attribute_that_can_be_set_is_checked() -> None:
    annotations = {**wsframe.Resource.__annotations__, **TopicHooks.__annotations__}
    assert WRONG.keys() == {name for name in annotations if not name.startswith("_")}


@pytest.mark.parametrize(("name", "value", "error", "words"), CASES)
def test_a_wrong_attribute_is_told_when_the_class_is_made(
    name: str, value: object, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=rf"^Chat\.{name}:? {words}"):
        make_class(**{name: value})


@pytest.mark.parametrize(("name", "value", "error", "words"), CASES)
def test_one_that_came_later_is_told_when_the_resource_is_registered(
    name: str, value: object, error: type[Exception], words: str
) -> None:
    """Set on the class, or on the object."""
    registry, cls = wsframe.Registry(), make_class()
    resource = cls()
    setattr(resource, name, value)
    with pytest.raises(error, match=rf"^Chat\.{name}:? {words}"):
        registry.register("/chat", resource)
    setattr(cls, name, value)
    with pytest.raises(error, match=rf"^Chat\.{name}:? {words}"):
        registry.register("/chat", cls())
    assert registry.paths() == []


def test_what_is_known_of_the_object_alone_is_checked_there() -> None:
    @dataclass
    class Room(wsframe.Resource):
        max_clients: Any = field(default=5)  # type: ignore[misc]

    class Hall(wsframe.Resource):
        @property
        def max_clients(self) -> Any:  # type: ignore[override]
            return "many"

    registry = wsframe.Registry()
    registry.register("/room", Room(max_clients=7))
    with pytest.raises(TypeError, match=r"Room\.max_clients must be an int or None, not str"):
        registry.register("/other", Room(max_clients="7"))
    with pytest.raises(TypeError, match=r"Hall\.max_clients must be an int or None, not str"):
        registry.register("/hall", Hall())


@pytest.mark.parametrize(
    "good",
    [
        {"max_clients": None}, {"max_clients": 0}, {"subprotocols": ("a", "b")}, {"subprotocols": frozenset()},
        {"subprotocols": {"a": 1}}, {"deflate": None}, {"deflate": wsframe.Deflate.shared()},
        {"deflate": wsframe.INHERIT}, {"error_close_code": 4000}, {"cancel_on_disconnect": True},
    ],
)  # fmt: skip
def test_what_may_be_set_passes(good: dict[str, object]) -> None:
    registry = wsframe.Registry()
    registry.register("/chat", make_class(**good)())
    assert registry.paths() == ["/chat"]


def test_a_path_that_is_no_str_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="a path is a str, not NoneType"):
        wsframe.Registry().register(None, wsframe.Resource())  # type: ignore[arg-type]
