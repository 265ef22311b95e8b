"""The process that a supervisor starts: ``python -m wsframe.cli.supervised ARGUMENTS``."""

import json
import sys
from argparse import Namespace

from wsframe.cli.program import run_command
from wsframe.cli.serve import inherited_socket, serve_target

__all__ = ["serve_supervised"]


def serve_supervised(args: Namespace) -> None:
    """Serve the target of the supervisor's arguments on its sockets."""
    serve_target(args, [inherited_socket(fd) for fd in args.fd], args.orders)


if __name__ == "__main__":
    sys.exit(run_command(Namespace(**json.loads(sys.argv[1]), command=serve_supervised)))
