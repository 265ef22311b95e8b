"""Socket options, and the behaviour on platforms that do not have them."""

from __future__ import annotations

import socket
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache

if sys.platform == "linux":
    from fcntl import ioctl
    from termios import TIOCOUTQ  # the value of SIOCOUTQ

from wsframe.net.sockets import Endpoint

__all__ = [
    "acknowledge",
    "close_for_good",
    "keep_alive",
    "reset_on_close",
    "tune",
    "tune_accepted",
    "unsent_in_kernel",
]

TCP_NOTSENT_LOWAT = getattr(socket, "TCP_NOTSENT_LOWAT", None)
TCP_USER_TIMEOUT = getattr(socket, "TCP_USER_TIMEOUT", None)
# macOS has the second name for the same thing.
TCP_KEEPIDLE = getattr(socket, "TCP_KEEPIDLE", None) or getattr(socket, "TCP_KEEPALIVE", None)
PROBES = 4
# The largest values that an option takes: an int, and for keepalive the seconds on Linux. Larger ones mean the same.
LARGEST = 2**31 - 1
LONGEST_KEEPALIVE = 32767

# On, for no time: close() then resets and leaves nothing in the kernel, where ten stalled
# clients closed otherwise held 40 MiB.
LINGER_NONE = struct.pack("ii", 1, 0)


def tune(sock: Endpoint, unsent_low_water: int, write_stall: float | None) -> None:
    """Set the options of a client's socket; unix sockets and other platforms go without.

    Args:
        sock: The socket.
        unsent_low_water: Bytes not sent yet below which the kernel asks for more.
        write_stall: Seconds after which the kernel ends a connection whose peer takes nothing; None for never.
    """
    with suppress(OSError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if TCP_NOTSENT_LOWAT is not None:
            sock.setsockopt(socket.IPPROTO_TCP, TCP_NOTSENT_LOWAT, min(unsent_low_water, LARGEST))
        if TCP_USER_TIMEOUT is not None:
            sock.setsockopt(socket.IPPROTO_TCP, TCP_USER_TIMEOUT, milliseconds(write_stall))


def milliseconds(write_stall: float | None) -> int:
    return 0 if write_stall is None else max(1, int(min(write_stall * 1000, LARGEST)))


def tune_accepted(listening: object, unsent_low_water: int, write_stall: float) -> tuple[int, float] | None:
    """Have the sockets accepted from a listening one begin with the options of :func:`tune`.

    Returns:
        The values that they begin with; None where they do not inherit them: only on Linux is that certain.
    """
    if sys.platform != "linux" or not isinstance(listening, socket.socket):
        return None
    tune(listening, unsent_low_water, write_stall)
    return unsent_low_water, write_stall


def acknowledge(sock: Endpoint) -> None:
    """Acknowledge received bytes at once, where the kernel would wait 40 ms for an answer to carry the acknowledgement.

    A peer with Nagle's algorithm sends nothing more before it comes (RFC 9293 section 3.7.4).
    """
    if hasattr(socket, "TCP_QUICKACK"):
        with suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


def keep_alive(sock: Endpoint, idle: float | None, timeout: float) -> None:
    """Have the kernel look for a dead peer, where the protocol has no pings.

    Args:
        sock: A client's socket; a unix socket goes without, its peer cannot vanish.
        idle: Seconds of silence before the first probe; None for no probes.
        timeout: Seconds in which one probe must be answered.
    """
    if idle is None:
        return
    with suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if TCP_KEEPIDLE is not None:
            sock.setsockopt(socket.IPPROTO_TCP, TCP_KEEPIDLE, max(1, int(min(idle, LONGEST_KEEPALIVE))))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, max(1, int(min(timeout / PROBES, LONGEST_KEEPALIVE))))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, PROBES)


def reset_on_close(sock: Endpoint) -> None:
    """Make ``close`` a reset."""
    with suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NONE)


def close_for_good(sock: Endpoint, *, reset: bool = False, ended: bool = False) -> None:
    """Close a socket so that its peer learns of it, even if another process has inherited the descriptor.

    A child process that user code has forked keeps it open, and the kernel would send neither FIN nor reset
    before the child has ended.

    Args:
        sock: The socket.
        reset: Whether to reset the connection, which leaves nothing in the kernel.
        ended: Whether both sides are shut already, so that the peer knows.
    """
    if reset:
        reset_on_close(sock)
    if isinstance(sock, socket.socket) and not (reset_now(sock) if reset else ended):
        with suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
    sock.close()


def reset_now(sock: socket.socket) -> bool:
    """Reset a TCP connection whatever else holds it open; return whether that is done, or left to ``close``."""
    if sys.platform != "linux":  # pragma: no cover
        return True
    connect = connect_of_libc()
    # To AF_UNSPEC, which is 0 and has no address: connect(2) dissolves the association.
    return connect is not None and connect(sock.fileno(), bytes(16), 16) == 0


@cache
def connect_of_libc() -> Callable[[int, bytes, int], int] | None:
    """Return connect(2), to which Python's sockets give addresses of their own family only."""
    try:
        import ctypes  # here, because it takes milliseconds
    except ImportError:  # pragma: no cover
        return None
    connect: Callable[[int, bytes, int], int] = ctypes.CDLL(None).connect
    return connect


def unsent_in_kernel(sock: Endpoint) -> int | None:
    """Return the bytes that the peer has not acknowledged; None where the kernel does not report them."""
    if not isinstance(sock, socket.socket):
        return sock.unsent()
    if sys.platform != "linux":  # pragma: no cover
        return None
    answer = bytearray(4)
    try:
        ioctl(sock.fileno(), TIOCOUTQ, answer)
    except OSError:
        return None
    return int.from_bytes(answer, sys.byteorder)
