"""The process that a reloader starts: ``python -m wsframe.cli.reloaded ARGUMENTS``."""

import json
import os
import socket
import sys
from argparse import Namespace

from wsframe.cli.program import run_command
from wsframe.cli.serve import serve_target, serve_workers
from wsframe.net.sockets import NamedSocket
from wsframe.server.notify import main_pid
from wsframe.workers.worker import VARIABLE

__all__ = ["serve_reloaded"]


def serve_reloaded(args: Namespace) -> int:
    """Serve the target of the reloader's arguments on its sockets."""
    if VARIABLE in os.environ:  # it has other sockets, from a supervisor of its own
        return serve_workers(args)
    sockets: list[socket.socket] = [
        NamedSocket(fileno=fd).with_traits(traits) for fd, traits in zip(args.fd, args.traits, strict=True)
    ]
    main_pid.set(os.getppid())
    if args.workers is not None:
        return serve_workers(args, sockets, args.orders)
    serve_target(args, sockets, args.orders)
    return 0


if __name__ == "__main__":
    sys.exit(run_command(Namespace(**json.loads(sys.argv[1]), command=serve_reloaded)))
