"""Binding the addresses of a server, all of them or none, and closing them at the end."""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, NamedTuple

from wsframe.digits import whole_number
from wsframe.log import quoted
from wsframe.net.sockets import ORDINARY, NamedSocket
from wsframe.server.sockets.activation import is_child_of_activated, passed_descriptors
from wsframe.server.sockets.addresses import InheritedAddress, PassedAddress, ServerAddress, TcpAddress, UnixAddress

__all__ = [
    "ListeningSocket",
    "UnixOwner",
    "bind_tcp",
    "bind_unix",
    "bound",
    "check_inherited",
    "fault_of",
    "listen_at",
    "made_owner",
    "name_of",
    "naming",
    "read_owner",
    "unlink_own",
]

MOST_BACKLOG = 2**31 - 1  # of listen(2)
MOST_OWNERS = 2**32 - 2  # of chown(2), which leaves an owner as it is for one more
TAKEN = "; end the program there, or take another port"


class ListeningSocket(NamedSocket):
    """A listening socket of our own: its close ends accepting, also for processes that inherited the descriptor."""

    def close(self) -> None:
        """Stop listening, and close."""
        with suppress(OSError):
            self.shutdown(socket.SHUT_RDWR)
        super().close()


class UnixOwner(NamedTuple):
    """The permissions of a unix socket; None and -1 leave a part as the system makes it."""

    mode: int | None = None
    user: int = -1
    group: int = -1

    def give(self, path: str) -> None:
        """Give a socket these permissions; it does not listen yet, so that nobody can have connected before."""
        if (self.user, self.group) != (-1, -1):
            os.chown(path, self.user, self.group)
        if self.mode is not None:
            os.chmod(path, self.mode)


AS_MADE = UnixOwner()
"""The permissions that the system gives."""


def read_owner(text: str) -> tuple[int, int]:
    """Read ``USER``, ``USER:GROUP`` or ``:GROUP``, by name or number; return the numbers, -1 for a part left out.

    Raises:
        ValueError: For a name that this system does not have.
    """
    user, _, group = text.partition(":")
    if not user and not group:
        raise ValueError(f"unix_owner is 'USER', 'USER:GROUP' or ':GROUP', not {text!r}")
    try:
        import grp
        import pwd
    except ImportError:
        raise ValueError("unix_owner: this system has no users and groups of files") from None
    try:
        return number_of(user, lambda: pwd.getpwnam(user).pw_uid), number_of(group, lambda: grp.getgrnam(group).gr_gid)
    except KeyError as error:
        raise ValueError(f"unix_owner {text!r}: {error.args[0]}") from None


def made_owner(mode: int | None, owner: str | None) -> UnixOwner:
    """Return the permissions that the options name."""
    return UnixOwner(mode, *(read_owner(owner) if owner else ()))


def number_of(name: str, find: Callable[[], int]) -> int:
    if not name:
        return -1
    if not name.isascii() or not name.isdigit():
        return find()
    number = whole_number(name, MOST_OWNERS)
    if number is None:
        raise ValueError(f"unix_owner: the number of a user or group is at most {MOST_OWNERS}, not {quoted(name)}")
    return number


@contextmanager
def bound(
    addresses: Sequence[ServerAddress], backlog: int, owner: UnixOwner = AS_MADE
) -> Iterator[list[socket.socket]]:
    """Bind all addresses, or none of them; at the end close the sockets, and unlink the unix sockets made here.

    Args:
        addresses: The addresses, in the order of the sockets.
        backlog: Connections that wait in the kernel for ``accept``.
        owner: The permissions of the unix sockets.

    Raises:
        OSError: If one cannot be bound; its text names the address.
    """
    for number, address in enumerate(addresses):
        bare = [one._replace(manner=ORDINARY) for one in addresses[: number + 1]]
        if bare[-1] in bare[:-1] and not (isinstance(address, TcpAddress) and address.port == 0):
            raise OSError(errno.EADDRINUSE, f"cannot listen at {address}: it is given twice")
    inherited = {one.fd for one in addresses if isinstance(one, InheritedAddress)}
    names = {one.name for one in addresses if isinstance(one, PassedAddress)}
    with ExitStack() as stack:
        passed = {fd: name for fd, name in passed_descriptors().items() if fd not in inherited} if names else {}
        sockets: list[socket.socket] = []
        for address in addresses:
            try:
                if isinstance(address, UnixAddress):
                    found: Sequence[NamedSocket] = [stack.enter_context(bound_unix(address.path, backlog, owner))]
                else:
                    found = bind_address(address, backlog, passed, names)
                for sock in found:
                    stack.callback(sock.close)
                    sock.manner = address.manner
                    sockets.append(sock)
            except OSError as error:
                taken = error.errno == errno.EADDRINUSE and isinstance(address, TcpAddress)
                raise naming(error, str(address), TAKEN if taken else "") from None
        yield sockets


