"""Options and errors shared by the commands that connect to a server."""

from __future__ import annotations

import argparse
import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

from wsframe.cli.arguments import size
from wsframe.cli.errors import Failure, Mistake
from wsframe.cli.tables import printable
from wsframe.exceptions import WsframeError
from wsframe.http.client_handshake import HandshakeRejected
from wsframe.limits import Limits
from wsframe.outgoing.connect import connect
from wsframe.outgoing.exceptions import ConnectionClosed
from wsframe.outgoing.options import ConnectOptions
from wsframe.protocol.deflate import Deflate

__all__ = ["add_remote_options", "connect_options", "mistakes_told"]


def add_remote_options(parser: argparse.ArgumentParser) -> None:
    option = parser.add_argument
    option("url", metavar="URL", help="ws:// or wss://, with user:password@ for basic authentication")
    option("--header", action="append", metavar="'NAME: VALUE'", help="add this field to the request; repeatable")
    option("--subprotocol", action="append", metavar="NAME", help="offer this subprotocol; repeatable")
    option(
        "--keep-on-redirect", action="append", metavar="NAME",
        help="send this field of --header to the target of a redirect to another origin too (Sec-WebSocket-Protocol "
        "means the subprotocols); repeatable",
    )  # fmt: skip
    option("--insecure", action="store_true", help="accept any certificate: no protection against attackers")
    option("--unix", metavar="PATH", help="connect to this unix socket; the URL still gives host and path")
    option("--compress", action="store_true", help="offer compression (permessage-deflate)")
    option("--max-message", type=size, metavar="SIZE", help="largest message to accept (default 1M)")


def connect_options(args: argparse.Namespace) -> ConnectOptions:
    """Return the options of ``connect`` that the arguments name."""
    options: ConnectOptions = {
        "headers": [header(text) for text in args.header or ()],
        "subprotocols": args.subprotocol or (),
        "keep_on_redirect": args.keep_on_redirect or (),
        "unix": args.unix,
        "deflate": Deflate.dedicated() if args.compress else None,
    }
    if args.insecure:
        options["ssl_context"] = ssl._create_unverified_context()
    if args.max_message is not None:
        try:
            options["limits"] = Limits(max_message=args.max_message)
        except ValueError:
            raise Mistake("--max-message must be at least 1, not 0") from None
    try:
        connect(args.url, **options)
    except ValueError as error:
        raise Mistake(str(error)) from None
    return options


def header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon:
        raise Mistake(f"--header must be 'NAME: VALUE', got {text!r}")
    return name.strip(), value.strip()


@contextmanager
def mistakes_told() -> Iterator[None]:
    """Turn errors of a connection into one line."""
    try:
        yield
    except ExceptionGroup as group:
        first: Exception = group
        while isinstance(first, ExceptionGroup):
            first = first.exceptions[0]
        raise mistake_of(first) or first from None
    except Exception as error:
        raise mistake_of(error) or error from None


def reason_of(error: BaseException) -> str:
    """Return why a connection failed; if several addresses were tried, the reason for the first."""
    cause: BaseException = error.__cause__ or error
    while isinstance(cause, BaseExceptionGroup):
        cause = cause.exceptions[0]
    if isinstance(cause, ConnectionError) and cause.errno is not None:
        return os.strerror(cause.errno)  # its own text names the address, which the user knows
    return getattr(cause, "strerror", None) or str(error)


def mistake_of(error: Exception) -> Mistake | None:
    """Return the error line for an exception, or None if it is a bug in wsframe."""
    if isinstance(error, HandshakeRejected):
        return Failure(str(error))
    if isinstance(error, ConnectionClosed):
        return Failure(f"the connection has ended: {printable(str(error))}")
    if isinstance(error, ssl.SSLCertVerificationError):
        hint = "set SSL_CERT_FILE=FILE to trust a certificate, or use --insecure to accept any"
        return Failure(f"cannot connect: {printable(reason_of(error))}; {hint}")
    if isinstance(error, WsframeError | OSError):
        return Failure(f"cannot connect: {printable(reason_of(error))}")
    return error if isinstance(error, Mistake) else None
