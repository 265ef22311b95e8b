"""``wsframe restart``: a rolling restart of a service of workers, by its admin socket or its process."""

from __future__ import annotations

import argparse
import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from wsframe.cli.arguments import add_parser
from wsframe.cli.errors import Failure, Mistake
from wsframe.server.monitoring.inquiry import inquire
from wsframe.workers.runtime import is_supervisor

if TYPE_CHECKING:
    from wsframe.cli.arguments import Commands

__all__ = ["add_command"]

EXAMPLES = """\
  wsframe serve chat.py --workers 4 --admin chat.admin     # in one terminal
  wsframe restart --admin chat.admin                       # in another: waits until it is done
  wsframe restart 4711                                     # by the process of the supervisor: does not wait
"""


def add_command(commands: Commands) -> None:
    parser = add_parser(
        commands,
        "restart",
        help="restart the workers of a service one after another",
        description="Restart the workers of a service that runs with --workers, one after another, for new code. "
        "By the admin socket it waits for the end, and exits with 1 if the new code does not start.",
        examples=EXAMPLES,
    )
    option = parser.add_argument
    option("pid", nargs="?", type=int, metavar="PID", help="the process of the supervisor")
    option("--admin", metavar="PATH", help="the admin socket of the service")
    parser.set_defaults(command=restart)


def restart(args: argparse.Namespace) -> None:
    if (args.pid is None) == (args.admin is None):
        raise Mistake("give the process of the supervisor, or --admin PATH of the service")
    if args.pid is not None:
        restart_process(args.pid)
        return
    answer = trio.run(inquire, args.admin, b"restart")
    if answer is None:
        raise Mistake(f"nobody answers at {args.admin}: is it the --admin of a service that runs?")
    if answer.get("error"):
        raise Failure(f"not restarted: {answer['error']}")
    print("all workers have been restarted")


def restart_process(pid: int) -> None:
    """Send a supervisor the order to restart: SIGHUP, which would end most other processes.

    Raises:
        Mistake: If the process is not there, or not a supervisor; the text names the supervisor near it.
    """
    number = getattr(signal, "SIGHUP", None)
    if number is None:
        raise Mistake("workers need Linux, so there is no supervisor here")
    try:
        if pid < 1:  # these numbers stand for many processes
            raise ProcessLookupError(0, "a process has a number from 1")
        os.kill(pid, 0)
        if is_supervisor(pid) is False:
            raise Mistake(f"process {pid} is not the supervisor of a service: {way_out(pid)}")
        os.kill(pid, number)
    except (OSError, OverflowError) as error:
        reason = error.strerror if isinstance(error, OSError) else "No such process"
        raise Mistake(f"cannot restart process {pid}: {reason}") from None


def way_out(pid: int) -> str:
    """Say which process to give in the place of another one."""
    above = parent_of(pid)
    while above:
        if is_supervisor(above):
            return f"it is one of those that process {above} supervises, so give {above}"
        above = parent_of(above)
    for below in children_of(pid):
        if is_supervisor(below):
            return f"it has started process {below}, which is one, so give {below}"
    return "give that of 'wsframe serve --workers', or use --admin"


def parent_of(pid: int) -> int:
    """Return the parent of a process; 0 if it is not known."""
    with suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[1])
    return 0


def children_of(pid: int) -> list[int]:
    """Return the processes that one has started, if the kernel tells."""
    found: list[int] = []
    with suppress(OSError):
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            found.extend(map(int, children.read_text().split()))
    return sorted(found)