def naming(error: OSError, place: str, remedy: str = "") -> OSError:
    """Return an error of the same class, PermissionError or socket.gaierror, that names the place and a way out."""
    reason = f"cannot listen at {place}: {error.strerror or error}{remedy}"
    return OSError(reason) if error.errno is None else type(error)(error.errno, reason)


def bind_address(
    address: ServerAddress, backlog: int, passed: Mapping[int, str], names: set[str]
) -> Sequence[NamedSocket]:
    """Bind an address other than a unix socket's; return its sockets."""
    if isinstance(address, TcpAddress):
        return bind_tcp(address.host, address.port, backlog)
    if isinstance(address, InheritedAddress):
        return [inherited_socket(address.fd, backlog)]
    assert isinstance(address, PassedAddress)
    found = [fd for fd, name in passed.items() if (name == address.name if address.name else name not in names)]
    if not found:
        words = f"none of that name, only {', '.join(sorted(set(passed.values())))}" if passed else "no socket"
        remedy = "change FileDescriptorName=" if passed else "start the .socket unit, or run systemd-socket-activate"
        if is_child_of_activated():
            remedy = "the process that started this one has them (LISTEN_PID), so that must exec it"
        raise OSError(errno.ENOENT, f"systemd passes {words} to this process (LISTEN_FDS, LISTEN_FDNAMES): {remedy}")
    for fd in found:  # before any is taken over
        try:
            check_inherited(fd)
        except OSError as error:
            raise OSError(error.errno, f"descriptor {fd} ({passed[fd]}): {error.strerror}") from None
    return [inherited_socket(fd, backlog) for fd in found]


def inherited_socket(fd: int, backlog: int) -> NamedSocket:
    """Take over a socket that this process has inherited, and listen; its close leaves others of it listening.

    Raises:
        OSError: If the number does not belong to a bound stream socket.
    """
    check_inherited(fd)
    sock = NamedSocket(fileno=fd)
    listen_at(sock, backlog)
    sock.set_inheritable(False)
    return sock


def check_inherited(fd: int) -> None:
    """Check that a number belongs to a bound stream socket, which stays as it is.

    Raises:
        OSError: If it is not.
    """
    try:
        sock = socket.socket(fileno=fd)
    except (OSError, OverflowError, ValueError) as error:
        reason = getattr(error, "strerror", "the number is too large")
        raise OSError(errno.EBADF, f"this descriptor is not an inherited socket ({reason})") from None
    fault = fault_of(sock)
    sock.detach()
    if fault:
        raise OSError(errno.EINVAL, fault)


def listen_at(sock: socket.socket, backlog: int) -> None:
    """Have a bound socket listen."""
    sock.setblocking(False)
    sock.listen(min(backlog, MOST_BACKLOG))


def fault_of(sock: Any) -> str:
    """Return why a socket cannot be served; ``""`` for one that can be, and for a stand-in, which only tests have."""
    if not isinstance(sock, socket.socket):
        return ""
    if sock.type != socket.SOCK_STREAM:
        kind = getattr(sock.type, "name", sock.type)
        return f"it is a socket of the kind {kind}, and a server needs SOCK_STREAM (systemd: ListenStream=)"
    unix = sock.family == getattr(socket, "AF_UNIX", None)
    if not unix and sock.family not in (socket.AF_INET, socket.AF_INET6):
        return f"it is a socket of the family {getattr(sock.family, 'name', sock.family)}, not of TCP or unix"
    with suppress(OSError):
        sock.getpeername()
        return "it is a connection, not a listening socket (systemd: Accept=no)"
    name = sock.getsockname()
    if not (name if unix else name[1]):
        return "it is not bound to an address"
    return ""


