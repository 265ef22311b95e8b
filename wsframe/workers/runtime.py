"""The runtime directory of a service: its sockets, and the two locks that keep services apart.

* Only the supervisor locks ``supervisor``: a second one with the same addresses is refused.
* The supervisor locks ``workers``, and so do all its workers, by the descriptor that they inherit. A supervisor that
  begins while the workers of a killed one still drain waits here until the last one has gone, so that no resource lives
  in two processes.

The supervisor removes the directory at its end; where it was killed, the last of its workers does.
"""

from __future__ import annotations

import errno
import os
import shutil
import signal
import socket
import stat
import tempfile
import time
from collections.abc import Collection, Iterator, MutableMapping
from contextlib import contextmanager, suppress
from hashlib import sha256
from math import inf
from struct import Struct
from typing import Final

from wsframe.log import Log, log_for
from wsframe.net.forked import keep_from_children, let_children_keep

__all__ = ["Runtime", "is_supervisor", "make_private", "remove_if_last", "runtime_folder", "runtime_of"]

logger: Log = log_for(__name__)

SUPERVISOR: Final = "supervisor"
WORKERS: Final = "workers"

ASK_AGAIN: Final = 0.05
"""Seconds between two attempts to lock a file."""
PEER: Final = Struct("3i")
"""Process, user and group of a peer, as the kernel gives them."""
LONGEST_FOLDER: Final = 107 - len("/worker-999-999999")
"""Bytes of its path at most: the system takes 107 for that of a unix socket, and names grow with each restart."""
SURELY: Final = 1.0
"""Seconds after which the supervisor's lock counts as taken: the last worker takes it for a moment."""


class Runtime:
    """The runtime directory of a service whose locks this process has.

    Args:
        folder: Its path.
        lock: The descriptor of the workers' lock, which they inherit.
    """

    def __init__(self, folder: str, lock: int) -> None:
        self.folder = folder
        self.lock = lock

    def path(self, name: str) -> str:
        """Return the path of a file in it."""
        return os.path.join(self.folder, name)


def runtime_folder(names: Collection[str], environment: MutableMapping[str, str] = os.environ) -> str:
    """Return the path of the runtime directory of a service.

    Args:
        names: Tell the service from others of the user, such as its addresses.
        environment: ``RUNTIME_DIRECTORY`` is the one that systemd has made; else ``XDG_RUNTIME_DIR`` is where those
            of a user are.
    """
    given = environment.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    if given:
        return os.path.join(given, "wsframe")
    base = environment.get("XDG_RUNTIME_DIR", "")
    if not os.path.isdir(base) or not os.access(base, os.W_OK):
        base = tempfile.gettempdir()
    key = sha256("\n".join(sorted(names)).encode(errors="surrogateescape")).hexdigest()[:16]
    return os.path.join(base, f"wsframe-{os.getuid()}-{key}")


