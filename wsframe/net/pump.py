"""The pump: carries the bytes of one connection between its client's socket and the process where it lives.

A pump stands where a connection cannot be passed by its descriptor: this process decrypts its TLS, or the resource
lives on another machine. Behind a pump the owner does not see the client's kernel, so the pump looks after it, by
six rules:

1. It reads from one side only while the other one has taken all of the last read. So it holds at most 64 KiB in each
   direction, and a stalled client costs its own connection alone.
2. The owner's end of a pair of unix sockets has a small send buffer: frames wait in the owner's outbox, where limits
   count them and where they can be replaced, not in the pair.
3. The client's socket has its options, its write stall and its lingering here: the owner's kernel holds nothing of
   it, and would find every client well.
4. A shut sending side is passed on as one, in both directions, after all bytes before it.
5. An owner that closes without having shut its sending side first has reset the connection, and so does the pump; a
   pair of unix sockets has no other sign for it. After the client's own end it is an end in order, and so it is
   where its last bytes are still in the pair: they might be an answer.
6. A lost client is the end of the pair: the owner gets the bytes that came before, as long as it takes them, and
   then the end.

Nothing here waits. ``turn`` moves bytes as far as the kernel takes them, ``wanted`` says for which events to wait,
and ``due`` when to look again without one.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from math import inf

from wsframe.net.poller import END, GONE, READ, WRITE
from wsframe.net.socket_options import close_for_good
from wsframe.net.sockets import Endpoint, has_unread, notify_closing
from wsframe.net.transport import FAREWELL, Transport

__all__ = ["AT_ONCE", "SMALL_BUFFER", "UNWATCHED", "Pump"]

AT_ONCE = 64 * 1024
"""Bytes of one read, and so the most that a pump holds in one direction."""
SMALL_BUFFER = 4096
"""Send buffer of the owner's end of a pair, in bytes; the kernel takes it as its least."""
UNWATCHED = -1
"""In place of the events of a socket that is not to be watched at all: the poller would report its end for ever."""
LOOK_AGAIN = 0.25
"""Seconds between two looks whether the client has taken everything: the kernel sends no event for it."""


def ignore(data: memoryview) -> None:
    """Ignore the bytes that go to the client."""


def error_of(sock: Endpoint | None) -> int:
    return 0 if sock is None else sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)


class Flow:
    """One direction."""

    __slots__ = ("ended", "rest", "shut")

    def __init__(self, rest: bytes = b"") -> None:
        self.rest: bytes = rest
        """Bytes that its source has given and its sink has yet to take."""
        self.ended: bool = False
        """Whether its source sends no more."""
        self.shut: bool = False
        """Whether its sink knows that."""