def bind_tcp(host: str | None, port: int, backlog: int) -> list[ListeningSocket]:
    """Bind every address that ``host`` has; None binds all addresses of the machine, IPv6 and IPv4.

    Raises:
        OSError: If an address is taken, not of this machine, or cannot be resolved.
    """
    found = socket.getaddrinfo(numbered(host), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    sockets: list[ListeningSocket] = []
    try:
        for family, kind, _, _, address in dict.fromkeys(found):
            sock = ListeningSocket(family, kind)
            sock.named = host
            sockets.append(sock)
            if os.name != "nt":  # there it would let two servers share the port
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            if not port and len(sockets) > 1:  # port 0: the others take the one the first was given
                address = (address[0], sockets[0].getsockname()[1], *address[2:])
            sock.bind(address)
            listen_at(sock, backlog)
    except BaseException:
        for sock in sockets:
            sock.close()
        raise
    return sockets


def name_of(sock: socket.socket) -> str | None:
    """Return the host by which a socket was bound; None for one that was bound elsewhere, or without a host."""
    return sock.named if isinstance(sock, NamedSocket) else None


def numbered(host: str | None) -> str | None:
    """Return a host with its zone as a number: the resolver takes names of zones for some addresses only."""
    address, percent, zone = (host or "").partition("%")
    if not percent or zone.isdigit():
        return host
    try:
        return f"{address}%{socket.if_nametoindex(zone)}"
    except OSError:
        raise OSError(errno.ENODEV, f"there is no network interface {zone!r} here") from None


@contextmanager
def bound_unix(path: str, backlog: int, owner: UnixOwner) -> Iterator[NamedSocket]:
    """Bind a unix socket; at the end close and unlink it."""
    sock = bind_unix(path, backlog, owner)
    path = path if path.startswith("@") else os.path.abspath(path)  # the program can go to another folder
    bound_as = None if path.startswith("@") else os.stat(path)
    try:
        yield sock
    finally:
        sock.close()
        unlink_own(path, bound_as)


def bind_unix(path: str, backlog: int, owner: UnixOwner = AS_MADE) -> NamedSocket:
    """Bind a unix socket; it replaces one that a server left at ``path`` when it ended.

    Args:
        path: Its path, or its name in the abstract namespace after ``@``.
        backlog: Connections that wait in the kernel for ``accept``.
        owner: Its permissions.

    Raises:
        OSError: If a server answers there, or ``path`` is not a socket.
    """
    if not hasattr(socket, "AF_UNIX"):
        raise OSError(errno.EAFNOSUPPORT, "this system has no unix sockets")
    abstract = path.startswith("@")
    if abstract and owner != AS_MADE:
        raise OSError(errno.EINVAL, "an abstract unix socket has neither mode nor owner; everybody here can open it")
    if not abstract:
        remove_left(path)
    listening = ListeningSocket(socket.AF_UNIX)
    try:
        listening.bind(f"\0{path[1:]}" if abstract else path)
        try:
            owner.give(path)
            listen_at(listening, backlog)
        except BaseException:
            if not abstract:
                os.unlink(path)
            raise
    except BaseException:
        listening.close()
        raise
    return listening


def remove_left(path: str) -> None:
    """Remove the unix socket that a server left at a path when it ended."""
    if os.path.exists(path) and stat.S_ISSOCK(os.stat(path).st_mode):
        with socket.socket(socket.AF_UNIX) as probe:
            probe.setblocking(False)
            if probe.connect_ex(path) in (0, errno.EAGAIN):  # EAGAIN: its backlog is full
                raise OSError(errno.EADDRINUSE, f"a server is listening at {path}")
        os.unlink(path)


def unlink_own(path: str, bound_as: os.stat_result | None) -> None:
    """Unlink a unix socket unless another server has put its own there in the meantime."""
    with suppress(FileNotFoundError):
        if bound_as is not None and os.path.samestat(os.stat(path), bound_as):
            os.unlink(path)
