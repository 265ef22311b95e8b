"""Two machines in network namespaces, one with a node and one with its engine, and the ways to part them.

It needs root and the program ``ip``. Unix sockets go through: a program that uses one is never cut off.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

__all__ = ["ENGINE_AT", "Network", "impossible", "network"]

NODE_AT, ENGINE_AT = "10.77.9.1", "10.77.9.2"


class Network(NamedTuple):
    """Two namespaces with a link between them."""

    node: str
    engine: str

    @property
    def in_node(self) -> list[str]:
        """The beginning of a command that runs on the node's machine."""
        return ["ip", "netns", "exec", self.node]

    @property
    def in_engine(self) -> list[str]:
        """The beginning of a command that runs on the engine's machine."""
        return ["ip", "netns", "exec", self.engine]

    def link_down(self) -> None:
        """Pull the cable of the node."""
        ip("-n", self.node, "link", "set", "eth0", "down")

    def link_up(self) -> None:
        """Plug it in."""
        ip("-n", self.node, "link", "set", "eth0", "up")

    def blackhole(self) -> None:
        """Lose everything that the engine's machine sends to the node, in silence."""
        ip("-n", self.engine, "route", "add", "blackhole", f"{NODE_AT}/32")

    def end_blackhole(self) -> None:
        """Lose nothing any more."""
        ip("-n", self.engine, "route", "del", "blackhole", f"{NODE_AT}/32")


def ip(*arguments: str) -> None:
    """Run the program."""
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


def impossible() -> str:
    """Say why there can be no namespaces here; ``""`` if there can."""
    if os.name != "posix" or os.getuid() != 0:
        return "only root can make network namespaces"
    if shutil.which("ip") is None:
        return "the program ip (Debian: iproute2) is missing"
    name = f"wsf-try-{os.getpid()}"
    done = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    if done.returncode:
        return f"no network namespace can be made: {done.stderr.strip()}"
    ip("netns", "del", name)
    return ""


@contextmanager
def network() -> Iterator[Network]:
    """Make two machines; remove them at the end."""
    number = os.getpid()
    made = Network(f"wsf-node-{number}", f"wsf-engine-{number}")
    try:
        for name in made:
            ip("netns", "add", name)
        ip("link", "add", "eth0", "netns", made.node, "type", "veth", "peer", "name", "eth0", "netns", made.engine)
        for name, address in zip(made, (NODE_AT, ENGINE_AT), strict=True):
            ip("-n", name, "addr", "add", f"{address}/24", "dev", "eth0")
            for device in ("eth0", "lo"):
                ip("-n", name, "link", "set", device, "up")
        yield made
    finally:
        for name in made:
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
