"""The handle of a server works over any engine, and checks its arguments."""

from __future__ import annotations

from typing import Any

import pytest

from wsframe.resources.resource import Resource
from wsframe.resources.server import Server, ServerInternals, ServerStatistics, ServiceStatistics
from wsframe.resources.topics.interest import Interest
from wsframe.resources.topics.presences import Presences
from wsframe.resources.topics.recovery import Histories


class Elsewhere:
    """An engine without sockets and tasks, such as one of another process."""

    addresses = ("ws://127.0.0.1:8000", "unix:chat")
    clients = 3

    def __init__(self) -> None:
        self.orders: list[object] = []

    def drain(self, code: int, lame_duck: float | None) -> None:
        self.orders.append(code if lame_duck is None else (code, lame_duck))

    def hurry(self) -> None:
        self.orders.append("hurry")

    async def closed(self) -> None:
        self.orders.append("closed")

    def publish(self, topic: str, message: Any, **options: Any) -> None:
        self.orders.append((topic, message, *options.values()))

    @property
    def histories(self) -> Histories:
        return Histories(Interest(None))

    @property
    def presences(self) -> Presences:
        return Presences(Interest(None))

    def unready(self) -> str:
        return "server full"

    def statistics(self) -> ServerStatistics:
        return ServerStatistics(3, 3, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, (), {})

    async def service_statistics(self) -> ServiceStatistics:
        return ServiceStatistics(self.statistics(), ())

    def slowest_clients(self, count: int) -> list[Any]:
        return [None] * count

    def list_clients(self) -> list[Any]:
        return [None] * self.clients

    @property
    def metrics_address(self) -> str:
        return "http://127.0.0.1:9100/metrics"

    def find(self, path: str) -> Resource[Any] | None:
        return None

    def post(self, path: str, message: str | bytes) -> bool:
        return path == "/chat"

    def reload_certificates(self) -> bool:
        return True


async def test_handle_needs_no_machine_in_this_process() -> None:
    elsewhere = Elsewhere()
    engine: ServerInternals = elsewhere
    server = Server(engine)
    assert repr(server) == "<Server ws://127.0.0.1:8000, unix:chat [clients: 3]>"
    assert server.addresses == elsewhere.addresses
    assert server.metrics_address == elsewhere.metrics_address
    assert (server.clients, server.statistics().clients, len(server.list_clients())) == (3, 3, 3)
    assert len(server.slowest_clients()) == 10
    assert (await server.service_statistics()).total.clients == 3
    assert server.find("/") is None
    assert [server.post(path, "hello") for path in ("/chat", "/none")] == [True, False]
    assert server.unready() == "server full"
    assert server.reload_certificates()
    server.publish_text("t", "text")
    server.publish_binary("t", b"bytes", key=1, compress=True)
    assert elsewhere.orders == [("t", "text", True, None, None, None), ("t", b"bytes", False, 1, True, None)]
    elsewhere.orders.clear()
    server.close()
    server.close(1012, lame_duck=2.5)
    server.hurry()
    await server.closed()
    assert elsewhere.orders == [1001, (1012, 2.5), "hurry", "closed"]


@pytest.mark.parametrize(("code", "error"), [("1001", TypeError), (1005, ValueError), (999, ValueError)])
def test_wrong_close_code_never_comes_to_the_engine(code: Any, error: type[Exception]) -> None:
    elsewhere = Elsewhere()
    with pytest.raises(error):
        Server(elsewhere).close(code)
    assert elsewhere.orders == []


@pytest.mark.parametrize(("seconds", "error"), [("5", TypeError), (-1, ValueError), (float("nan"), ValueError)])
def test_wrong_lame_duck_never_comes_to_the_engine(seconds: Any, error: type[Exception]) -> None:
    elsewhere = Elsewhere()
    with pytest.raises(error, match="lame_duck"):
        Server(elsewhere).close(lame_duck=seconds)
    assert elsewhere.orders == []
