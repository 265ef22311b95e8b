"""Newcomers go to the worker of their resource: whole, unread, once, and nobody waits for another's worker."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack

import pytest
import trio

import wsframe
from tests.server.worker_rooms import Feed, Lobby, come, head, register, room_of
from tests.wire import until
from tests.workers.services import opened
from wsframe import Registry, Request, Resource, any_origin
from wsframe.net.proxy_protocol import encode_proxy_v2
from wsframe.server.local_server import LocalServer
from wsframe.workers.partitions import partition_of

PREFIX = "wsframe_newcomers_"


@pytest.mark.parametrize("at_once", [True, False], ids=["whole head", "head in parts"])
async def test_1_every_worker_takes_newcomers_to_where_their_resource_lives(at_once: bool, stack: ExitStack) -> None:
    async with opened(3, register) as service:
        with stack:
            for slot in range(3):
                for home, path in [(0, "/lobby"), (slot, "/feed"), *((n, room_of(n, 3)) for n in range(3))]:
                    data = head(path)
                    peer = come(service, slot, data if at_once else data[:10], stack)
                    if not at_once:
                        for at in range(10, len(data), 40):
                            await trio.sleep(0.002)
                            peer.send(data[at : at + 40])
                    assert await peer.worker() == home, (slot, path)
        passages = [engine.admission.passage for engine in service.engines.values()]
        assert sum(passage.counts.passed for passage in passages if passage is not None) == 8
        await until(lambda: not any(engine.admission.pending.under_way for engine in service.engines.values()))


async def test_newcomers_of_other_workers_count_in_the_metrics(
    stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    def numbers(engine: LocalServer) -> dict[str, object]:
        metrics = engine.server.statistics().metrics
        return {name.removeprefix(PREFIX): metrics[name][()] for name in metrics if name.startswith(PREFIX)}

    async with opened(2, register) as service:
        with stack:
            assert await come(service, 1, head("/lobby"), stack).worker() == 0
            monkeypatch.setattr("wsframe.server.passing.passage.give", lambda *_: False)
            come(service, 1, head("/lobby"), stack)
            await until(lambda: numbers(service.engines[1])["parked"])
            assert numbers(service.engines[1]) == {"passed_total": 1, "taken_total": 0, "lost_total": 0, "parked": 1}
            assert numbers(service.engines[0]) == {"passed_total": 0, "taken_total": 1, "lost_total": 0, "parked": 0}
            monkeypatch.undo()
            service.doors[0][0].send(b"without a descriptor")
            await until(lambda: numbers(service.engines[0])["lost_total"] == 1)


async def test_2_frames_behind_the_head_arrive_with_their_newcomer(stack: ExitStack) -> None:
    async with opened(2, register) as service:
        with stack:
            peer = come(service, 1, head("/lobby") + b"\x81\x82\0\0\0\0hi", stack)
            assert (await peer.read(b"\x81\x02hi")).endswith(b"worker 0\x81\x02hi")


@pytest.mark.skipif(sys.platform != "linux", reason="read from /proc")
async def test_2_a_passed_socket_is_in_no_poller_of_the_worker_that_accepted_it(stack: ExitStack) -> None:
    async with opened(2, register) as service:
        with stack:
            peers = [come(service, 1, head("/lobby")[:20], stack) for _ in range(10)]
            await until(lambda: len(service.engines[1].admission.pending.under_way) == 10)
            await trio.sleep(0.02)  # they wait for their heads by now
            for peer in peers:
                peer.send(head("/lobby")[20:])
            for peer in peers:
                assert await peer.worker() == 0
            watched = watched_descriptors()
            assert watched <= {int(name) for name in os.listdir("/proc/self/fd")}


def watched_descriptors() -> set[int]:
    """Return the numbers that this process's epolls watch."""
    found: set[int] = set()
    for name in os.listdir("/proc/self/fdinfo"):
        try:
            with open(f"/proc/self/fdinfo/{name}") as file:
                lines = file.read().splitlines()
        except OSError:
            continue
        found.update(int(line.split()[1]) for line in lines if line.startswith("tfd:"))
    return found


