"""``wsframe rebalance``: have all servers of a service share their partitions evenly, also those with clients."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import trio

from wsframe.cli.arguments import add_parser
from wsframe.cli.errors import Failure, Mistake
from wsframe.server.monitoring.inquiry import inquire
from wsframe.server.ownership.partition_owner import REQUEST_REBALANCE

if TYPE_CHECKING:
    from wsframe.cli.arguments import Commands

__all__ = ["add_command"]

EXAMPLES = """\
  wsframe serve chat.py --backplane redis://redis.internal --admin chat.admin    # on each machine
  wsframe rebalance --admin chat.admin                                           # on one of them
"""


def add_command(commands: Commands) -> None:
    parser = add_parser(
        commands,
        "rebalance",
        help="spread the resources evenly over the servers of a backplane",
        description="Have the servers of a backplane give resources with clients to those that have fewer, one "
        "partition a second, until each has the same number. Their clients are closed with 1012 and come back.",
        examples=EXAMPLES,
    )
    parser.add_argument("--admin", metavar="PATH", required=True, help="the admin socket of one of the servers")
    parser.set_defaults(command=rebalance)


def rebalance(args: argparse.Namespace) -> None:
    answer = trio.run(inquire, args.admin, REQUEST_REBALANCE)
    if answer is None:
        raise Mistake(f"nobody answers at {args.admin}: is it the --admin of a server that runs?")
    if answer.get("error"):
        raise Failure(f"not rebalanced: {answer['error']}")
    print("the servers give partitions away until each has the same number")
