"""The parser of all commands, and the function that runs the chosen one."""

from __future__ import annotations

import argparse
import errno
import sys
from collections.abc import Collection, Sequence
from importlib import import_module
from itertools import pairwise
from typing import NoReturn

import wsframe
from wsframe.cli.errors import Mistake, OutputGone, only
from wsframe.cli.streams import complain, discard_output, fill_gaps
from wsframe.server.logs.json_stderr import json_stderr

__all__ = ["main", "make_parser"]

COMMANDS = ("new", "serve", "restart", "rebalance", "routes", "asyncapi", "top", "connect", "bench", "completion")
"""Each is a module of this room, which is imported when it is needed: a worker needs one."""


class Parser(argparse.ArgumentParser):
    """An argument parser that reports each error in one line."""

    def error(self, message: str) -> NoReturn:
        complain(f"{message}; see {self.prog} --help", self.prog)
        self.exit(2)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line ``argv``, by default that of the process, and return the exit code."""
    fill_gaps()
    given = sys.argv[1:] if argv is None else list(argv)
    if any(asks_for_json(*two) for two in pairwise([*given, ""])):
        json_stderr()  # first: a mistake in the other arguments is a line too
    return run_command(make_parser(commands_for(given)).parse_args(argv))


def commands_for(given: Sequence[str]) -> Collection[str]:
    """Return the commands that a command line needs: its own, or all to show them, refuse it or complete them."""
    return given[:1] if given and given[0] in COMMANDS[:-1] else COMMANDS


def asks_for_json(argument: str, value: str) -> bool:
    """Return whether an argument, with the next one, is ``--log-format json``, also shortened."""
    name, equals, given = argument.partition("=")
    return name.startswith("--log-f") and "--log-format".startswith(name) and (given if equals else value) == "json"


def run_command(args: argparse.Namespace) -> int:
    """Run the command of parsed arguments and return the exit code."""
    if getattr(args, "log_format", "text") == "json":
        json_stderr()
    try:
        code: int | None = args.command(args)
        sys.stdout.flush()
    except Mistake as mistake:
        complain(str(mistake))
        return mistake.exit_code
    except (BrokenPipeError, OutputGone):  # the reader of stdout has gone, as "head" does
        discard_output(sys.stdout)
        return 0
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EBADF, errno.EIO, errno.EDQUOT, errno.EFBIG):
            raise
        discard_output(sys.stdout)
        complain(f"cannot write the output: {error.strerror}")
        return 1
    except KeyboardInterrupt:  # before the server handled signals
        return 130
    except BaseExceptionGroup as group:
        if only(KeyboardInterrupt, group):
            return 130
        raise
    return code or 0


class ShowVersion(argparse.Action):
    """Prints the version, and finds it only then, because that takes time."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        print(f"wsframe {wsframe.__version__}")
        parser.exit()


def make_parser(names: Collection[str] = COMMANDS) -> argparse.ArgumentParser:
    """Make the parser of the command line, by default with all commands."""
    parser = Parser(prog="wsframe", description="Class-based WebSocket resources on trio and wsproto.")
    parser.add_argument(
        "--version", action=ShowVersion, nargs=0, default=argparse.SUPPRESS,
        help="show program's version number and exit",
    )  # fmt: skip
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name in names:
        import_module(f"wsframe.cli.{name}").add_command(commands)
    parser.set_defaults(parser=parser)  # for the command completion, which needs all others
    return parser
