"""The answers of hooks, and the options of a resource."""

from __future__ import annotations

from typing import Any

import pytest

from wsframe.centrifuge import CentrifugeOptions, Connected, Subscribed
from wsframe.centrifuge.answers import filled_in


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"ping": 0.5}, ValueError),
        ({"ping": "25"}, TypeError),
        ({"pong": -1}, ValueError),
        ({"pong": None}, TypeError),
        ({"connect": float("nan")}, ValueError),
        ({"max_channels": 0}, ValueError),
        ({"max_channels": 1.5}, TypeError),
        ({"max_channel_length": 241}, ValueError),
        ({"max_commands": None}, TypeError),
        ({"max_commands": 128}, ValueError),
        ({"max_channels": 4_096}, ValueError),
    ],
)
def test_options_are_checked(options: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error, match=next(iter(options))):
        CentrifugeOptions(**options)


def test_pings_can_be_left_out() -> None:
    assert CentrifugeOptions(ping=None).ping is None


@pytest.mark.parametrize("kind", [Connected, Subscribed])
def test_expiry_is_a_number_of_seconds(kind: type[Connected | Subscribed]) -> None:
    wrong: Any = "soon"
    with pytest.raises(TypeError, match=r"expires"):
        kind(expires=wrong)
    with pytest.raises(ValueError, match=r"expires"):
        kind(expires=-1)


def test_a_user_is_text_and_subscriptions_are_several() -> None:
    wrong: Any = 7
    with pytest.raises(TypeError, match=r"Connected.user is a str or None, not int"):
        Connected(user=wrong)
    with pytest.raises(TypeError, match="a collection of names or a mapping"):
        Connected(subscriptions="news")


def test_the_answer_of_a_hook_goes_before_that_of_a_token() -> None:
    token = Connected(user="7", expires=60, info={"a": 1})
    assert filled_in(Connected(data=1), token) == Connected(user="7", expires=60, info={"a": 1}, data=1)
    assert filled_in(Connected(user="8", expires=5), token) == Connected(user="8", expires=5, info={"a": 1})
    assert filled_in(Subscribed(presence=True), Subscribed(expires=9)) == Subscribed(presence=True, expires=9)
