"""The options of a server are one object, and the keywords are its fields."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields
from typing import get_type_hints

import pytest

import wsframe
from wsframe import Capacity, Registry, ServeKeywords, ServeOptions
from wsframe.server.options import made_options


def test_keywords_are_the_fields() -> None:
    assert get_type_hints(ServeKeywords) == get_type_hints(ServeOptions)


def test_options_are_frozen_and_keyword_only() -> None:
    options = ServeOptions(port=1)
    with pytest.raises(FrozenInstanceError):
        options.port = 2  # type: ignore[misc]
    with pytest.raises(TypeError):
        ServeOptions("127.0.0.1")  # type: ignore[call-arg]


def test_keywords_replace_fields() -> None:
    options = ServeOptions(port=1, capacity=Capacity(max_clients=7))
    assert made_options(options, {}) is options
    assert made_options(options, {"port": 2}) == ServeOptions(port=2, capacity=Capacity(max_clients=7))
    assert made_options(None, {}) == ServeOptions()


def test_options_check_themselves() -> None:
    with pytest.raises(ValueError, match="port is an int from 0 to 65535, not 99999"):
        ServeOptions(port=99999)
    with pytest.raises(TypeError, match=r"options is a wsframe\.ServeOptions, .*, not \{'port': 0\} of type dict"):
        wsframe.run(Registry(alone=True), options={"port": 0})  # type: ignore[arg-type]


def test_every_field_has_a_type_or_a_check() -> None:
    assert all(one.metadata["types"] or one.metadata["then"] for one in fields(ServeOptions))


async def test_a_server_takes_them_as_one_object() -> None:
    options = ServeOptions(port=0)
    async with wsframe.open_server(Registry(alone=True), options=options, host="::1") as server:
        assert server.addresses[0].startswith("ws://[::1]:")


def test_the_url_of_a_backplane_is_checked_and_never_shown() -> None:
    options = ServeOptions(backplane="redis://:secret@h")
    assert "secret" not in repr(options)
    with pytest.raises(ValueError, match="nats:// is not the address of a backplane") as caught:
        ServeOptions(backplane="nats://:secret@h")
    assert "secret" not in str(caught.value)
    with pytest.raises(TypeError, match="or a URL, not int"):
        ServeOptions(backplane=1)  # type: ignore[arg-type]
