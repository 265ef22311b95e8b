"""Resources of each scope, with several workers: one life, in its place, and errors that say where it is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

import wsframe
from tests.wire import until
from tests.workers.services import opened
from wsframe import LivesElsewhere, Registry, Reject, Request, Resource, any_origin
from wsframe.workers.partitions import partition_of


class Noted(Resource):
    """Notes its lives and the messages that are posted to it."""

    def __init__(self, slot: int, lives: list[tuple[str, int]]) -> None:
        self.slot = slot
        self.lives = lives
        self.taken: list[object] = []

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        self.lives.append((type(self).__name__, self.slot))
        yield

    async def received_text(self, client: wsframe.Client, message: str) -> None:
        client.send_text(f"{self.slot}: {message}")

    async def received_custom(self, message: object) -> None:
        self.taken.append(message)
        for client in self.clients:
            client.send_text(f"posted {message!r}")


class Lobby(Noted):
    pass


class Hall(Noted):
    scope = "path"


class Room(Noted):
    scope = "path"


class Feed(Noted):
    scope = "shared"


class Program:
    """One program, as each of its workers imports it."""

    def __init__(self) -> None:
        self.lives: list[tuple[str, int]] = []
        self.lobbies: dict[int, Lobby] = {}
        self.halls: dict[int, Hall] = {}
        self.feeds: dict[int, Feed] = {}

    def register(self, registry: Registry, slot: int) -> None:
        self.lobbies[slot] = Lobby(slot, self.lives)
        self.halls[slot] = Hall(slot, self.lives)
        self.feeds[slot] = Feed(slot, self.lives)
        registry.register("/lobby", self.lobbies[slot], any_origin)
        registry.register("/hall", self.halls[slot], any_origin)
        registry.register("/feed", self.feeds[slot], any_origin)
        registry.register_factory(
            "/rooms/{room}", lambda _: Room(slot, self.lives), any_origin, scope="path", linger=60
        )


def home_of(path: str, count: int, key: str | None = None) -> int:
    return partition_of(path if key is None else key, "path") % count


async def test_1_each_registered_object_lives_in_one_worker_and_shared_ones_in_all() -> None:
    program = Program()
    async with opened(3, program.register):
        assert sorted(program.lives) == [
            ("Feed", 0), ("Feed", 1), ("Feed", 2), ("Hall", home_of("/hall", 3)), ("Lobby", 0),
        ]  # fmt: skip


async def test_1_an_object_that_lives_elsewhere_raises_and_starts_nothing() -> None:
    program = Program()
    async with opened(2, program.register) as service:
        lobby = program.lobbies[1]
        uses: list[Callable[[], object]] = [
            lambda: lobby.post("x"),
            lambda: lobby.post_from_thread("x"),
            lambda: lobby.clients,
            lambda: lobby.server,
            lambda: lobby.broadcast_text("x"),
            lambda: lobby.broadcast_binary(b"x"),
            lambda: lobby.broadcast_json([]),
            lambda: lobby.start_soon(trio.sleep, 1),
            lambda: lobby.publish_text("t", "x"),
            lambda: service.server(1).find("/lobby"),
        ]
        for use in uses:
            with pytest.raises(LivesElsewhere, match=r"/lobby lives in worker 0, and this is worker 1.*server\.post"):
                use()
        with pytest.raises(LivesElsewhere):
            await lobby.call(len, "")
        assert service.server(0).find("/lobby") is program.lobbies[0]
        assert service.server(1).find("/feed") is program.feeds[1]
        assert service.server(1).find("/nothing") is None
        assert program.lobbies[0].post("here")
        await until(lambda: program.lobbies[0].taken == ["here"])
    assert program.lives.count(("Lobby", 1)) == 0
    assert program.lobbies[1].post("x") is False  # as before it was served
    assert len(program.lobbies[1].clients) == 0


async def test_a_room_is_made_in_its_worker_alone() -> None:
    program = Program()
    async with opened(2, program.register) as service:
        for number in range(20):
            path = f"/rooms/{number}"
            home = home_of(path, 2, f"/rooms/{{room}}\n{path}")
            away = service.engines[1 - home].roster
            with pytest.raises(LivesElsewhere, match=path):
                away.join(path, Request("/", []))
            with pytest.raises(LivesElsewhere):
                service.server(1 - home).find(path)
            assert service.server(home).find(path) is None
    assert [life for life in program.lives if life[0] == "Room"] == []


async def test_posts_arrive_wherever_the_resource_lives_in_the_order_sent() -> None:
    program = Program()
    async with opened(3, program.register) as service:
        for slot in range(3):
            for number in range(100):
                assert service.server(slot).post("/lobby", f"{slot} {number}")
        await until(lambda: len(program.lobbies[0].taken) == 300)
        for slot in range(3):
            mine = [one for one in program.lobbies[0].taken if isinstance(one, str) and one.startswith(f"{slot} ")]
            assert mine == [f"{slot} {number}" for number in range(100)]


async def test_a_post_to_a_shared_path_arrives_in_each_worker_once() -> None:
    program = Program()
    async with opened(3, program.register) as service:
        assert service.server(1).post("/feed", b"\0\xff")
        await until(lambda: all(feed.taken for feed in program.feeds.values()))
        assert service.server(2).post("/feed", "end")
        await until(lambda: all(feed.taken[-1] == "end" for feed in program.feeds.values()))
        assert [feed.taken for feed in program.feeds.values()] == [[b"\0\xff", "end"]] * 3


async def test_a_post_from_another_thread_arrives() -> None:
    program = Program()
    async with opened(2, program.register) as service:
        assert await trio.to_thread.run_sync(service.server(1).post, "/lobby", "from a thread")
        await until(lambda: program.lobbies[0].taken == ["from a thread"])


async def test_a_post_to_a_path_that_nobody_serves_is_refused() -> None:
    program = Program()
    async with opened(2, program.register) as service:
        assert not service.server(0).post("/nothing", "x")
        assert not service.server(1).post("/nothing", "x")


async def test_a_post_to_a_room_where_nobody_is_reaches_nobody() -> None:
    program = Program()
    async with opened(2, program.register) as service:
        path = "/rooms/7"
        home = home_of(path, 2, f"/rooms/{{room}}\n{path}")
        assert not service.server(home).post(path, "x")
        assert service.server(1 - home).post(path, "x")  # queued here; there is nobody there
        assert service.server(1 - home).post("/lobby", "end")
        await until(lambda: program.lobbies[0].taken == ["end"])


@pytest.mark.parametrize("message", [{"a": 1}, None, 5, bytearray(b"x")])
async def test_only_text_and_bytes_can_be_posted(message: Any) -> None:
    for count in (1, 2):
        async with opened(count, Program().register) as service:
            with pytest.raises(TypeError, match="str or bytes"):
                service.server(0).post("/lobby", message)


async def test_12_a_post_has_a_mebibyte_at_most() -> None:
    for count in (1, 2):
        program = Program()
        async with opened(count, program.register) as service:
            with pytest.raises(ValueError, match="1048576"):
                service.server(0).post("/lobby", b"x" * (1 << 20) + b"x")
            assert service.server(count - 1).post("/lobby", b"x" * (1 << 20))
            await until(lambda: len(program.lobbies[0].taken) == 1)  # noqa: B023


async def test_one_process_posts_to_itself() -> None:
    program = Program()
    async with opened(1, program.register) as service:
        assert service.server(0).post("/lobby", "x")
        assert service.server(0).post("/feed", "y")
        assert not service.server(0).post("/rooms/1", "z")
        await until(lambda: program.lobbies[0].taken == ["x"] and program.feeds[0].taken == ["y"])


async def test_registries_are_frozen_while_workers_serve_them() -> None:
    program = Program()
    async with opened(2, program.register) as service:
        registry = service.registries[1]
        changes: list[Callable[[], object]] = [
            lambda: registry.register("/new", Resource()),
            lambda: registry.register_factory("/new", lambda _: Resource()),
            lambda: registry.register_dispatcher(lambda _: None),
            lambda: registry.route("/new", wsframe.healthz),
            lambda: registry.unregister("/lobby"),
            lambda: registry.unregister_route("/lobby"),
            lambda: registry.unregister_dispatcher(lambda _: None),
            lambda: registry.restore(registry.snapshot()),
        ]
        for change in changes:
            with pytest.raises(RuntimeError, match="factory"):
                change()
    registry.register("/new", Resource())


async def test_a_registry_that_one_process_serves_is_not_frozen() -> None:
    async with opened(1, Program().register) as service:
        service.registries[0].register("/new", Resource())


@pytest.mark.parametrize(
    "wrong",
    [
        lambda registry, room: registry.register("/{room}", room),
        lambda registry, room: registry.register("*", room),
        lambda registry, room: [registry.register(path, room) for path in ("/a", "/b")],
    ],
    ids=["pattern", "rest", "twice"],
)
async def test_a_program_that_cannot_be_spread_does_not_start_with_workers(
    wrong: Callable[[Registry, Resource], object],
) -> None:
    def register(registry: Registry, slot: int) -> None:
        wrong(registry, Room(slot, []))

    async with opened(1, register):
        pass
    with pytest.RaisesGroup(pytest.RaisesExc(ValueError, match="scope"), flatten_subgroups=True):
        async with opened(2, register):
            raise AssertionError


async def test_a_factory_that_makes_a_resource_of_another_scope_is_an_error_that_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def register(registry: Registry, slot: int) -> None:
        registry.register_factory("/{room}", lambda _: Lobby(slot, []), scope="path")

    async with opened(1, register) as service:
        with pytest.raises(Reject, match="500"):
            service.engines[0].roster.join("/a", Request("/a", []))
    assert "scope='path' and made a Lobby, whose scope is 'one'" in caplog.text


async def test_a_resource_of_a_dispatcher_has_scope_one_with_workers() -> None:
    room = Room(0, [])
    for count in (1, 2):
        async with opened(count, lambda registry, _: registry.register_dispatcher(lambda _: room)) as service:
            if count == 1:
                service.engines[0].roster.join("/a", Request("/a", [])).leave()
            else:
                with pytest.raises(RuntimeError, match="from a dispatcher"):
                    service.engines[0].roster.join("/a", Request("/a", []))


async def test_the_line_about_what_lives_where_comes_from_the_first_worker_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", logger="wsframe")
    async with opened(3, Program().register):
        pass
    assert [one.message for one in caplog.records if "worker 0" in one.message] == [
        "in worker 0 live /lobby; in all workers live /hall, /feed, /rooms/{room}"
    ]
    caplog.clear()
    async with opened(1, Program().register):
        pass
    assert not [one for one in caplog.records if "worker 0" in one.message]
