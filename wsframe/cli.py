"""The command line: ``wsframe serve TARGET``, also as ``python -m wsframe serve TARGET``.

What the user got wrong is one line on stderr and exit code 2; a resource that cannot
start is one line behind the log's traceback, and exit code 1.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import socket
import ssl
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from inspect import iscoroutinefunction
from pathlib import Path
from traceback import extract_tb
from types import ModuleType
from typing import NoReturn

import wsframe
from wsframe import asyncapi
from wsframe.admission import HttpHandler
from wsframe.limits import Capacity
from wsframe.registry import Registry, global_registry
from wsframe.request import VERSIONS
from wsframe.server import Server
from wsframe.serving import ServeOptions, listening_sockets, run

__all__ = ["main"]

HOST = "127.0.0.1"
PORT = 8000
LEVELS = ("debug", "info", "warning", "error", "critical")

EXAMPLE = """\
examples:
  wsframe serve chat.py
  wsframe serve myproject.chat:registry --host '*' --port 443 --tls-cert chain.pem --tls-key key.pem
"""


class Mistake(Exception):
    """Something the user got wrong, in one line."""

    exit_code = 2


class Failure(Mistake):
    """A resource that cannot start, in one line; the log has its traceback."""

    exit_code = 1


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line ``argv``, by default the program's own; return the exit code."""
    args = make_parser().parse_args(argv)
    try:
        args.run(args)
    except Mistake as mistake:
        print(f"wsframe: {mistake}", file=sys.stderr)
        return mistake.exit_code
    except KeyboardInterrupt:  # before the server obeyed signals
        return 130
    return 0


