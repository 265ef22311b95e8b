"""``connect_forever``: it tries again where that can succeed later, after pauses that grow, and reports it."""

from __future__ import annotations

from itertools import pairwise

import pytest
import trio
import trio.testing

import wsframe
from tests.outgoing.memory import close, text
from tests.outgoing.places import head_of, listening, serving, upgrading
from tests.outgoing.tries import Outcome, Ready, rejected
from tests.wire import BOUND
from wsframe import Backoff, ConnectionClosed, HandshakeRejected
from wsframe.outgoing.reconnect import connect_forever


async def test_the_pauses_grow_and_failures_are_told(
    outcomes: list[Outcome], autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "wsframe")
    told: list[tuple[str, float, float]] = []

    def failed(error: Exception, delay: float) -> None:
        told.append((str(error), delay, trio.current_time()))

    outcomes += [OSError("one"), OSError("two"), rejected(503), Ready(text("hello"), close())]
    async with connect_forever("ws://u:secret@chat.example/x", failed=failed) as connections:
        async for ws in connections:
            assert [message async for message in ws] == ["hello"]
            break
    assert told == [("one", 1, 0), ("two", 2, 1), ("the server answered 503", 4, 3)]
    assert trio.current_time() >= 7
    assert "ws://chat.example/x: not connected (two); trying again in 2.0 s" in caplog.text
    assert "secret" not in caplog.text


async def test_what_makes_no_sense_is_raised(outcomes: list[Outcome], autojump_clock: trio.testing.MockClock) -> None:
    outcomes += [OSError("one"), rejected(401)]
    async with connect_forever("ws://chat.example/") as connections:
        with pytest.raises(HandshakeRejected):
            await anext(connections)
    assert trio.current_time() == 1


@pytest.mark.parametrize(
    ("asked", "pause"),
    [
        ("7", 7), ("100000", 60), ("9" * 5000, 60), ("0", 1), ("Wed, 21 Oct 2015 07:28:00 GMT", 1), ("-5", 1),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 60), ("soon", 1), (None, 1),
    ],
)  # fmt: skip
async def test_retry_after_is_obeyed_up_to_the_most(
    asked: str | None, pause: float, outcomes: list[Outcome], autojump_clock: trio.testing.MockClock
) -> None:
    outcomes += [rejected(503, asked), Ready()]
    async with connect_forever("ws://chat.example/") as connections:
        await anext(connections)
        assert trio.current_time() == pause


async def test_a_failed_callback_may_give_up(outcomes: list[Outcome], autojump_clock: trio.testing.MockClock) -> None:
    def failed(error: Exception, delay: float) -> None:
        raise error

    outcomes += [OSError("one")]
    async with connect_forever("ws://chat.example/", failed=failed) as connections:
        with pytest.raises(OSError, match="one"):
            await anext(connections)


async def test_a_server_that_accepts_and_closes_is_not_asked_at_once(
    outcomes: list[Outcome], autojump_clock: trio.testing.MockClock
) -> None:
    outcomes += [Ready(close()) for _ in range(4)]
    at = []
    async with connect_forever("ws://chat.example/") as connections:
        async for ws in connections:
            at.append(trio.current_time())
            with pytest.raises(ConnectionClosed):
                await ws.receive()
            if not outcomes:
                break
    pauses = [after - before for before, after in pairwise(at)]
    assert pauses == [pytest.approx(expected, abs=0.5) for expected in (1, 2, 4)]


async def test_a_steady_connection_lets_the_pauses_begin_anew(
    outcomes: list[Outcome], autojump_clock: trio.testing.MockClock
) -> None:
    outcomes += [OSError("one"), OSError("two"), OSError("three"), Ready(), Ready()]
    async with connect_forever("ws://chat.example/", backoff=Backoff(steady=30)) as connections:
        await anext(connections)
        await trio.sleep(30)
        left = trio.current_time()
        await anext(connections)
        assert trio.current_time() - left == pytest.approx(1, abs=0.5)


async def test_the_connection_before_is_closed(outcomes: list[Outcome], autojump_clock: trio.testing.MockClock) -> None:
    first, second = Ready(), Ready()
    outcomes += [first, second]
    async with connect_forever("ws://chat.example/") as connections:
        await anext(connections)
        await anext(connections)
        assert first.closed_by_reset is not None
        assert second.closed_by_reset is None
    assert second.closed_by_reset is not None


async def test_waiting_can_be_cancelled(outcomes: list[Outcome], autojump_clock: trio.testing.MockClock) -> None:
    outcomes += [OSError("one")]
    async with connect_forever("ws://chat.example/") as connections:
        with trio.move_on_after(0.5) as scope:
            async for _ in connections:
                pass
        assert scope.cancelled_caught


