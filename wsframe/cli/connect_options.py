"""What the commands need that connect to a server: their common options, and what can go wrong."""

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
    option("--header", action="append", metavar="'NAME: VALUE'", help="a field of the request; repeatable")
    option("--subprotocol", action="append", metavar="NAME", help="a subprotocol to offer; repeatable")
    option(
        "--keep-on-redirect", action="append", metavar="NAME",
        help="a field of --header that a redirect to another origin takes along; Sec-WebSocket-Protocol stands for "
        "the subprotocols; repeatable",
    )  # fmt: skip
    option("--insecure", action="store_true", help="take any certificate for the server's: no protection at all")
    option("--unix", metavar="PATH", help="connect to this unix socket; the URL still names host and path")
    option("--compress", action="store_true", help="offer compression (permessage-deflate)")
    option("--max-message", type=size, metavar="SIZE", help="the largest message taken (default 1M)")


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
        raise Mistake(f"--header: {text!r} is not 'NAME: VALUE'")
    return name.strip(), value.strip()


@contextmanager
def mistakes_told() -> Iterator[None]:
    """Turn what goes wrong with a connection into one line."""
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
    """Return why a connection failed: of several addresses that were tried, the first's reason."""
    cause: BaseException = error.__cause__ or error
    while isinstance(cause, BaseExceptionGroup):
        cause = cause.exceptions[0]
    if isinstance(cause, ConnectionError) and cause.errno is not None:
        return os.strerror(cause.errno)  # its own text names the address, which the user knows
    return getattr(cause, "strerror", None) or str(error)


def mistake_of(error: Exception) -> Mistake | None:
    """Return the line for what went wrong; None for what is a bug of ours."""
    if isinstance(error, HandshakeRejected):
        return Failure(str(error))
    if isinstance(error, ConnectionClosed):
        return Failure(f"the connection has ended: {printable(str(error))}")
    if isinstance(error, ssl.SSLCertVerificationError):
        hint = "--insecure takes any certificate, SSL_CERT_FILE=FILE in the environment that one"
        return Failure(f"cannot connect: {printable(reason_of(error))}; {hint}")
    if isinstance(error, WsframeError | OSError):
        return Failure(f"cannot connect: {printable(reason_of(error))}")
    return error if isinstance(error, Mistake) else None
