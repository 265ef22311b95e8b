"""The same conditions for all measured servers, whatever library they use."""

from __future__ import annotations

import argparse
import json
import resource
import ssl
import sys
import threading
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass
from types import CodeType, FrameType

__all__ = ["BACKLOG", "HOST", "MAX_CLIENTS", "MAX_MESSAGE", "Terms", "read_terms"]

HOST = "127.0.0.1"
MAX_MESSAGE = 16 * 1024 * 1024
MAX_CLIENTS = 100_000
BACKLOG = 4096


@dataclass(frozen=True, kw_only=True)
class Terms:
    """The settings that differ from run to run."""

    port: int
    certificate: str | None
    """A file with certificate and key, for TLS; None without TLS."""
    uvloop: bool
    deflate: bool = False
    """Whether messages are compressed if the client offers it."""
    metrics_port: int | None = None
    """A port for the page of metrics, which wsframe alone has."""

    def ssl_context(self) -> ssl.SSLContext | None:
        """Return the SSL context, or None without TLS."""
        if self.certificate is None:
            return None
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.certificate)
        return context

    def run_asyncio(self, main: Coroutine[object, object, None]) -> None:
        """Run a coroutine on the requested event loop."""
        if self.uvloop:
            import uvloop

            uvloop.run(main)
        else:
            import asyncio

            asyncio.run(main)


def read_terms() -> Terms:
    """Read the command line, raise the limit of descriptors, and count calls if requested."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--certificate", metavar="FILE", help="serve TLS with this certificate and key")
    parser.add_argument("--uvloop", action="store_true", help="run asyncio on uvloop")
    parser.add_argument("--deflate", action="store_true", help="compress messages")
    parser.add_argument("--count-calls", action="store_true", help="print the calls so far for each line of input")
    parser.add_argument("--metrics-port", type=int, help="serve the page of metrics at this port")
    options = parser.parse_args()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if options.count_calls:
        count_calls()
    return Terms(
        port=options.port,
        certificate=options.certificate,
        uvloop=options.uvloop,
        deflate=options.deflate,
        metrics_port=options.metrics_port,
    )


def count_calls() -> None:
    """Count the calls of this thread; for each line on standard input, print them as JSON."""
    python: Counter[CodeType] = Counter()
    builtin: Counter[str] = Counter()

    def count(frame: FrameType, event: str, argument: object) -> None:
        if event == "call":
            python[frame.f_code] += 1
        elif event == "c_call":
            builtin[getattr(argument, "__qualname__", str(argument))] += 1

    def tell() -> None:
        for _ in sys.stdin:
            calls: Counter[str] = Counter()
            for code, times in python.copy().items():
                calls[f"{code.co_filename}:{code.co_qualname}"] += times
            print(json.dumps({"python": calls, "builtin": builtin.copy()}), flush=True)

    threading.Thread(target=tell, daemon=True).start()
    sys.setprofile(count)
