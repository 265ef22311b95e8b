"""A socket that ends TCP with a reset, as the host of a program does that was killed with data unread."""

import socket
import struct

import trio

__all__ = ["reset", "reset_on_close"]


def reset_on_close(sock: socket.socket | trio.socket.SocketType) -> None:
    """Have the peer get a reset when the socket is closed."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def reset(sock: socket.socket | trio.socket.SocketType) -> None:
    """Close a socket with a reset."""
    reset_on_close(sock)
    sock.close()