async def test_a_scope_around_the_loop_alone_may_end_first(
    outcomes: list[Outcome], autojump_clock: trio.testing.MockClock
) -> None:
    """The tasks of a connection belong to the ``async with``, not to where the loop happens to be."""
    server = Ready()
    server._eof = False
    outcomes.append(server)
    async with connect_forever("ws://chat.example/") as connections:
        with trio.move_on_after(5) as scope:
            async for ws in connections:
                await ws.receive()
        assert scope.cancelled_caught
        assert ws.state is wsframe.State.OPEN


async def test_what_the_body_raises_comes_out_as_it_is(outcomes: list[Outcome]) -> None:
    outcomes.append(Ready())

    async def fail() -> None:
        async with connect_forever("ws://chat.example/") as connections:
            async for _ in connections:
                raise KeyError

    with pytest.raises(KeyError):
        await fail()


async def test_it_comes_back_to_a_server_that_was_away() -> None:
    """Real sockets: a server stops and another takes its port."""
    async with serving() as server:
        address = server.addresses[0]
    port = int(address.rpartition(":")[2])
    failures: list[Exception] = []
    again = trio.Event()

    def failed(error: Exception, delay: float) -> None:
        failures.append(error)
        again.set()

    async def come_back(task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        await again.wait()
        async with serving(port=port):
            await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        await nursery.start(come_back)
        with trio.fail_after(BOUND):
            async with connect_forever(f"{address}/echo", backoff=Backoff(first=0.05), failed=failed) as connections:
                async for ws in connections:
                    await ws.send("back")
                    assert await ws.receive() == "back"
                    break
        nursery.cancel_scope.cancel()
    assert failures
    assert all(isinstance(error, OSError) for error in failures)


async def test_a_content_network_a_deploy_and_a_portal_are_outlasted() -> None:
    """Real answers, by default."""
    answers = [
        b"HTTP/1.1 520\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n<form>log in</form>",
        b"HTTP/1.1 503 Busy\r\nRetry-After: Sun Nov  6 08:49:37 1994\r\nContent-Length: 0\r\n\r\n",
    ]

    async def serve(stream: trio.SocketStream) -> None:
        head = await head_of(stream)
        if answers:
            await stream.send_all(answers.pop(0))
            return
        await stream.send_all(upgrading(tail=b"\x81\x02hi\x88\x00")(head))
        async for _ in stream:
            pass

    with trio.fail_after(BOUND):
        async with (
            listening(serve) as port,
            connect_forever(f"ws://127.0.0.1:{port}/", backoff=Backoff(first=0.01)) as connections,
        ):
            ws = await anext(connections)
            assert await ws.receive() == "hi"
            ws.abort()
    assert answers == []


async def test_without_async_with_it_is_told_how_to_write_it(outcomes: list[Outcome]) -> None:
    outcomes += [Ready()]
    connections = connect_forever("ws://chat.example/")
    with pytest.raises(RuntimeError, match="async with connect_forever"):
        await anext(connections)
    async with connections:
        await anext(connections)
    with pytest.raises(RuntimeError, match="async with connect_forever"):
        await anext(connections)


async def test_only_one_task_may_wait_for_the_next_connection(
    outcomes: list[Outcome], autojump_clock: trio.testing.MockClock
) -> None:
    outcomes += [OSError("one"), Ready(), Ready()]
    async with connect_forever("ws://chat.example/") as connections, trio.open_nursery() as nursery:
        nursery.start_soon(anext, connections)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError):
            await anext(connections)
        with trio.move_on_after(0.5):
            nursery.cancel_scope.cancel()
            await trio.sleep(1)
    assert len(outcomes) == 2


async def test_a_task_that_gave_up_lets_another_wait(
    outcomes: list[Outcome], autojump_clock: trio.testing.MockClock
) -> None:
    outcomes += [OSError("one"), Ready()]
    async with connect_forever("ws://chat.example/") as connections:
        with trio.move_on_after(0.5):
            await anext(connections)
        await anext(connections)
    assert not outcomes


async def test_who_still_waits_when_it_is_left_gets_no_connection(
    outcomes: list[Outcome], autojump_clock: trio.testing.MockClock
) -> None:
    server = Ready()
    outcomes += [OSError("one"), server]

    async def wait(connections: connect_forever) -> None:
        with pytest.raises(RuntimeError, match="async with connect_forever"):
            await anext(connections)

    async with trio.open_nursery() as nursery, connect_forever("ws://chat.example/") as connections:
        nursery.start_soon(wait, connections)
        await trio.testing.wait_all_tasks_blocked()
    assert server.closed_by_reset is not None


async def test_it_is_entered_once_at_a_time(outcomes: list[Outcome]) -> None:
    outcomes += [Ready()]
    connections = connect_forever("ws://chat.example/")
    async with connections:
        with pytest.raises(RuntimeError, match="entered already"):
            await connections.__aenter__()
        await anext(connections)
    async with connections:
        pass