def make_parser() -> argparse.ArgumentParser:
    parser = Parser(prog="wsframe", description="Class-based WebSocket resources on trio and wsproto.")
    parser.add_argument("--version", action="version", version=f"wsframe {wsframe.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    serve = commands.add_parser(
        "serve",
        help="serve the resources that a module registers",
        description="Serve the resources that a module or file registers, until SIGINT or SIGTERM.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    serve.set_defaults(run=serve_target)
    add_serve_options(serve)
    schema = commands.add_parser(
        "asyncapi",
        help="describe the resources that a module registers, as an AsyncAPI document",
        description="Print an AsyncAPI 3.0 document, in JSON, of the resources that a module or file registers.",
    )
    schema.set_defaults(run=print_asyncapi)
    schema.add_argument("target", metavar="TARGET", help="as for serve")
    schema.add_argument("--title", help="title of the application (default: the name of the target)")
    schema.add_argument("--api-version", metavar="VERSION", default="1.0.0", help="default 1.0.0")
    return parser


def add_serve_options(parser: argparse.ArgumentParser) -> None:
    def option(name: str, **settings: object) -> None:
        parser.add_argument(name, **settings)  # type: ignore[arg-type]

    option(
        "target",
        metavar="TARGET",
        help="a module or a .py file that calls register_global_resource, or either with :NAME of a wsframe.Registry",
    )
    option("--host", help=f"name or address to bind, '*' for every address of the machine (default {HOST})")
    option("--port", type=port_number, help=f"port to bind, 0 for a free one (default {PORT})")
    option("--unix", metavar="PATH", help="serve a unix socket instead")
    option(
        "--allow-host",
        action="append",
        metavar="NAME",
        help="answer only to this Host name; repeatable (default: any, but on loopback only loopback names)",
    )
    option(
        "--versions",
        type=version_numbers,
        default=(13,),
        metavar="LIST",
        help="versions of the protocol, 13 and of the old ones 8, 7 and 0, as in 13,8,7 (default 13)",
    )
    option("--http-handler", metavar="NAME", help="async function of the target that answers plain HTTP requests")
    option("--max-clients", type=int, metavar="N", help="clients connected at once (default 1000)")
    option("--tls-cert", metavar="FILE", help="serve TLS with this certificate chain (PEM)")
    option("--tls-key", metavar="FILE", help="its private key (PEM; default: in the file of the certificate)")
    option("--log-level", choices=LEVELS, default="info", help="what goes to stderr (default info)")
    option(
        "--debug",
        action="store_true",
        help="enter the debugger on a hook's error, or end the server where there is no terminal",
    )


def port_number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port from 0 to 65535")
    return int(text)


def version_numbers(text: str) -> tuple[int, ...]:
    names = text.split(",")
    if "13" not in names or not {str(version) for version in VERSIONS}.issuperset(names):
        raise argparse.ArgumentTypeError(f"{text!r} is not 13 with any of 8, 7 and 0, as in 13,8,7")
    return tuple(map(int, names))


def serve_target(args: argparse.Namespace) -> None:
    if args.unix is not None and (args.host is not None or args.port is not None):
        raise Mistake("--unix excludes --host and --port")
    if args.tls_key is not None and args.tls_cert is None:
        raise Mistake("--tls-key needs --tls-cert")
    try:
        capacity = Capacity() if args.max_clients is None else Capacity(max_clients=args.max_clients)
    except ValueError:
        raise Mistake(f"--max-clients must be at least 1, not {args.max_clients}") from None
    logging.basicConfig(level=args.log_level.upper(), format="%(asctime)s %(levelname)s %(message)s")
    context = None if args.tls_cert is None else tls_context(args.tls_cert, args.tls_key)
    module, registry = load_target(args.target, debug=args.debug)
    handler = None if args.http_handler is None else find_handler(module, args.http_handler)
    host = HOST if args.host is None else None if args.host == "*" else args.host
    with bound_sockets(host, PORT if args.port is None else args.port, args.unix, capacity.backlog) as sockets:
        options: ServeOptions = {
            "host": host,
            "sockets": sockets,
            "hosts": None if args.allow_host is None else {name.lower() for name in args.allow_host},
            "versions": args.versions,
            "ssl_context": context,
            "capacity": capacity,
            "http_handler": handler,
            "debug": args.debug,
        }
        run_announced(registry, options)


def print_asyncapi(args: argparse.Namespace) -> None:
    module, registry = load_target(args.target, debug=False)
    document = asyncapi.document(
        global_registry if registry is None else registry,
        title=module.__name__ if args.title is None else args.title,
        version=args.api_version,
    )
    print(json.dumps(document, indent=2))


def run_announced(registry: Registry | None, options: ServeOptions) -> None:
    serving = False

    def started(server: Server) -> None:
        nonlocal serving
        serving = True
        announce(server)

    try:
        run(registry, started=started, **options)
    except Exception as error:
        if serving or options["debug"]:
            raise
        raise Failure(f"cannot start: {describe(error)}") from None


def announce(server: Server) -> None:
    """Print the one line that tells where the server is."""
    places = [
        f"{address} (http{address.removeprefix('ws')}/)" if address.startswith("ws") else address
        for address in server.addresses
    ]
    print(f"Serving at {', '.join(places)}", flush=True)


@contextmanager
def bound_sockets(host: str | None, port: int, unix: str | None, backlog: int) -> Iterator[list[socket.socket]]:
    """Bind here and not in ``serve``, so that an OSError of a resource is not taken for a taken port."""
    try:
        sockets = listening_sockets(host, port, None, unix, backlog)
    except OSError as error:
        place = unix or f"{'*' if host is None else host}:{port}"
        raise Mistake(f"cannot listen at {place}: {error.strerror or error}") from None
    try:
        yield sockets
    finally:
        for sock in sockets:
            sock.close()
        if unix is not None:
            with suppress(FileNotFoundError):
                os.unlink(unix)


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
        raise Mistake(f"{files}: not a certificate with its key ({error})") from None
    return context


def load_target(target: str, *, debug: bool) -> tuple[ModuleType, Registry | None]:
    """Import the target; return its module and the registry it names, if it names one."""
    # The last colon, and none in a bare file name: a path of Windows has one too.
    name, _, attribute = (target, "", "") if target.endswith(".py") else target.rpartition(":")
    if not name:
        name, attribute = target, ""
    try:
        module = import_file(Path(name)) if name.endswith(".py") else import_named(name)
    except (Mistake, KeyboardInterrupt):
        raise
    except BaseException as error:  # SystemExit too: the target ended itself
        if debug:
            raise
        raise Mistake(f"cannot import {name}: {describe(error)}") from None
    if not attribute:
        if not len(global_registry):
            raise Mistake(f"{name} registers nothing: call register_global_resource, or name a Registry: {name}:NAME")
        return module, None
    registry = find_attribute(module, attribute)
    if not isinstance(registry, Registry):
        raise Mistake(f"{target} is no wsframe.Registry but of type {type(registry).__name__}")
    if not len(registry):
        raise Mistake(f"nothing is registered in {target}")
    return module, registry


def import_named(name: str) -> ModuleType:
    if "" not in sys.path and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise Mistake(f"no module named {error.name!r}") from None
        raise
    except TypeError:
        if name.startswith("."):
            raise Mistake(f"{name!r} is not the name of a module") from None
        raise


def import_file(path: Path) -> ModuleType:
    """Import a file under its stem, with its folder first on the path, as if it were run."""
    if not path.is_file():
        raise Mistake(f"no such file: {path}")
    if path.stem in sys.modules:
        raise Mistake(f"{path}: a module named {path.stem!r} is loaded already; rename the file")
    sys.path.insert(0, str(path.resolve().parent))
    spec = spec_from_file_location(path.stem, path.resolve())
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[path.stem] = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[path.stem]
        raise
    return module


def find_attribute(module: ModuleType, name: str) -> object:
    try:
        return getattr(module, name)
    except AttributeError:
        raise Mistake(f"{module.__name__} has no attribute {name!r}") from None


def find_handler(module: ModuleType, name: str) -> HttpHandler:
    handler = find_attribute(module, name)
    if not iscoroutinefunction(handler):
        raise Mistake(f"--http-handler: {module.__name__}.{name} is no async function")
    return handler


def describe(error: BaseException) -> str:
    """Describe an exception in one line, with the place it comes from."""
    text = " ".join(f"{type(error).__name__}: {error}".split())
    if isinstance(error, SyntaxError):  # its text names the place
        return text
    frames = [frame for frame in extract_tb(error.__traceback__) if "importlib" not in frame.filename]
    return f"{text} ({frames[-1].filename}, line {frames[-1].lineno})"
