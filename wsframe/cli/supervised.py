"""The process that a supervisor starts: ``python -m wsframe.cli.supervised ARGUMENTS``."""

import json
import os
import socket
import sys
from argparse import Namespace

from wsframe.cli.program import run_command
from wsframe.cli.serve import serve_target
from wsframe.net.sockets import NamedSocket
from wsframe.server.notify import main_pid

__all__ = ["serve_supervised"]


def serve_supervised(args: Namespace) -> None:
    """Serve the target of the supervisor's arguments on its sockets."""
    sockets: list[socket.socket] = []
    for fd, name in zip(args.fd, args.named, strict=True):
        sock = NamedSocket(fileno=fd)
        sock.named = name
        sockets.append(sock)
    main_pid.set(os.getppid())
    serve_target(args, sockets, args.orders)


if __name__ == "__main__":
    sys.exit(run_command(Namespace(**json.loads(sys.argv[1]), command=serve_supervised)))