async def test_what_nobody_serves_is_answered_where_it_was_accepted(stack: ExitStack) -> None:
    async with opened(2, register) as service:
        with stack:
            for data, status in [
                (head("/nothing"), "404"),
                (b"nonsense\r\n\r\n", "400"),
                (head("/lobby").replace(b"Version: 13", b"Version: 99"), "426"),
                (b"GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n", "404"),
                (b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n", "200"),
                (b"GET /lobby HTTP/1.1\r\nHost: a\r\n\r\n", "426"),
                (head("/lobby", "X: " + "x" * 70_000), "431"),
                (head("/lobby", "X: " + "x" * 6_000), "101"),
            ]:
                assert await come(service, 1, data, stack).status() == status, data[:60]


async def test_a_page_that_can_ask_objects_is_answered_in_the_first_worker(stack: ExitStack) -> None:
    async with opened(2, register) as service:
        with stack:
            for slot in range(2):
                peer = come(service, slot, b"GET /page HTTP/1.1\r\nHost: a\r\n\r\n", stack)
                assert b"page of worker 0" in await peer.read(b"page of worker 0")


async def test_requests_in_every_form_find_the_same_worker(stack: ExitStack) -> None:
    path = room_of(0, 2)
    forms = [
        head(path + "?query=1"),
        head(f"http://a{path}"),
        head(path).replace(b"Upgrade: websocket", b"uPGRADE:\t h2c , WebSocket"),
        head(path).replace(b"Upgrade: websocket\r\n", b"").replace(b"Host: a\r\n", b"Host: a\r\nUPGRADE:websocket\r\n"),
        head(path).replace(b"\r\n", b"\n"),
    ]
    async with opened(2, register) as service:
        with stack:
            for data in forms:
                assert await come(service, 1, data, stack).worker() == 0, data


async def test_a_newcomer_through_a_proxy_is_passed_with_its_header(stack: ExitStack) -> None:
    seen: list[str] = []

    def noting(registry: Registry, slot: int) -> None:
        class Noting(Lobby):
            async def accept_client(self, request: Request) -> None:
                seen.append(f"{slot} {request.host}")

        registry.register("/lobby", Noting(slot), any_origin)

    options = {"proxy_protocol": "required", "trusted_proxies": ["127.0.0.1"]}
    async with opened(2, noting, **options) as service:  # type: ignore[arg-type]
        with stack:
            header = encode_proxy_v2(("192.0.2.7", 1234), tlvs=[(0xE0, b"x" * 3000)])
            for parts in ([header + head("/lobby")], [header[:7], header[7:100], header[100:] + head("/lobby")]):
                peer = come(service, 1, b"", stack)
                for part in parts:
                    peer.send(part)
                    await trio.sleep(0.005)
                assert await peer.worker() == 0
            peer = come(service, 1, b"PROXY TCP4 192.0.2.8 192.0.2.1 1 2\r\n" + head("/lobby"), stack)
            assert await peer.worker() == 0
            peer = come(service, 1, b"not a header", stack)
            assert await peer.read(b"never") == b"END"
    assert seen == ["0 192.0.2.7", "0 192.0.2.7", "0 192.0.2.8"]


async def test_a_deliver_to_an_object_in_another_worker_is_a_500_with_one_error(
    stack: ExitStack, caplog: pytest.LogCaptureFixture
) -> None:
    def delivering(registry: Registry, slot: int) -> None:
        lobby = Lobby(slot)

        class Delivering(Feed):
            async def accept_client(self, request: Request) -> wsframe.Accept:
                return wsframe.Accept(deliver_to=lobby)

        registry.register("/lobby", lobby, any_origin)
        registry.register("/feed", Delivering(slot), any_origin)

    async with opened(2, delivering) as service:
        with stack:
            assert await come(service, 0, head("/feed"), stack).worker() == 0
            assert await come(service, 1, head("/feed"), stack).status() == "500"
    errors = [one for one in caplog.records if one.levelname == "ERROR"]
    assert [one.message.partition(": ")[2] for one in errors] == [
        "not delivered to Lobby at /lobby lives in worker 0, and this is worker 1: "
        "server.post('/lobby', message) reaches it there"
    ]


async def test_a_move_to_another_worker_is_refused_with_one_line(
    stack: ExitStack, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="wsframe")

    def moving(registry: Registry, slot: int) -> None:
        lobby = Lobby(slot)

        class Moving(Feed):
            async def received_text(self, client: wsframe.Client, message: str) -> None:
                target: Resource | str = lobby if message == "object" else message
                client.send_text(f"moved {client.move_to(target)}")

        registry.register("/lobby", lobby, any_origin)
        registry.register("/feed", Moving(slot), any_origin)

    async with opened(2, moving) as service, wsframe.connect(service.url(1, "/feed")) as ws:
        for target in ("object", "/lobby"):
            await ws.send_text(target)
            while (answer := await ws.receive()) == "worker 1":
                pass
            assert answer == "moved False"
    lines = [one.message for one in caplog.records if "not moved" in one.message]
    assert len(lines) == 2
    assert all("lives in worker 0" in line for line in lines)


async def test_1_a_partition_that_has_been_left_is_passed_to_the_next_generation(stack: ExitStack) -> None:
    """They share the slot's door; the old worker does not read it any more."""
    async with opened(2, register) as service:
        with stack:
            path = room_of(1, 2)
            placement = service.engines[1].roster.placement
            placement.leave(partition_of(f"/rooms/{{room}}\n{path}", "path"))
            come(service, 1, head(path), stack)
            passage = service.engines[1].admission.passage
            assert passage is not None
            await until(lambda: passage.counts.passed == 1)
