"""Bounds that cut a hook short: ``timeouts.hook``, and the end of its client where the resource asks for that."""

import logging
import traceback

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import wsframe
from tests.recorder import Recorder
from tests.wire import BINARY, PONG, close, connected, frame, serving, text
from wsframe import HookTimeout, Limits, Timeouts
from wsframe.resources.resource import Ordering

ORDERINGS: list[Ordering] = ["resource", "client"]


async def wait_for_ever() -> None:
    await trio.sleep_forever()


class Slow(Recorder):
    """Never comes back from the hooks it is told; notes the failures."""

    timeouts = Timeouts(hook=3, ping_interval=None)

    def __init__(self, *slow: str) -> None:
        super().__init__()
        self.slow = slow
        self.errors: list[BaseException] = []

    async def hang(self, hook: str) -> None:
        if hook in self.slow:
            await wait_for_ever()

    async def client_connected(self, client: wsframe.Client) -> None:
        await super().client_connected(client)
        await self.hang("client_connected")

    async def received_text(self, client: wsframe.Client, message: str) -> None:
        self.journal.add(f"text {message}")
        if message == "hang":
            await self.hang("received_text")
        client.send_text(message)

    async def received_binary(self, client: wsframe.Client, message: bytes) -> None:
        await self.hang("received_binary")

    async def received_pong(self, client: wsframe.Client, payload: bytes) -> None:
        await self.hang("received_pong")

    async def received_custom(self, message: object) -> None:
        await self.hang("received_custom")

    async def disconnected(self, client: wsframe.Client) -> None:
        await super().disconnected(client)
        await self.hang("disconnected")

    async def hook_failed(self, error: BaseException, *, hook: str, client: wsframe.Client | None) -> None:
        self.errors.append(error)
        self.journal.add(f"failed {hook}")
        await self.hang("hook_failed")
        await super().hook_failed(error, hook=hook, client=client)


@pytest.mark.parametrize("ordering", ORDERINGS)
@pytest.mark.parametrize(
    ("hook", "data"),
    [
        ("client_connected", b""),
        ("received_text", text("hang")),
        ("received_binary", frame(BINARY)),
        ("received_pong", frame(PONG)),
    ],
)
async def test_hook_that_takes_too_long_has_failed_and_the_others_go_on(
    hook: str, data: bytes, ordering: Ordering, patient_clock: MockClock
) -> None:
    class Ordered(Slow):
        pass

    Ordered.ordering = ordering
    room = Ordered(hook)
    async with serving(room) as server:
        since = trio.current_time()
        async with connected(server, trailing=data) as peer:
            assert await peer.receive_close() == (1011, "internal error")
            assert trio.current_time() - since >= 3
            await peer.send(close(1011))
            await room.journal.until("disconnected 1011")
        room.slow = ()
        async with connected(server, trailing=text("fine")) as other:
            assert await other.receive_text() == "fine"
    assert [str(error) for error in room.errors] == [f"{hook} took longer than timeouts.hook, 3 s"]
    assert isinstance(room.errors[0], HookTimeout)


async def test_timed_out_hook_costs_the_other_clients_nothing(patient_clock: MockClock) -> None:
    room = Slow("received_text")
    async with serving(room) as server, connected(server) as other:
        await other.send(text("before"))
        assert await other.receive_text() == "before"
        async with connected(server, trailing=text("hang")) as peer:
            await room.journal.until("text hang")
            await other.send(text("behind"))
            assert (await peer.receive_close())[0] == 1011
            assert await other.receive_text() == "behind"
        await other.finish()


async def test_traceback_tells_what_the_hook_waited_for(patient_clock: MockClock) -> None:
    room = Slow("received_text")
    async with serving(room) as server, connected(server, trailing=text("hang")) as peer:
        await peer.receive_close()
    names = [entry.name for entry in traceback.extract_tb(room.errors[0].__traceback__)]
    assert "hang" in names
    assert "wait_for_ever" in names


async def test_post_that_takes_too_long_is_given_up(patient_clock: MockClock) -> None:
    room = Slow("received_custom")
    async with serving(room) as server, connected(server) as peer:
        await room.journal.until("connected")
        room.post("x")
        await room.journal.until("failed received_custom")
        await peer.send(text("fine"))
        assert await peer.receive_text() == "fine"


async def test_goodbye_that_takes_too_long_is_given_up(patient_clock: MockClock) -> None:
    room = Slow("disconnected")
    async with serving(room) as server:
        async with connected(server) as peer:
            await peer.finish()
        await room.journal.until("failed disconnected")
        async with connected(server, trailing=text("fine")) as other:
            assert await other.receive_text() == "fine"
            room.slow = ()


