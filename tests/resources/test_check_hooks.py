"""Hooks that could not be called, or that nothing would call, are told when the class is made."""

import functools
import warnings
from collections.abc import Callable

import pytest

from wsframe import JSONResource, Resource
from wsframe.resources.resource import HOOKS


def made(name: str, function: Callable[..., object], base: type[Resource] = Resource) -> type[Resource]:
    return type("Chat", (base,), {name: function})


async def without_client(self: object, message: str) -> None: ...


async def with_more(self: object, client: object, message: object, more: object) -> None: ...


async def with_defaults(
    self: object, first: object = 0, second: object = 0, hook: str = "", client: object = 0
) -> None: ...


async def with_anything(*args: object, **named: object) -> None: ...


def injecting(function: Callable[..., object]) -> Callable[..., object]:
    """Decorate a hook that takes an argument more than the hook has."""

    @functools.wraps(function)
    async def hook(self: object, client: object, message: object) -> None: ...

    return hook


@pytest.mark.parametrize(
    ("name", "function", "told"),
    [
        ("received_text", without_client, r"takes \(self, message\), but is called with \(self, client, message\)"),
        ("received_binary", with_more, r"takes \(self, client, message, more\), but is called with \(self, client, "),
        ("client_connected", with_more, r"takes .*, but is called with \(self, client\)"),
        ("hook_failed", without_client, r"takes .*, but is called with \(self, error, \*, hook, client\)"),
        (
            "check_message",
            lambda self, client: None,
            r"takes .*, but is called with \(self, client, kind, ",
        ),
    ],
)
def test_a_hook_that_takes_something_else_is_a_type_error(
    name: str, function: Callable[..., object], told: str
) -> None:
    with pytest.raises(TypeError, match=rf"^Chat\.{name} {told}"):
        made(name, function)


def test_hooks_of_json_resources_are_checked_too() -> None:
    with pytest.raises(TypeError, match=r"Chat\.received takes \(self, message\), but is called with \(self, client, "):
        made("received", without_client, JSONResource)


@pytest.mark.parametrize("name", HOOKS)
def test_hooks_may_take_more_than_they_must(name: str) -> None:
    made(name, with_anything)
    made(name, with_defaults)


def test_what_a_decorator_adds_is_its_own_affair() -> None:
    made("received_text", injecting(with_more))
    made("received_text", staticmethod(without_client))  # called with client and message, which it takes


@pytest.mark.parametrize("name", ["recieved_text", "receive_text", "received_texts", "recieved_binary", "diconnected"])
def test_a_misspelt_hook_is_a_warning_where_the_class_is_made(name: str) -> None:
    with pytest.warns(UserWarning, match=rf"^nothing calls Chat\.{name}: did you mean \w+\?$") as warned:
        made(name, with_anything)
    assert warned[0].filename == __file__


@pytest.mark.parametrize("name", ["disconnect", "receive", "connected", "text", "_receive_text", "accept", "hook"])
def test_other_names_are_free(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made(name, with_anything)
        made("recieved_text", lambda self: None)  # nothing that could be awaited
