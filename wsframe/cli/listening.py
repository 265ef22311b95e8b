"""The options of ``wsframe serve`` that say where it listens and how it speaks TLS."""

from __future__ import annotations

import argparse
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from wsframe.cli.arguments import address, count, permissions, port_number
from wsframe.cli.errors import Mistake
from wsframe.cli.options import made_capacity
from wsframe.server.activation import is_activated
from wsframe.server.addresses import InheritedAddress, PassedAddress, ServerAddress, TcpAddress, UnixAddress
from wsframe.server.bind import bound, check_inherited, made_owner

__all__ = ["add_listening_options", "bound_sockets", "check_listening", "host_of", "tls_context"]

HOST = "127.0.0.1"
PORT = 8000


def add_listening_options(parser: argparse.ArgumentParser) -> None:
    option = parser.add_argument
    option("--host", help=f"name or address to bind, '*' for every address of the machine (default {HOST})")
    option("--port", type=port_number, help=f"port to bind, 0 for a free one (default {PORT})")
    option("--unix", metavar="PATH", help="serve a unix socket instead")
    option(
        "--bind", type=address, action="append", metavar="ADDRESS",
        help="serve this address too: HOST:PORT, *:PORT, [V6%%ZONE]:PORT, unix:PATH, fd:N, fd:NAME, or systemd "
        "for the sockets that systemd passes; repeatable",
    )  # fmt: skip
    option("--unix-mode", type=permissions, metavar="MODE", help="permissions of unix sockets, such as 660")
    option("--unix-owner", metavar="USER[:GROUP]", help="user and group of unix sockets, by name or number")
    option(
        "--fd", type=count, action="append", metavar="N",
        help="serve the inherited, bound socket with this file descriptor instead; repeatable",
    )  # fmt: skip
    option("--tls-cert", metavar="FILE", help="serve TLS with this certificate chain (PEM)")
    option("--tls-key", metavar="FILE", help="private key of the certificate (PEM; default: in the certificate file)")


def check_listening(args: argparse.Namespace) -> None:
    """Raise Mistake for options that contradict each other, or name files that cannot be read."""
    if args.unix is not None and (args.host is not None or args.port is not None):
        raise Mistake("give --unix, or --host and --port, not both")
    for option in ("unix", "host"):
        if getattr(args, option) == "":
            raise Mistake(f"--{option} is empty")
    if args.fd is not None and (args.unix, args.host, args.port) != (None, None, None):
        raise Mistake("give --fd without --host, --port and --unix")
    for fd in args.fd or ():
        try:
            check_inherited(fd)
        except OSError as error:
            raise Mistake(f"--fd {fd}: {error.strerror}") from None
    if args.unix_owner is not None:
        check_owner(args.unix_owner)
    if args.tls_key is not None and args.tls_cert is None:
        raise Mistake("--tls-key needs --tls-cert FILE")
    if args.tls_cert is not None:
        tls_context(args.tls_cert, args.tls_key)


def host_of(args: argparse.Namespace) -> str | None:
    return HOST if args.host is None else None if args.host == "*" else str(args.host)


@contextmanager
def bound_sockets(args: argparse.Namespace) -> Iterator[list[socket.socket]]:
    """Bind here, not in ``serve``, so that an OSError of a resource does not look like a port in use."""
    owner = made_owner(args.unix_mode, args.unix_owner)
    with ExitStack() as stack:
        try:
            sockets = stack.enter_context(bound(addresses_of(args), made_capacity(args).backlog, owner))
        except OSError as error:
            raise Mistake(error.strerror or str(error)) from None
        yield sockets


def addresses_of(args: argparse.Namespace) -> list[ServerAddress]:
    """Return the addresses to bind: those named, those that systemd passes, or else the default."""
    addresses: list[ServerAddress] = [InheritedAddress(fd) for fd in args.fd or ()]
    if args.unix is not None:
        addresses.append(UnixAddress(args.unix))
    others = addresses or args.bind or is_activated()
    if not others or (args.host, args.port) != (None, None):
        addresses.append(TcpAddress(host_of(args), PORT if args.port is None else args.port))
    addresses += args.bind or ()
    if (args.unix_mode, args.unix_owner) != (None, None) and not any(isinstance(one, UnixAddress) for one in addresses):
        raise Mistake("--unix-mode and --unix-owner need --unix PATH or --bind unix:PATH")
    if is_activated() and args.fd is None and not any(isinstance(one, PassedAddress) for one in addresses):
        addresses.append(PassedAddress(""))
    return addresses


def check_owner(owner: str) -> None:
    try:
        made_owner(None, owner)
    except ValueError as error:
        raise Mistake(str(error).replace("unix_owner", "--unix-owner")) from None


def tls_context(certificate: str, key: str | None) -> ssl.SSLContext:
    for option, path in (("--tls-cert", certificate), ("--tls-key", key)):
        try:
            if path is not None:
                Path(path).read_bytes()
        except OSError as error:
            raise Mistake(f"{option}: cannot read {path}: {error.strerror}") from None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(certificate, key)
    except (ssl.SSLError, OSError) as error:
        files = certificate if key is None else f"{certificate} with {key}"
        raise Mistake(f"{files}: expected a PEM certificate and its private key ({error})") from None
    return context
