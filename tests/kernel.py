"""Outboxes without sockets: a kernel that takes as much as a script says, a link that notes its calls."""

from __future__ import annotations

from collections.abc import Iterable

from tests.wire import Frame, decode
from wsframe.connection.flusher import Flusher
from wsframe.connection.outbox import Outbox
from wsframe.limits import Overflow

ALL = 1 << 40


class FakeLink:
    """The link of an outbox, which notes its calls; like a real one, it gives a broken outbox up."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.outbox: Outbox

    def blocked(self, *, progress: bool) -> None:
        self.told.append("blocked after progress" if progress else "blocked")

    def unblocked(self) -> None:
        self.told.append("unblocked")

    def emptied(self) -> None:
        self.told.append("emptied")

    def broken(self) -> None:
        self.told.append("broken")
        self.outbox.give_up()

    def overflowed(self) -> None:
        self.told.append("overflowed")
        self.outbox.give_up()


class FakeKernel:
    """A ``send`` that takes as many bytes as its script says, and all of them after the script's end.

    0 in the script is a full buffer, an exception is raised.
    """

    def __init__(self, script: Iterable[int | OSError] = ()) -> None:
        self.script = list(script)
        self.calls: list[bytes] = []
        self.taken = b""

    def send(self, data: bytes | memoryview) -> int:
        self.calls.append(bytes(data))
        most = self.script.pop(0) if self.script else ALL
        if isinstance(most, OSError):
            raise most
        if not most:
            raise BlockingIOError
        self.taken += bytes(data[:most])
        return min(most, len(data))

    @property
    def frames(self) -> list[Frame]:
        """The bytes sent, frame by frame."""
        return decode(self.taken)

    @property
    def payloads(self) -> list[bytes]:
        return [frame.payload for frame in self.frames]


class Rig:
    """An outbox with its flusher, a scripted kernel and a link that takes notes."""

    def __init__(
        self,
        *script: int | OSError,
        limit: int = ALL,
        overflow: Overflow = "disconnect",
        flusher: Flusher | None = None,
    ) -> None:
        self.kernel = FakeKernel(script)
        self.link = FakeLink()
        self.flusher = flusher or Flusher()
        self.outbox = self.link.outbox = Outbox(self.kernel.send, self.link, limit, overflow, self.flusher)

    def block(self) -> None:
        """Fill the kernel's buffer before any waiting frame has begun to leave."""
        self.kernel.script = [0, *self.kernel.script]
        self.outbox.flush()
        assert self.outbox.blocked