class Pump:
    """One connection between its client and its owner.

    Args:
        client: The client's connection, tuned; it belongs to the pump.
        owner: The socket to the owner, non-blocking; it belongs to the pump too.
        early: Bytes for the owner before those of the client.
        write_stall: Seconds after which a client that takes nothing is reset.
        clock: The time, in seconds.
        seen: Called with the bytes that go to the client, in order.
    """

    __slots__ = (
        "_client", "_client_gone", "_clock", "_from_client", "_from_owner", "_in_kernel", "_lost", "_lost_at",
        "_owner", "_owner_gone", "_owner_shut", "_reset", "_seen", "_write_stall", "due", "moved", "over",
        "reason", "stall_at",
    )  # fmt: skip

    def __init__(
        self,
        client: Transport,
        owner: Endpoint,
        early: bytes = b"",
        *,
        write_stall: float,
        clock: Callable[[], float],
        seen: Callable[[memoryview], object] = ignore,
    ) -> None:
        self._client = client
        self._owner = owner
        self._from_client = Flow(early)
        self._from_owner = Flow()
        self._write_stall = write_stall
        self._clock = clock
        self._seen = seen
        self._client_gone = False
        """Whether the poller would report the end of the client for ever."""
        self._lost = False
        """Whether the client's connection is broken."""
        self._lost_at = 0.0
        """When the client's loss was noted, or the owner has taken some of the last bytes after that."""
        self._owner_shut = False
        """Whether the owner has been seen to shut its sending side before it closed."""
        self._owner_gone = False
        """Whether the owner takes nothing more."""
        self._in_kernel = 0
        self.stall_at: float = inf
        """When a client that takes nothing is given up."""
        self.due: float = inf
        """When to call :meth:`check`."""
        self._reset = False
        self.over: bool = False
        """Whether there is nothing more to do but :meth:`close`."""
        self.reason: str = ""
        """Why it was reset; empty for an end in order."""
        self.moved: int = 0
        """Bytes that it has read, of both sides."""

    @property
    def client_fd(self) -> int:
        """The descriptor of the client's socket."""
        return -1 if self._client.sock is None else self._client.sock.fileno()

    @property
    def owner_fd(self) -> int:
        """The descriptor of the socket to the owner."""
        return self._owner.fileno()

    @property
    def held(self) -> int:
        """Bytes that it has read and that the other side has yet to take."""
        return len(self._from_client.rest) + len(self._from_owner.rest) + self._client.waiting

    @property
    def blocked(self) -> bool:
        """Whether the client has yet to take bytes that are here."""
        return bool(self._from_owner.rest) or self._client.unsent

    @property
    def wanted(self) -> tuple[int, int]:
        """The events to wait for: of the client, and of the owner."""
        client = UNWATCHED
        if not (self._client_gone or self._lost):
            reads = not self._from_client.ended and (not self._from_client.rest or self._discards)
            client = (READ if reads else 0) | (WRITE if self.blocked else 0)
        owner = UNWATCHED
        if not self._owner_gone:
            reads = not self._from_owner.ended and not self.blocked and not self._lost
            owner = (READ if reads else 0) | (WRITE if self._from_client.rest else 0)
            owner |= 0 if self._owner_shut else END
        return client, owner

    @property
    def _discards(self) -> bool:
        """Whether the bytes of the client have nobody to go to."""
        return self._owner_gone and self._from_owner.ended

    @property
    def _waits_for_owner(self) -> bool:
        """Whether the client has gone, and its last bytes wait for the owner."""
        return (self._client_gone or self._lost) and bool(self._from_client.rest)

    # Events

    def turn(self, buffer: memoryview, of_client: int = 0, of_owner: int = 0) -> None:
        """Move bytes, as far as both sides take them; each is read once at most.

        Args:
            buffer: 64 KiB to read into, which is free afterwards.
            of_client, of_owner: The events that the poller has reported.
        """
        if of_owner & GONE:
            self._note_owner_gone()
        elif of_owner & END:
            self._owner_shut = True
        if not self.over:
            self._move_in(buffer, of_client)
        if not self.over and not self._lost:
            self._move_out(buffer, of_owner)
        self._settle()

    def check(self) -> None:
        """Look whether the client gets on; to be called once ``due`` has passed, after all events."""
        if self.over:
            return
        now = self._clock()
        if self._waits_for_owner:
            if now >= self._lost_at + FAREWELL:
                self._end(reset=True, reason="lost, and its worker takes nothing")
        elif now >= self.stall_at and not self._progresses():
            if self._from_owner.shut and not self._owner_gone and (self._client.in_kernel() or 0) <= 1:
                self._owner_gone = True  # it has shut long ago; not every poller says that it has closed since
                self._from_client.rest = b""
            else:
                self._end(reset=True, reason="write stall")
        self._settle()

    def leave(self, last: bytes) -> None:
        """End the connection in order, from here: the client gets these last bytes, and the owner the end."""
        if self.over:
            return
        flow = self._from_owner
        if not flow.ended:
            flow.rest += last
            flow.ended = True
        self._owner_gone = True
        self._from_client.rest = b""
        with suppress(OSError):
            self._owner.shutdown(socket.SHUT_RDWR)
        if not self._lost:
            self._give_client(flow.rest)
        self._settle()  # and nothing is read: a client that has gone shows when it is written to

    def abort(self, reason: str) -> None:
        """Reset the connection, and end the owner's."""
        self._end(reset=True, reason=reason)

    # From the client to the owner

    def _move_in(self, buffer: memoryview, events: int) -> None:
        flow = self._from_client
        before = len(flow.rest)
        if flow.rest and not self._owner_gone:
            flow.rest = self._give_owner(flow.rest)
        if events & GONE or len(flow.rest) < before:
            self._client_gone = self._client_gone or bool(events & GONE)
            self._lost_at = self._clock()
        if flow.rest and not self._discards:
            return
        while (events & (READ | END) or self._client_gone) and not flow.ended and not self._lost:
            count = self._read_client(buffer)
            if count is None:
                break
            if count and not self._owner_gone:
                flow.rest = self._give_owner(buffer[:count])
            if not self._client_gone or flow.rest or self._owner_gone:
                break
        if self._client_gone and flow.ended and not self._lost and error_of(self._client.sock):
            self._lose_client()

    def _read_client(self, buffer: memoryview) -> int | None:
        """Read once from the client; return the number of bytes, None if there are none now."""
        try:
            count = self._client.recv_into(buffer)
        except BlockingIOError:
            return None
        except OSError:
            self._lose_client()
            return None
        self.moved += count
        self._from_client.ended = not count
        return count

    def _give_owner(self, data: bytes | memoryview) -> bytes:
        """Send to the owner; return the rest."""
        try:
            sent = self._owner.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:  # the poller will say how it has ended; some say nothing more after an end
            self._owner_gone = self._owner_gone or self._owner_shut
            return b""
        return bytes(data[sent:])

    def _lose_client(self) -> None:
        self._lost = True
        self._from_client.ended = self._from_owner.ended = True
        self._from_owner.rest = b""
        self._client.drop_unsent()

    # From the owner to the client

    def _note_owner_gone(self) -> None:
        if self._owner_gone:
            return
        self._owner_gone = True
        broken = error_of(self._owner)
        self._from_client.rest = b""
        if not broken and not self.blocked and not self._from_owner.ended and has_unread(self._owner):
            return  # its last bytes and its end in one: it might have shut first
        if not self._owner_shut and (broken or not self._from_client.shut):
            self._end(reset=True, reason="reset by its worker")

    def _move_out(self, buffer: memoryview, events: int) -> None:
        flow = self._from_owner
        if self.blocked:
            self._give_client(flow.rest)
        while not self.blocked and not flow.ended and not self._lost:
            if not events & (READ | END | GONE) and not self._owner_gone:
                break
            try:
                count = self._owner.recv_into(buffer)
            except BlockingIOError:
                break
            except OSError:
                count = 0
                if not self._owner_shut:
                    self._end(reset=True, reason="reset by its worker")
                    return
            self.moved += count
            flow.ended = not count
            if count:
                self._seen(buffer[:count])
                self._give_client(buffer[:count])
            if not self._owner_gone:
                break

    def _give_client(self, data: bytes | memoryview) -> None:
        flow = self._from_owner
        waited, ciphertext = self.blocked, self._client.waiting
        try:
            sent = self._client.send(data) if len(data) else 0
            if self._client.unsent:
                self._client.pump()
        except BlockingIOError:
            sent = 0
        except OSError:
            self._lose_client()
            return
        flow.rest = bytes(data[sent:])
        if not self.blocked and not flow.shut:  # after its end the client has time for the rest, and no more
            self.stall_at = inf
        elif sent or not waited or self._client.waiting < ciphertext:
            self._set_stall()

    # The end, and times

    def _settle(self) -> None:
        """Pass on the ends whose turn it is, close connections that are over, and set the next look."""
        if self.over:
            return
        if self._lost and (not self._from_client.rest or self._owner_gone):
            self._end(reset=True)
            return
        if self._from_client.ended and not self._from_client.rest and not self._from_client.shut:
            self._from_client.shut = True
            if not self._owner_gone:
                with suppress(OSError):
                    self._owner.shutdown(socket.SHUT_WR)
        if self._from_owner.ended and not self.blocked and not self._from_owner.shut and not self._lost:
            self._from_owner.shut = True
            try:
                self._client.shut_sending()
            except OSError:
                self._lose_client()
                self._end(reset=True)
                return
            self._set_stall()
        if self._from_owner.shut and (self._from_client.shut or self._owner_gone) and self._is_taken():
            self._end(reset=False)
            return
        if self.blocked and self.stall_at == inf:  # TLS has something of its own to say
            self._set_stall()
        self.due = self._next_look()

    def _is_taken(self) -> bool:
        """Return whether the client has taken everything, and has ended or had time for it."""
        left = (self._client.in_kernel() or 0) > 1  # 1 may be our FIN
        gone = self._from_client.ended or self._client_gone
        return not left and (gone or self._clock() >= self.stall_at - self._write_stall + FAREWELL)

    def _next_look(self) -> float:
        if self._waits_for_owner:
            return self._lost_at + FAREWELL
        if self._from_owner.shut and (self._from_client.shut or self._owner_gone):
            return min(self._clock() + LOOK_AGAIN, self.stall_at)
        return self.stall_at if self.blocked or self._from_owner.shut else inf

    def _set_stall(self) -> None:
        self._in_kernel = self._client.in_kernel() or 0
        self.stall_at = self._clock() + self._write_stall

    def _progresses(self) -> bool:
        """Return whether the client has taken bytes since the last look; a window that moves slowly is not a stall."""
        left = self._client.in_kernel()
        if left is None or left >= self._in_kernel:
            return False
        self._set_stall()
        return True

    def _end(self, *, reset: bool, reason: str = "") -> None:
        if self.over:
            return
        self.over, self.due, self.reason, self._reset = True, inf, reason, reset
        self._from_client.rest = self._from_owner.rest = b""

    def close(self) -> None:
        """Close both sockets, which no poller may watch any more: the client's in order, or by a reset."""
        self._client.close(reset=self._reset)
        notify_closing(self._owner)
        close_for_good(self._owner)
