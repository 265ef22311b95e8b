"""The foreign peers: the needs of each, its command, and the differences of its library."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import MappingProxyType
from typing import Literal, TypeAlias

from tests.requirements import NODE, missing, require, require_node

__all__ = ["ENVIRONMENT", "PEERS", "PROGRAMS", "PROXIES", "Peer", "Proxy"]

Role: TypeAlias = Literal["client", "server"]
Version: TypeAlias = Callable[[], str]
"""Returns the installed version; skips the test, or fails it, if nothing is installed."""

PROGRAMS = Path(__file__).with_name("programs")

# Debian's Go packages are in no module; those of Node belong to the programs in tests/node.
ENVIRONMENT = {
    **os.environ,
    "GO111MODULE": "off",
    "GOPATH": "/usr/share/gocode",
    "GOFLAGS": "",
    "NODE_PATH": str(NODE / "node_modules"),
    "PYTHONUNBUFFERED": "1",
    "LC_ALL": "C.UTF-8",
    "MOJO_LOG_LEVEL": "fatal",
}


@dataclass(frozen=True, kw_only=True)
class Peer:
    """One library of others.

    Args:
        name: Its name in tests and in the record.
        program: The file in ``programs``; its ending tells how it is started.
        version: Returns its installed version.
        roles: The roles that it can have.
        usual: Whether it takes part in the usual tests; the others run in ``nox -s foreign``.
        compresses: Whether it agrees to permessage-deflate, by role.
        says: Its answers to commands that its library cannot carry out as asked.
        differs: Its differences, by the name of the expectation that does not hold, with the reason.
    """

    name: str
    program: str
    version: Version
    roles: tuple[Role, ...] = ("client", "server")
    usual: bool = False
    compresses: tuple[Role, ...] = ("client", "server")
    says: Mapping[str, str] = field(default_factory=dict)
    differs: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name

    def command(self, place: Path) -> list[str]:
        """Return the command that starts it; ``place`` is a folder for builds."""
        source = PROGRAMS / self.program
        match source.suffix:
            case ".py":
                return [sys.executable, str(source)]
            case ".go":
                built = place / source.stem
                if not built.exists():
                    command = [require("go"), "build", "-o", str(built), str(source)]
                    subprocess.run(command, env=ENVIRONMENT, check=True, timeout=250)
                return [str(built)]
            case suffix:
                interpreter = {".java": "java", ".js": "node", ".gjs": "gjs", ".pl": "perl", ".rb": "ruby"}[suffix]
                return [require(interpreter), str(source)]


@dataclass(frozen=True, kw_only=True)
class Proxy:
    """One proxy.

    Args:
        name: Its name in tests and in the record.
        version: Returns its installed version.
        config: Its configuration in ``programs``, in which ``SHOWN`` stands for a file that the documents show.
        shown: That file, in ``docs/examples/proxies``.
        command: The command that starts it, with ``{config}``, ``{place}`` and ``{port}``.
        protocol: Whether it sends a PROXY header.
        tls: Where the TLS of its clients ends, if they use TLS.
        secure: Whether our server knows of that TLS.
        usual: Whether it takes part in the usual tests.
    """

    name: str
    version: Version
    config: str
    shown: str
    command: tuple[str, ...]
    protocol: bool = False
    tls: Literal["proxy", "server"] | None = None
    secure: bool = False
    usual: bool = False

    def __str__(self) -> str:
        return self.name


def pypi(name: str) -> Version:
    def found() -> str:
        try:
            return f"{name} {version(name)}"
        except PackageNotFoundError:
            missing(f"{name} is not installed")

    return found


def npm(name: str) -> Version:
    def found() -> str:
        require_node()
        about = json.loads((NODE / "node_modules" / name / "package.json").read_text())
        return f"{name} {about['version']}"

    return found


def debian(package: str) -> Version:
    def found() -> str:
        command = [require("dpkg-query"), "-W", "-f", "${Version}", package]
        told = subprocess.run(command, capture_output=True, text=True, check=False)
        if told.returncode or not told.stdout:
            missing(f"Debian's {package} is not installed")
        return f"{package} {told.stdout}"

    return found


def printed(*command: str) -> Version:
    """Tell the version by the first line that a program prints, less the words after the version."""

    def found() -> str:
        told = subprocess.run([require(command[0]), *command[1:]], capture_output=True, text=True, check=True)
        (first, *_) = (told.stdout or told.stderr).splitlines()
        version = re.match(r".*?\d[\w.+-]*", first)
        return version[0].replace("(", "") if version else first

    return found


CANNOT = MappingProxyType({"ping": "cannot", "fragments": "cannot"})
NO_FRAGMENTS = MappingProxyType({"fragments": "cannot"})
NO_STATUS = MappingProxyType({"status": "its users are not told the status"})
KEEPS_CONTEXT = "as a client it goes on compressing with its context after client_no_context_takeover"
TO_1013 = MappingProxyType({"1014": "it takes the code for a violation"})
TO_1011 = MappingProxyType(dict.fromkeys(("1012", "1013", "1014"), "it takes the code for a violation"))

PEERS = (
    Peer(
        name="jdk",
        program="Jdk.java",
        version=printed("java", "--version"),
        roles=("client",),
        usual=True,
        compresses=(),
        differs={"1010": "it takes the code for a violation, which a server has no use for"},
    ),
    Peer(
        name="tornado",
        program="tornado_peer.py",
        version=pypi("tornado"),
        usual=True,
        says=NO_FRAGMENTS,
        differs={"context read": KEEPS_CONTEXT},
    ),
    Peer(name="ws", program="ws.js", version=npm("ws"), usual=True),
    Peer(name="websocket", program="websocket.js", version=npm("websocket"), usual=True, compresses=()),
    Peer(
        name="undici",
        program="undici.js",
        version=npm("undici"),
        roles=("client",),
        usual=True,
        says=CANNOT,
        differs=NO_STATUS,
    ),
    Peer(
        name="firefox",
        program="firefox.py",
        version=printed("firefox-esr", "--version"),
        roles=("client",),
        says=CANNOT,
        differs=NO_STATUS,
    ),
    Peer(
        name="gorilla",
        program="gorilla.go",
        version=debian("golang-github-gorilla-websocket-dev"),
        # It makes frames of a message that its buffer cannot hold.
        says={"fragments": "in three parts" * 3000},
        differs=TO_1013,
    ),
    Peer(name="nhooyr", program="nhooyr.go", version=debian("golang-nhooyr-websocket-dev")),
    Peer(
        name="mojolicious",
        program="mojolicious.pl",
        version=debian("libmojolicious-perl"),
        differs={"context read": KEEPS_CONTEXT},
    ),
    Peer(
        name="socketify",
        program="socketify_peer.py",
        version=pypi("socketify"),
        roles=("server",),
        says=NO_FRAGMENTS,
        differs={**TO_1011, "3000": "it takes the code for a violation"},
    ),
    Peer(name="aiohttp", program="aiohttp_peer.py", version=pypi("aiohttp"), says=NO_FRAGMENTS),
    Peer(name="faye", program="faye.js", version=npm("faye-websocket"), says=NO_FRAGMENTS, differs=TO_1011),
    Peer(name="picows", program="picows_peer.py", version=pypi("picows"), compresses=(), says={"refusal": "404"}),
    Peer(name="autobahn", program="autobahn_peer.py", version=pypi("autobahn"), differs=TO_1013),
    Peer(
        name="websocket-client",
        program="websocket_client.py",
        version=pypi("websocket-client"),
        roles=("client",),
        compresses=(),
    ),
    Peer(
        name="anyevent",
        program="anyevent.pl",
        version=debian("libanyevent-websocket-client-perl"),
        roles=("client",),
        says=CANNOT,
        compresses=(),
        differs={"clean": "it answers a close frame with code 1005, which must not be sent"},
    ),
    Peer(
        name="ruby-faye",
        program="faye.rb",
        version=debian("ruby-faye-websocket"),
        roles=("client",),
        says=NO_FRAGMENTS,
        compresses=(),
        differs=TO_1011,
    ),
    Peer(
        name="libsoup",
        program="soup.gjs",
        version=debian("gir1.2-soup-3.0"),
        says=CANNOT,
        differs={"list": "as a server it takes every offer of a list at once, where one alone may be taken"},
    ),
)

HAPROXY = ("haproxy", "-db", "-f", "{config}")

PROXIES = (
    Proxy(
        name="haproxy",
        version=printed("haproxy", "-v"),
        config="haproxy.cfg",
        shown="haproxy.cfg",
        command=HAPROXY,
        usual=True,
    ),
    Proxy(
        name="haproxy-tcp",
        version=printed("haproxy", "-v"),
        config="haproxy-tcp.cfg",
        shown="haproxy-tcp.cfg",
        command=HAPROXY,
        protocol=True,
        tls="proxy",
        secure=True,
        usual=True,
    ),
    Proxy(
        name="haproxy-tls",
        version=printed("haproxy", "-v"),
        config="haproxy-tls.cfg",
        shown="haproxy-tls.cfg",
        command=HAPROXY,
        protocol=True,
        tls="server",
        secure=True,
        usual=True,
    ),
    Proxy(
        name="nginx",
        version=printed("nginx", "-v"),
        config="nginx.conf",
        shown="nginx.conf",
        command=("nginx", "-p", "{place}", "-c", "{config}"),
        usual=True,
    ),
    Proxy(
        name="lighttpd",
        version=printed("lighttpd", "-v"),
        config="lighttpd.conf",
        shown="lighttpd.conf",
        command=("lighttpd", "-D", "-f", "{config}"),
    ),
    Proxy(
        name="apache",
        version=printed("apache2", "-v"),
        config="apache.conf",
        shown="apache.conf",
        command=("apache2", "-DFOREGROUND", "-f", "{config}"),
    ),
    Proxy(
        name="caddy",
        version=debian("caddy"),
        config="Caddyfile",
        shown="Caddyfile",
        command=("caddy", "run", "--config", "{config}", "--adapter", "caddyfile"),
    ),
    Proxy(
        name="varnish",
        version=printed("varnishd", "-V"),
        config="varnish.vcl",
        shown="varnish.vcl",
        command=("varnishd", "-j", "none", "-F", "-a", "127.0.0.1:{port}", "-f", "{config}", "-n", "{place}"),
    ),
    Proxy(
        name="stunnel",
        version=debian("stunnel4"),
        config="stunnel.conf",
        shown="stunnel.conf",
        command=("stunnel", "{config}"),
        protocol=True,
        tls="proxy",
    ),
    Proxy(
        name="hitch",
        version=printed("hitch", "--version"),
        config="hitch.conf",
        shown="hitch.conf",
        command=("hitch", "--config={config}"),
        protocol=True,
        tls="proxy",
        secure=True,
    ),
)
