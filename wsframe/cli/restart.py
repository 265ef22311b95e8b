"""``wsframe restart``: a rolling restart of a service of workers, by its admin socket or its process."""

from __future__ import annotations

import argparse
import os
import signal
from typing import TYPE_CHECKING

import trio

from wsframe.cli.arguments import add_parser
from wsframe.cli.errors import Failure, Mistake
from wsframe.server.inquiry import inquire

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
        try:
            os.kill(args.pid, signal.SIGHUP)
        except (ProcessLookupError, PermissionError) as error:
            raise Mistake(f"cannot restart process {args.pid}: {error.strerror}") from None
        return
    answer = trio.run(inquire, args.admin, b"restart")
    if answer is None:
        raise Mistake(f"nobody answers at {args.admin}: is it the --admin of a service that runs?")
    if answer.get("error"):
        raise Failure(f"not restarted: {answer['error']}")
    print("all workers have been restarted")
