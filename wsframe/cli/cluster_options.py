"""The flags of ``wsframe serve`` for the backplane and for :class:`wsframe.Cluster`."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from wsframe.backplane.at_url import backplane_at
from wsframe.cli.arguments import number
from wsframe.cli.errors import Mistake
from wsframe.server.cluster import Cluster

__all__ = ["add_cluster_options", "check_backplane", "made_cluster"]

DEFAULT = Cluster()


def add_cluster_options(parser: argparse.ArgumentParser) -> None:
    """Add the flags to a parser."""
    parser.add_argument(
        "--backplane", metavar="URL", default=os.environ.get("WSFRAME_BACKPLANE"),
        help="share topics with other servers by redis://, rediss://, valkey://, postgresql://, or the path of a "
        "relay's socket (default: the environment variable WSFRAME_BACKPLANE, which 'ps' does not show)",
    )  # fmt: skip
    option = parser.add_argument_group("sharing resources with other servers").add_argument
    option(
        "--lease", type=number, metavar="SECONDS", default=DEFAULT.lease_seconds,
        help=f"a server that has died is replaced after this long (default {DEFAULT.lease_seconds:g})",
    )  # fmt: skip
    option(
        "--peer-bind", metavar="HOST:PORT", default=DEFAULT.peer_bind,
        help=f"take the connections that other servers pass on here (default {DEFAULT.peer_bind})",
    )  # fmt: skip
    option(
        "--peer-advertise", metavar="HOST:PORT",
        help="the address under which others reach --peer-bind (default: the address that was bound)",
    )  # fmt: skip
    option(
        "--peer-secret", metavar="SECRET", default=os.environ.get("WSFRAME_PEER_SECRET"),
        help="the same in all servers, needed unless --peer-bind is loopback (default: the environment variable "
        "WSFRAME_PEER_SECRET, which 'ps' does not show)",
    )  # fmt: skip
    option("--peer-secret-file", metavar="FILE", help="file whose first line is the secret")


def check_backplane(url: str | None) -> None:
    """Raise Mistake for an address that is not one of a backplane."""
    try:
        if url is not None:
            backplane_at(url)
    except (ValueError, ModuleNotFoundError) as error:
        raise Mistake(f"--backplane: {error}") from None


def made_cluster(args: argparse.Namespace) -> Cluster:
    """Make the settings; raise Mistake for values that can never serve."""
    try:
        return Cluster(
            lease_seconds=args.lease,
            peer_bind=args.peer_bind,
            peer_advertise=args.peer_advertise,
            peer_secret=args.peer_secret if args.peer_secret_file is None else read_secret(args.peer_secret_file),
        )
    except ValueError as error:
        told = str(error)
        for name, flag in (("lease_seconds", "--lease"), ("peer_", "--peer-")):
            told = told.replace(name, flag)
        raise Mistake(told) from None


def read_secret(name: str) -> str:
    """Read the secret in a file."""
    try:
        lines = Path(name).read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise Mistake(f"--peer-secret-file {name}: {getattr(error, 'strerror', None) or error}") from None
    return lines[0] if lines else ""
