"""Hints below the traceback of a mistake that many make at first."""

from collections.abc import Callable
from typing import Any

import pytest

from wsframe import Client, Reject, Resource
from wsframe.resources.hints import HINTS, add_hint
from wsframe.testing import open_client


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


ONE_OR_ALL = "client.send_text(message) for one client, self.broadcast_text(message) for all"
EXCLUDE = "self.broadcast_text(message, exclude=client); client.send_text(message) for one client"
CODE_FIRST = "the code comes first: client.close(1000, 'reason'), client.reject(1008, 'reason')"
CLOSE = "client.close(1008, 'reason')"


def refuse() -> None:
    raise Reject(403)


ELSEWHERE: list[tuple[Callable[[Any, Any], object], str]] = [
    (lambda resource, client: client.ip, "client.host and client.port"),
    (lambda resource, client: client.remote_address, "client.host and client.port"),
    (lambda resource, client: client.headers, "client.request"),
    (lambda resource, client: client.query_params, "client.request"),
    (lambda resource, client: client.request.query_params, "request.query['x'][-1]"),
    (lambda resource, client: client.request.data, "return Accept(data=...): client.data"),
    (lambda resource, client: resource.broadcast_text(client, "x"), EXCLUDE),
    (lambda resource, client: refuse(), "Reject refuses in accept_client and client_connected; later " + CLOSE),
    (lambda resource, client: client.request.url, "request.path and query_string"),
    (lambda resource, client: client.request.match_info, "request.path_params['x']"),
    (lambda resource, client: resource.send_text(client, "x"), ONE_OR_ALL),
    (lambda resource, client: resource.send_bytes(client, b"x"), ONE_OR_ALL),
    (lambda resource, client: client.reject("bye"), CODE_FIRST),
    (lambda resource, client: resource.subscribe("news"), "self.subscribe(client, topic)"),
    (lambda resource, client: resource.publish_text("hello"), "publish_text(topic, message)"),
    (
        lambda resource, client: resource.publish_text("news", {"a": 1}),
        "client.send_json, broadcast_json; on a topic publish_text(topic, json.dumps(message))",
    ),
]


async def test_words_of_other_libraries_get_the_ones_of_here() -> None:
    notes: list[list[str]] = []

    class Trying(Resource):
        async def received_text(self, client: Client, message: str) -> None:
            for attempt, _ in ELSEWHERE:
                try:
                    attempt(self, client)
                except Exception as error:
                    add_hint(error)
                    notes.append(notes_of(error))
            client.send_text("over")

    async with open_client(Trying()) as client:
        client.send_text("go")
        await client.receive()
    assert notes == [[f"wsframe: {hint}"] for _, hint in ELSEWHERE]


def test_no_hint_is_hidden_by_the_one_before_it() -> None:
    assert len({words for _, words, _ in HINTS}) == len(HINTS)
