"""Between an outbox and a transport: a kernel that refuses, takes again, or is broken."""

from __future__ import annotations

from typing import cast

from wsframe.connection.flusher import Flusher
from wsframe.connection.outbox import Outbox
from wsframe.connection.protocol_version import AnyDecoder
from wsframe.connection.sender import Sender
from wsframe.limits import DEFAULT_TIMEOUTS
from wsframe.net.transport import Transport
from wsframe.protocol.closing import ClosingEvent
from wsframe.protocol.deadlines import Deadlines


class Kernel:
    """A transport whose kernel takes as much as a test says."""

    def __init__(self) -> None:
        self.room = 0
        self.broken = False
        self.unsent = False
        self.taken = bytearray()

    def send(self, data: bytes | memoryview) -> int:
        if self.broken:
            raise BrokenPipeError
        if not self.room:
            raise BlockingIOError
        count = min(self.room, len(data))
        self.taken.extend(data[:count])
        self.room -= count
        return count

    def hold(self, unsent: bool) -> None:
        """Have ciphertext wait, or no more."""
        self.unsent = unsent

    def pump(self) -> bool:
        if self.broken:
            raise BrokenPipeError
        return not self.unsent

    def in_kernel(self) -> int:
        return 100

    def drop_unsent(self) -> None:
        self.unsent = False


class Link:
    """A link that notes the calls of its sender."""

    def __init__(self) -> None:
        self.now = 0.0
        self.kernel = Kernel()
        self.calls: list[str] = []
        self.transport = cast(Transport, self.kernel)
        self.deadlines = Deadlines(DEFAULT_TIMEOUTS, 0.0)
        self.clock = lambda: self.now
        self.sender = Sender(self, self)
        self.outbox = Outbox(self.kernel.send, self.sender, 1000, "disconnect", Flusher())

    name = "test"

    @property
    def connection(self) -> AnyDecoder:
        return cast(AnyDecoder, self)

    @property
    def closing(self) -> Link:
        return self

    def schedule(self) -> None:
        self.calls.append("schedule")

    def await_room(self, *, wanted: bool) -> None:
        self.calls.append("await room" if wanted else "room")

    def on(self, event: ClosingEvent) -> None:
        self.calls.append(event.value)

    def abort(self, reason: str, *, mute: bool = False) -> None:
        self.calls.append(f"abort {reason}{' mute' * mute}")


async def test_a_kernel_that_refuses_is_watched_until_it_has_taken_all() -> None:
    link = Link()
    link.outbox.put_close(b"12345")
    link.outbox.flush()
    assert link.calls == ["await room", "schedule"]
    assert (link.sender.unsent, link.deadlines.blocked_at) == (True, 0.0)
    link.kernel.room = 100
    link.sender.writable()
    assert link.calls[2:] == ["room", "all sent"]
    assert link.kernel.taken == b"12345"
    assert (link.sender.unsent, link.deadlines.blocked_at) == (False, None)


async def test_ciphertext_goes_before_anything_else() -> None:
    link = Link()
    link.kernel.room = 100
    link.kernel.hold(True)
    link.outbox.put(b"12345")
    link.sender.writable()
    assert len(link.kernel.taken) == 0
    assert link.calls == ["await room", "schedule"]
    link.kernel.hold(False)
    link.sender.writable()
    assert link.kernel.taken == b"12345"


async def test_a_peer_that_takes_nothing_is_reset() -> None:
    link = Link()
    link.outbox.put(b"12345")
    link.outbox.flush()
    link.now = 1000.0
    link.sender.check_stall()
    assert link.calls[-1] == "abort write stall"


async def test_a_broken_socket_drops_all_that_waits_and_goes_on_with_the_end() -> None:
    link = Link()
    link.outbox.put(b"12345")
    link.kernel.broken = link.kernel.unsent = True
    link.sender.writable()
    assert link.calls == ["room", "all sent"]
    assert not link.sender.unsent
    assert not link.outbox.put(b"more")


async def test_an_overflow_mutes_the_client() -> None:
    link = Link()
    link.outbox.put(b"1")
    assert not link.outbox.put(b"x" * 2000)
    assert link.calls[-1] == "abort outbox full mute"


async def test_pongs_of_one_read_are_one_piece_and_only_the_last_waits_for_the_kernel() -> None:
    link = Link()
    link.sender.put_pongs([b"\x8a\x01a", b"\x8a\x01b"])
    assert link.outbox.items == [b"\x8a\x01a\x8a\x01b"]
    link.outbox.flush()
    link.sender.put_pongs([b"\x8a\x01c", b"\x8a\x01d"])
    assert link.outbox.items[-1] == b"\x8a\x01d"
