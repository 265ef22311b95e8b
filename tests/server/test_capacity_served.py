"""How many may come: 429 and 503 before the 101, and newcomers beyond the bound wait in the backlog."""

import errno
import socket
from collections.abc import Callable

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import wsframe
from tests.hostile.place import Place, Recorder, Served, until
from tests.wire import Peer, upgrade
from wsframe import Capacity, Request
from wsframe.server.sockets.listen import Acceptor
from wsframe.testing import open_kit

Lines = Callable[[], list[str]]


class Room:
    """Room for newcomers as a test has it."""

    def __init__(self, has_room: Callable[[], bool]) -> None:
        self.has_room = has_room

    def make_room(self) -> None:
        """Make none."""


async def status_of(served: Served, path: str = "/") -> int:
    """Ask for a WebSocket; return the status of the answer."""
    peer = await served.connect()
    return (await peer.upgrade(path)).status


class Waiting(Recorder):
    """Decides about newcomers when the gate opens."""

    async def accept_client(self, request: Request) -> None:
        self.note("asked")
        await self.gate.wait()


@pytest.mark.parametrize(
    ("capacity", "status", "reason"),
    [
        (Capacity(max_clients=2), 503, "server full"),
        (Capacity(max_clients_per_address=2), 429, "too many connections from this address"),
    ],
)
async def test_newcomer_beyond_the_servers_capacity_is_refused_until_one_leaves(
    plain: Place, info: Lines, capacity: Capacity, status: int, reason: str
) -> None:
    resource = Recorder()
    async with plain.serve(resource, capacity=capacity) as served:
        first, _ = await served.open(), await served.open()
        peer = await served.connect()
        await peer.send(upgrade())
        answer = await peer.answer()
        assert (answer.status, answer.text, answer.fields["retry-after"]) == (status, f"{reason}\n", "5")
        assert info() == [f"{peer.name}: refused with {status}: {reason}"]
        await first.close()
        await first.rest.until_close()
        first.hang_up()
        await until(lambda: served.server.statistics().reserved <= 1)
        await served.open()


async def test_resource_full_is_503_and_other_resources_are_not(plain: Place) -> None:
    class Pair(Recorder):
        max_clients = 2

    async with plain.serve(Pair(), Recorder()) as served:
        assert [await status_of(served) for _ in range(3)] == [101, 101, 503]
        assert await status_of(served, "/1") == 101


@pytest.mark.parametrize("of_resource", [False, True])
async def test_newcomers_at_the_same_time_never_exceed_the_capacity(plain: Place, of_resource: bool) -> None:
    """A place is taken before ``accept_client`` is asked, so all may be asked at once."""

    class Room(Waiting):
        max_clients = 5 if of_resource else None

    resource = Room()
    async with plain.serve(resource, capacity=Capacity(max_clients=100 if of_resource else 5)) as served:
        statuses: list[int] = []

        async def come() -> None:
            statuses.append(await status_of(served))

        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(come)
            await resource.until(lambda: len(resource.log) == 5)
            await until(lambda: len(statuses) >= 15)
            assert served.server.statistics().reserved == 5
            resource.gate.set()
        assert sorted(statuses) == [101] * 5 + [503] * 15
        assert resource.log.count("asked") == 5


async def test_place_is_kept_until_disconnected_has_run(plain: Place) -> None:
    """Else a peer that drops in a loop would pile up lives in the mailbox of a slow resource."""

    class Slow(Recorder):
        async def disconnected(self, client: wsframe.Client) -> None:
            self.note("leaving")
            await self.gate.wait()

    resource = Slow()
    async with plain.serve(resource, capacity=Capacity(max_clients=1)) as served:
        (await served.open()).reset()
        await resource.until(lambda: "leaving" in resource.log)
        assert await status_of(served) == 503
        resource.gate.set()
        await until(lambda: not served.server.statistics().reserved)
        assert await status_of(served) == 101


@pytest.mark.parametrize("way", ["refused", "accept_client fails", "peer gone"])
async def test_no_place_is_lost_by_newcomers_that_do_not_come_in(plain: Place, way: str) -> None:
    class Choosy(Recorder):
        async def accept_client(self, request: Request) -> wsframe.Reject | None:
            self.note("asked")
            if request.query_string == "fails":
                raise RuntimeError
            if request.query_string == "gone":
                await self.gate.wait()
            return wsframe.Reject() if request.query_string == "refused" else None

    resource = Choosy()
    async with plain.serve(resource, capacity=Capacity(max_clients=1)) as served:
        for turn in range(3):
            peer = await served.connect()
            await peer.send(upgrade(f"/?{way.split()[-1]}"))
            await resource.until(lambda turn=turn: resource.log.count("asked") == turn + 1)  # type: ignore[misc]
            if way == "peer gone":
                peer.reset()
                resource.gate.set()
            else:
                await peer.answer()
                peer.hang_up()
            await until(lambda: not served.server.statistics().reserved)
        assert await status_of(served) == 101


