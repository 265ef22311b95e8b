"""The options of ``wsframe serve`` that say where it listens and how it speaks TLS."""

from __future__ import annotations

import argparse
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from wsframe.cli.arguments import address, count, permissions, port_number
from wsframe.cli.errors import Mistake
from wsframe.cli.limit_options import made_capacity
from wsframe.net.certificate import Certificate, check_readable
from wsframe.server.check_options import check_host
from wsframe.server.sockets.activation import is_activated, is_child_of_activated
from wsframe.server.sockets.addresses import InheritedAddress, PassedAddress, ServerAddress, TcpAddress, UnixAddress
from wsframe.server.sockets.bind import bound, check_inherited, made_owner
from wsframe.server.tls import read_certificates

__all__ = ["add_listen_options", "bound_sockets", "check_listen_options", "host_of", "made_certificates"]

HOST = "127.0.0.1"
PORT = 8000
PASSWORD = "WSFRAME_TLS_PASSWORD"


def add_listen_options(parser: argparse.ArgumentParser) -> None:
    option = parser.add_argument
    option("--host", help=f"name or address to bind, '*' for every address of the machine (default {HOST})")
    option("--port", type=port_number, help=f"port to bind, 0 for a free one (default {PORT})")
    option("--unix", metavar="PATH", help="serve a unix socket instead")
    option(
        "--bind", type=address, action="append", metavar="ADDRESS",
        help="serve this address too: HOST:PORT, *:PORT, [V6%%ZONE]:PORT, unix:PATH, fd:N, fd:NAME, or systemd "
        "for the sockets that systemd passes; proxy: before it has its connections begin with a PROXY header, plain: "
        "serves it without TLS; repeatable",
    )  # fmt: skip
    option("--unix-mode", type=permissions, metavar="MODE", help="permissions of unix sockets, such as 660")
    option("--unix-owner", metavar="USER[:GROUP]", help="user and group of unix sockets, by name or number")
    option(
        "--fd", type=count, action="append", metavar="N",
        help="serve the inherited, bound socket with this file descriptor instead; repeatable",
    )  # fmt: skip
    option(
        "--tls-cert", action="append", metavar="FILE",
        help="serve TLS with this certificate chain (PEM); repeatable: clients choose by name (SNI), the first is "
        "the default",
    )  # fmt: skip
    option(
        "--tls-key", action="append", metavar="FILE",
        help="private key of the certificate (PEM; default: in the certificate file); one for each --tls-cert",
    )  # fmt: skip
    option(
        "--tls-password-file", metavar="FILE",
        help=f"file with the password of encrypted keys (default: the environment variable {PASSWORD})",
    )  # fmt: skip
    option("--client-ca", metavar="FILE", help="ask clients for certificates of these authorities (PEM)")
    option(
        "--client-certificates", choices=("required", "optional"),
        help="whether clients without a certificate are refused (default required)",
    )  # fmt: skip


def check_listen_options(args: argparse.Namespace) -> None:
    """Raise Mistake for options that contradict each other, or name files that cannot be read."""
    if args.unix is not None and (args.host is not None or args.port is not None):
        raise Mistake("give --unix, or --host and --port, not both")
    for option in ("unix", "host"):
        if getattr(args, option) == "":
            raise Mistake(f"--{option} is empty")
    if args.host is not None and args.host != "*" and not args.host.startswith("["):
        try:
            check_host(args.host, "--host")
        except ValueError as error:
            raise Mistake(str(error)) from None
    if args.fd is not None and (args.unix, args.host, args.port) != (None, None, None):
        raise Mistake("give --fd without --host, --port and --unix")
    for fd in args.fd or ():
        try:
            check_inherited(fd)
        except OSError as error:
            raise Mistake(f"--fd {fd}: {error.strerror}") from None
    if args.unix_owner is not None:
        check_owner(args.unix_owner)
    check_tls(args)


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
    if not others and (args.host, args.port) == (None, None) and is_child_of_activated():
        raise Mistake(
            "systemd passes sockets to the process that started this one (LISTEN_PID), which must exec it; "
            "give --port to serve another address"
        )
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


def made_certificates(args: argparse.Namespace) -> list[Certificate] | None:
    """Return the certificates that the options name; None without TLS."""
    if args.tls_cert is None:
        return None
    password = made_password(args)
    keys = args.tls_key or [None] * len(args.tls_cert)
    return [
        Certificate(certfile=certfile, keyfile=keyfile, password=password)
        for certfile, keyfile in zip(args.tls_cert, keys, strict=True)
    ]


def made_password(args: argparse.Namespace) -> str | None:
    """Return the password of encrypted keys."""
    if args.tls_password_file is None:
        return os.environ.get(PASSWORD)
    return readable("--tls-password-file", args.tls_password_file).decode("utf-8", "surrogateescape").rstrip("\r\n")


def check_tls(args: argparse.Namespace) -> None:
    """Raise Mistake for options of TLS that contradict each other, or files that cannot be served."""
    for option in ("tls_key", "client_ca", "tls_password_file"):
        if getattr(args, option) is not None and args.tls_cert is None:
            raise Mistake(f"--{option.replace('_', '-')} needs --tls-cert FILE")
    if args.client_certificates is not None and args.client_ca is None:
        raise Mistake("--client-certificates needs --client-ca FILE")
    if args.tls_cert is None:
        return
    if args.tls_key is not None and len(args.tls_key) != len(args.tls_cert):
        count = f"{len(args.tls_cert)} --tls-cert and {len(args.tls_key)} --tls-key"
        raise Mistake(f"got {count}: give a key for each certificate, in the same order, or none")
    for option in ("tls_cert", "tls_key", "client_ca"):
        given = getattr(args, option) or ()
        for path in [given] if isinstance(given, str) else given:
            readable(f"--{option.replace('_', '-')}", path)
    try:
        read_certificates(made_certificates(args) or (), args.client_ca, args.client_certificates or "required")
    except (OSError, ValueError) as error:
        raise Mistake(str(error)) from None


def readable(option: str, path: str) -> bytes:
    try:
        check_readable(path)
        return Path(path).read_bytes()
    except OSError as error:
        raise Mistake(f"{option}: {error.strerror}") from None
