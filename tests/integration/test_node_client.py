"""Node's ``ws`` package's client talks to a wsframe server."""

import base64
import json
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import pytest
import trio

from tests.integration.conftest import Served
from tests.patience import PATIENCE
from tests.requirements import NODE, require_node

Event: TypeAlias = dict[str, Any]
Play: TypeAlias = Callable[..., Awaitable[list[Event]]]


@pytest.fixture(scope="session")
def node() -> str:
    return require_node()


@pytest.fixture
def play(node: str, served: Served) -> Play:
    """Have the client connect, play the steps, and return the events it saw."""

    async def play(*steps: Event, path: str = "/echo", **options: Any) -> list[Event]:
        if served.tls:
            options["ca"] = str(served.tls.authority_file)
        script = json.dumps({"url": f"{served.address}{path}", "options": options, "steps": steps})
        with trio.fail_after(PATIENCE):
            done = await trio.run_process([node, str(NODE / "client.js"), script], capture_stdout=True)
        return [json.loads(line) for line in done.stdout.splitlines()]

    return play


@pytest.mark.parametrize("compress", [True, False], ids=["offers-deflate", "offers-nothing"])
async def test_messages_pings_and_closing(play: Play, compress: bool) -> None:
    data = base64.b64encode(bytes(range(256)) * 300).decode()
    opened, *events = await play(
        {"send": "text", "data": "hello 🐎"},
        {"send": "text", "data": ""},
        {"send": "binary", "base64": data},
        {"send": "fragments", "data": ["frag", "", "men", "ted"]},
        {"send": "ping", "data": "are you there?"},
        {"send": "close", "code": 4000, "reason": "enough"},
        perMessageDeflate=compress,
    )
    assert opened["event"] == "open"
    assert events == [
        {"event": "text", "data": "hello 🐎"},
        {"event": "text", "data": ""},
        {"event": "binary", "base64": data},
        {"event": "text", "data": "fragmented"},
        {"event": "pong", "data": "are you there?"},
        {"event": "close", "code": 4000, "reason": "enough"},
    ]


async def test_the_server_closes(play: Play) -> None:
    events = await play({"send": "text", "data": "close"})
    assert events[1:] == [{"event": "close", "code": 4001, "reason": "as you wish"}]


async def test_a_client_that_drops_the_connection_harms_nobody(play: Play) -> None:
    dropped = await play()
    assert [event["event"] for event in dropped] == ["open", "close"]
    events = await play({"send": "text", "data": "still here?"})
    assert events[1] == {"event": "text", "data": "still here?"}


@pytest.mark.parametrize(("path", "origin", "status"), [("/nowhere", "", 404), ("/exact", "https://example.org", 403)])
async def test_a_refusal_is_an_answer_in_http(play: Play, path: str, origin: str, status: int) -> None:
    events = await play(path=path, origin=origin)
    assert events[0] == {"event": "refused", "status": status}