async def test_server_stops_accepting_while_too_many_handshakes_are_pending_and_goes_on_after(plain: Place) -> None:
    resource = Waiting()
    async with plain.serve(resource, capacity=Capacity(max_pending_handshakes=3)) as served:
        peers: list[Peer] = []
        for _ in range(6):
            peers.append(await served.connect())
            await peers[-1].send(upgrade())
        await resource.until(lambda: len(resource.log) == 3)
        await wait_all_tasks_blocked()
        assert served.server.statistics().pending_handshakes == 3
        assert resource.log == ["asked"] * 3
        resource.gate.set()
        for peer in peers:
            assert (await peer.head()).status == 101
        assert served.server.statistics()[2:4] == (0, 6)


async def test_newcomer_that_gives_up_in_the_backlog_harms_nobody(plain: Place) -> None:
    resource = Waiting()
    async with plain.serve(resource, capacity=Capacity(max_pending_handshakes=1)) as served:
        first = await served.connect()
        await first.send(upgrade())
        await resource.until(lambda: resource.log)
        for _ in range(5):
            (await served.connect()).reset()
        resource.gate.set()
        assert (await first.head()).status == 101
        assert await status_of(served) == 101


async def test_newcomers_are_answered_503_while_draining_and_no_more_are_accepted(place: Place, info: Lines) -> None:
    resource = Waiting()
    async with place.serve(resource) as served:
        asked, begun = await served.connect(), await served.connect()
        await asked.send(upgrade())
        await begun.send(b"GET / HTTP/1.1\r\n")
        await resource.until(lambda: resource.log)
        await until(lambda: served.server.statistics().pending_handshakes >= 2)
        served.server.close()
        for peer in (asked, begun):
            answer = await peer.answer()
            assert (answer.status, answer.text) == (503, "server stopping\n")
            assert answer.fields["retry-after"] == "5"
            peer.hang_up()
        with pytest.raises(OSError, match=r"refused|reset"):
            await served.connect()
        assert sorted(info()) == sorted(f"{peer.name}: refused with 503: server stopping" for peer in (asked, begun))


class Exhausted:
    """A listening socket of a process without a free descriptor, or whose newcomers have left."""

    def __init__(self, sock: socket.socket, error: int) -> None:
        self._sock = sock
        self._error = error
        self.asked = 0
        self.over = False

    def fileno(self) -> int:
        return self._sock.fileno()

    def accept(self) -> tuple[socket.socket, object]:
        self.asked += 1
        if not self.over:
            raise OSError(self._error, "no more")
        return self._sock.accept()

    async def wait_readable(self) -> None:
        await trio.lowlevel.wait_readable(self._sock)


@pytest.mark.parametrize("error", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
async def test_without_free_descriptors_the_server_waits_and_complains_once_a_second(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, error: int
) -> None:
    welcomed: list[tuple[str, int]] = []

    def welcome(sock: socket.socket, address: tuple[str, int], early: bool) -> None:
        sock.close()
        welcomed.append(address)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        exhausted = Exhausted(listening, error)
        acceptor = Acceptor(exhausted, Room(lambda: True), welcome)  # type: ignore[arg-type]
        with socket.create_connection(listening.getsockname()) as peer:
            with trio.move_on_after(2.95):
                await acceptor.run()
            assert 25 <= exhausted.asked <= 31, "ten times a second"
            assert [record.getMessage() for record in caplog.records] == ["cannot accept: no more"] * 3
            exhausted.over = True
            with trio.move_on_after(1):
                await acceptor.run()
            assert welcomed == [peer.getsockname()]


async def test_a_listening_socket_that_the_program_closes_costs_its_newcomers_and_no_client(
    plain: Place, caplog: pytest.LogCaptureFixture
) -> None:
    closed, other = (socket.create_server(("127.0.0.1", 0)) for _ in range(2))
    async with plain.serve(Recorder(), sockets=[other, closed]) as served:
        client = await served.open()
        await wait_all_tasks_blocked()
        trio.lowlevel.notify_closing(closed)
        closed.close()
        await client.text("still here")
        assert await client.message() == "still here"
        await served.open()
    assert "a listening socket has been closed" in caplog.text


async def test_a_listening_socket_that_is_closed_before_is_not_accepted_from(caplog: pytest.LogCaptureFixture) -> None:
    closed = socket.create_server(("127.0.0.1", 0))
    closed.close()
    await Acceptor(closed, Room(lambda: True), lambda *_: None).run()
    assert "a listening socket has been closed" in caplog.text


async def test_newcomers_that_left_before_accept_are_passed_over(autojump_clock: MockClock) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        aborted = Exhausted(listening, errno.ECONNABORTED)
        acceptor = Acceptor(aborted, Room(lambda: aborted.asked < 100), lambda *_: None)  # type: ignore[arg-type]
        with socket.create_connection(listening.getsockname()), trio.move_on_after(1):
            await acceptor.run()
        assert aborted.asked == 100, "no pause between them, and other tasks have their turn after 64"


async def test_server_full_of_silent_newcomers_serves_again_after_their_timeout(autojump_clock: MockClock) -> None:
    async with open_kit(Recorder(), capacity=Capacity(max_pending_handshakes=2)) as kit:
        silent = [kit.dial() for _ in range(2)]
        await wait_all_tasks_blocked()
        assert (await kit.connect()).answer.status == 101
        assert trio.current_time() == pytest.approx(1.25, abs=0.3), "a second of patience, and then a look"
        for line in silent:
            assert (await line.receive_bytes()).startswith(b"HTTP/1.1 408 ")
