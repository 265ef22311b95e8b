"""The options of a connection: checked when they are given, and functions asked for each try."""

from __future__ import annotations

import pytest

from tests.outgoing.memory import Server
from wsframe.limits import Limits
from wsframe.outgoing.connector import Connector
from wsframe.outgoing.exceptions import InvalidURL
from wsframe.outgoing.opening import Opened, OpeningPlan


def test_options_that_cannot_be_sent_raise_where_they_are_given() -> None:
    with pytest.raises(InvalidURL):
        Connector("http://server.example/")
    with pytest.raises(ValueError, match="subprotocol"):
        Connector("ws://server.example/", subprotocols=["a b"])
    with pytest.raises(TypeError):
        Connector("ws://server.example/", limits=7)  # type: ignore[arg-type]


def test_the_name_is_the_url_without_credentials() -> None:
    assert Connector("ws://user:secret@server.example/chat").name == "ws://server.example/chat"
    assert Connector(lambda: "ws://server.example/").name == "connection"


async def test_functions_are_asked_for_each_try(monkeypatch: pytest.MonkeyPatch) -> None:
    plans: list[OpeningPlan] = []

    async def fail(plan: OpeningPlan) -> Opened:
        plans.append(plan)
        raise OSError

    monkeypatch.setattr(OpeningPlan, "open", fail)
    asked: list[str] = []

    async def url() -> str:
        asked.append("url")
        return f"ws://server{len(asked)}.example/"

    def headers() -> dict[str, str]:
        asked.append("headers")
        return {"Try": str(len(asked))}

    connector = Connector(url, headers=headers)
    for host, number in (("server1.example", "2"), ("server3.example", "4")):
        with pytest.raises(OSError, match=r"^$"):
            await connector.open()
        assert plans[-1].target.host == host
        assert plans[-1].headers == [("Try", number)]
        assert connector.name == f"ws://{host}/"


async def test_a_socket_is_not_left_behind_if_its_link_cannot_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server()

    async def opened(plan: OpeningPlan) -> Opened:
        from tests.outgoing.memory import NO_HEADERS
        from wsframe.http.client_handshake import Upgraded

        upgraded = Upgraded(NO_HEADERS, None, None, b"")
        return Opened(transport=server, target=plan.target, request_headers=NO_HEADERS, upgraded=upgraded)

    monkeypatch.setattr(OpeningPlan, "open", opened)
    monkeypatch.setattr(server, "tune", lambda *options: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        await Connector("ws://server.example/", limits=Limits(max_message=10)).open()
    assert server.closed_by_reset is True