async def test_hook_failed_has_its_time_too(patient_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    room = Slow("received_text", "hook_failed")
    async with serving(room) as server, connected(server, trailing=text("hang")) as peer:
        assert (await peer.receive_close())[0] == 1011
    assert [record for record in caplog.records if record.getMessage() == "hook_failed of Slow failed"]


async def test_error_of_the_hooks_own_is_told_though_its_time_is_up(patient_clock: MockClock) -> None:
    class Cleaning(Slow):
        async def received_text(self, client: wsframe.Client, message: str) -> None:
            try:
                await trio.sleep_forever()
            finally:
                raise KeyError("while it was cancelled")

    room = Cleaning()
    async with serving(room) as server, connected(server, trailing=text("x")) as peer:
        assert (await peer.receive_close())[0] == 1011
    assert [type(error) for error in room.errors] == [KeyError]


async def test_calls_have_any_time(patient_clock: MockClock) -> None:
    async def long() -> str:
        await trio.sleep(6)
        return "done"

    room = Slow()
    async with serving(room):
        assert await room.call(long) == "done"


async def test_resource_may_lift_the_servers_time(patient_clock: MockClock) -> None:
    class Patient(Recorder):
        timeouts = Timeouts(hook=None, ping_interval=None)

        async def received_text(self, client: wsframe.Client, message: str) -> None:
            await trio.sleep(5)
            client.send_text(message)

    async with (
        serving(Patient(), timeouts=Timeouts(hook=1)) as server,
        connected(server, trailing=text("x")) as peer,
    ):
        assert await peer.receive_text() == "x"


class Cut(Recorder):
    """A resource whose hooks end with their client."""

    cancel_on_disconnect = True

    async def received_text(self, client: wsframe.Client, message: str) -> None:
        try:
            await super().received_text(client, message)
        finally:
            self.journal.add(f"left {message}")

    async def hook_failed(self, error: BaseException, *, hook: str, client: wsframe.Client | None) -> None:
        self.journal.add(f"failed {hook}")


@pytest.mark.parametrize("ordering", ORDERINGS)
@pytest.mark.parametrize("how", ["closes", "drops"])
async def test_end_of_a_client_cancels_its_hook_and_drops_what_waits(how: str, ordering: Ordering) -> None:
    class Ordered(Cut):
        pass

    Ordered.ordering = ordering
    room = Ordered()
    async with serving(room) as server, connected(server) as other:
        async with connected(server) as peer:
            await peer.send(text("hold"), text("later"))
            await room.journal.until("text hold")
            if how == "closes":
                await peer.send(close(4000))
                await room.journal.until("disconnected 4000")
            else:
                peer.reset()
                await room.journal.until("disconnected 1006")
        await other.send(text("fine"))
        await room.journal.until("text fine")
    notes = [note for note in room.notes if note not in ("connected", "left fine", "text fine")]
    assert notes[:2] == ["text hold", "left hold"]
    assert notes[2].startswith("disconnected")
    assert "text later" not in notes
    assert not [note for note in notes if note.startswith("failed")], "it was not the hook's fault"


async def test_end_of_a_client_cancels_nobody_elses_hook() -> None:
    room = Cut()
    async with serving(room) as server, connected(server) as peer:
        async with connected(server) as leaver:
            await room.journal.until("connected", 2)
            await peer.send(text("hold"))
            await room.journal.until("text hold")
            await leaver.send(close())
        await wait_all_tasks_blocked()
        assert "left hold" not in room.notes
        room.release.set()
        await room.journal.until("disconnected 1000")
        assert "left hold" in room.notes


async def test_goodbye_is_not_cancelled() -> None:
    class Waving(Cut):
        async def disconnected(self, client: wsframe.Client) -> None:
            await trio.lowlevel.checkpoint()
            await super().disconnected(client)

    room = Waving()
    async with serving(room) as server:
        async with connected(server) as peer:
            await peer.send(text("hold"))
            await room.journal.until("text hold")
        await room.journal.until("disconnected 1006")


async def test_client_that_has_gone_before_its_first_hook_still_has_both() -> None:
    class Held(Cut):
        async def client_connected(self, client: wsframe.Client) -> None:
            self.journal.add("connected")
            await trio.lowlevel.checkpoint()
            self.journal.add(f"greeted {client.close_code}")

    room = Held()
    async with serving(room) as server, connected(server) as peer:
        await room.journal.until("greeted None")
        await peer.send(text("hold"))
        await room.journal.until("text hold")
        async with connected(server) as leaver:
            await leaver.send(text("never"))
        await wait_all_tasks_blocked()
        room.release.set()
        await room.journal.until("disconnected 1006")
        assert room.notes[2:] == ["text hold", "left hold", "connected", "disconnected 1006"]


async def test_without_being_asked_for_everything_is_delivered() -> None:
    class Default(Cut):
        cancel_on_disconnect = False

    room = Default()
    async with serving(room) as server:
        async with connected(server) as peer:
            await peer.send(text("hold"), text("later"), close())
            await room.journal.until("text hold")
        await wait_all_tasks_blocked()
        assert "left hold" not in room.notes
        room.release.set()
        await room.journal.until("disconnected 1000")
    assert room.notes == ["connected", "text hold", "left hold", "text later", "left later", "disconnected 1000"]


async def test_paused_client_that_ends_is_let_go(caplog: pytest.LogCaptureFixture) -> None:
    """Its share of the mailbox is used up and more is undecoded: dropping must not leave it paused."""
    room = Cut()
    async with serving(room, limits=Limits(max_queued_messages=2)) as server:
        async with connected(server) as peer:
            await peer.send(text("hold"), *[text(str(number)) for number in range(20)])
            await room.journal.until("text hold")
            await wait_all_tasks_blocked()
            room.only.abort()
            await room.journal.until("disconnected 1006")
        await wait_all_tasks_blocked()
        assert server.statistics().reserved == 0
    assert room.notes == ["connected", "text hold", "left hold", "disconnected 1006"]
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