@contextmanager
def runtime_of(folder: str, seconds: float = inf) -> Iterator[Runtime]:
    """Take a runtime directory, and remove it at the end; waits for the workers of an earlier supervisor.

    Args:
        folder: Its path.
        seconds: The longest wait: workers that are stopped do not end.

    Raises:
        OSError: If another supervisor has it, its workers do not end, other users can enter it, or its path is too
            long.
    """
    check_length(folder)
    mine = locked_supervisor(folder)
    try:
        lock = os.open(os.path.join(folder, WORKERS), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        keep_from_children(lock)
        try:
            # Ended here, it leaves the lock: the next supervisor has to wait for it, too.
            wait_for_workers(lock, folder, seconds)
            try:
                remove_contents(folder)
                yield Runtime(folder, lock)
            finally:
                shutil.rmtree(folder, ignore_errors=True)
        finally:
            close_lock(lock)
    finally:
        close_lock(mine)


def check_length(folder: str) -> None:
    """Refuse a folder whose path leaves no room for the names of sockets."""
    length = len(os.fsencode(folder))
    if length > LONGEST_FOLDER:
        raise OSError(
            errno.ENAMETOOLONG,
            f"the runtime directory {folder} has a path of {length} bytes, and unix sockets leave it at most "
            f"{LONGEST_FOLDER}: set XDG_RUNTIME_DIR, or RUNTIME_DIRECTORY, to a folder with a shorter one",
        )


def locked_supervisor(folder: str) -> int:
    """Take the lock of the supervisor; return its descriptor."""
    since = time.monotonic()
    while True:
        make_private(folder)
        try:
            mine = os.open(os.path.join(folder, SUPERVISOR), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:  # a last worker removes it
            continue
        if not locked(mine):
            other = os.read(mine, 20).decode(errors="replace").strip()
            os.close(mine)
            if time.monotonic() < since + SURELY:
                time.sleep(ASK_AGAIN)
                continue
            raise OSError(errno.EADDRINUSE, f"a service runs at these addresses already: its supervisor is {other}")
        if is_at(mine, os.path.join(folder, SUPERVISOR)):
            keep_from_children(mine)
            try:
                os.ftruncate(mine, 0)
                os.write(mine, f"{os.getpid()}\n".encode())
            except OSError as error:  # the file system is full; this error names no file
                os.close(mine)
                raise OSError(error.errno, error.strerror, folder) from None
            return mine
        os.close(mine)


def is_supervisor(pid: int) -> bool | None:
    """Return whether a process is a supervisor: no other one has both locks open.

    None if the kernel does not tell, of a process that SIGHUP would not end.
    """
    folder = f"/proc/{pid}/fd"
    paths: list[str] = []
    try:
        for fd in os.listdir(folder):
            with suppress(FileNotFoundError):  # closed in the meantime
                paths.append(os.readlink(os.path.join(folder, fd)).removesuffix(" (deleted)"))
    except OSError:
        return None if handles_hangup(pid) else False
    held = {os.path.dirname(path) for path in paths if os.path.basename(path) == SUPERVISOR}
    return any(os.path.join(one, WORKERS) in paths for one in held)


def handles_hangup(pid: int) -> bool:
    """Return whether a process has a handler of SIGHUP, which every user can see."""
    with suppress(OSError), open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as status:
        for line in status:
            if line.startswith("SigCgt:"):
                return bool(int(line.split()[1], 16) & 1 << signal.SIGHUP - 1)
    return False


def make_private(folder: str) -> None:
    """Make a folder that only its user can enter.

    Raises:
        OSError: If there is one that others can enter or own.
    """
    with suppress(FileExistsError):
        os.mkdir(folder, 0o700)
    found = os.lstat(folder)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise OSError(errno.EPERM, f"{folder} is not a folder that only this user can enter (mode 0700): remove it")


def wait_for_workers(lock: int, folder: str, seconds: float) -> None:
    """Wait for the lock of the workers.

    Raises:
        OSError: If another process still has it after this many seconds.
    """
    since = time.monotonic()
    told = False
    while not locked(lock):
        if not told:
            logger.warning("waiting for the workers of an earlier supervisor, which has been killed, to end")
            told = True
        if time.monotonic() >= since + seconds:
            raise OSError(
                errno.EBUSY,
                f"workers of an earlier supervisor have not ended in {seconds:g} s: kill {holders_in(folder)}",
            )
        time.sleep(ASK_AGAIN)


def holders_in(folder: str) -> str:
    """Name the processes that listen at the sockets of a runtime directory, also if they are stopped."""
    found = set()
    for name in os.listdir(folder):
        with suppress(OSError, AttributeError), socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(0)
            sock.connect(os.path.join(folder, name))
            pid: int = PEER.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, PEER.size))[0]
            os.kill(pid, 0)  # it is there: the supervisor, which listened for the relay, is not
            found.add(pid)
    return f"process {', '.join(map(str, sorted(found)))}" if found else "the processes that hold its lock"


def remove_contents(folder: str) -> None:
    """Remove the sockets that an earlier supervisor has left."""
    for name in set(os.listdir(folder)) - {SUPERVISOR, WORKERS}:
        os.unlink(os.path.join(folder, name))


def remove_if_last(folder: str, lock: int) -> None:
    """Release the workers' lock; remove the directory if nobody else has it. For workers without a supervisor.

    Args:
        folder: The runtime directory.
        lock: The descriptor of the lock.
    """
    close_lock(lock)
    mine: list[int] = []
    try:
        for name in (WORKERS, SUPERVISOR):  # in this order one of two that end at the same time has both
            mine.append(os.open(os.path.join(folder, name), os.O_RDWR | os.O_CLOEXEC))
            if not locked(mine[-1]):
                return
        shutil.rmtree(folder, ignore_errors=True)
    except FileNotFoundError:  # another one has removed it
        pass
    finally:
        for fd in mine:
            os.close(fd)


def locked(fd: int) -> bool:
    """Lock a file that is open; return whether that succeeded."""
    import fcntl

    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def close_lock(fd: int) -> None:
    """Release a lock, unless another process has inherited it."""
    let_children_keep(fd)
    os.close(fd)


def is_at(fd: int, path: str) -> bool:
    """Return whether a path still leads to the open file."""
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))
    except FileNotFoundError:
        return False
