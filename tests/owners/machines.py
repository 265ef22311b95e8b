"""The machines of the servers: network namespaces around one with the engine and the clients, as root; else one host.

A server's machine is cut off by its cable, or in silence: packets to it are lost on the way.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.engine_faults.network import impossible, ip

__all__ = ["CENTER", "Machines", "machines"]

CENTER = "10.78.0.1"
"""The address of the engine's machine."""


class Machines:
    """The machines.

    Args:
        count: How many servers there are.
    """

    def __init__(self, count: int) -> None:
        self.apart: str = impossible()
        """Why there are no machines; ``""`` if there are."""
        self.center = f"wsf-center-{os.getpid()}"
        self.names = [f"wsf-server-{os.getpid()}-{number}" for number in range(count)]

    @staticmethod
    def address(number: int) -> str:
        """Return the address of a server's machine."""
        return f"10.78.{number + 1}.2"

    @staticmethod
    def gate(number: int) -> str:
        """Return the address of the center towards a server's machine."""
        return f"10.78.{number + 1}.1"

    def inside(self, name: str) -> list[str]:
        """Return the beginning of a command that runs on a machine."""
        return ["ip", "netns", "exec", name]

    def make(self) -> None:
        """Make them."""
        for name in (self.center, *self.names):
            ip("netns", "add", name)
            ip("-n", name, "link", "set", "lo", "up")
        ip("-n", self.center, "addr", "add", f"{CENTER}/32", "dev", "lo")
        for number, name in enumerate(self.names):
            near = f"veth{number}"
            ip("link", "add", near, "netns", self.center, "type", "veth", "peer", "name", "eth0", "netns", name)
            ip("-n", self.center, "addr", "add", f"{self.gate(number)}/24", "dev", near)
            ip("-n", self.center, "link", "set", near, "up")
            ip("-n", name, "addr", "add", f"{self.address(number)}/24", "dev", "eth0")
            self.plug(number)
        forward = ["sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"]
        subprocess.run([*self.inside(self.center), *forward], check=True, capture_output=True)

    def unplug(self, number: int) -> None:
        """Pull the cable of a server's machine."""
        ip("-n", self.names[number], "link", "set", "eth0", "down")

    def plug(self, number: int) -> None:
        """Plug it in."""
        ip("-n", self.names[number], "link", "set", "eth0", "up")
        ip("-n", self.names[number], "route", "replace", "default", "via", self.gate(number))

    def lose(self, number: int) -> None:
        """Lose all packets to a server's machine, in silence."""
        ip("-n", self.center, "route", "add", "blackhole", f"{self.address(number)}/32")

    def find(self, number: int) -> None:
        """Lose none any more."""
        ip("-n", self.center, "route", "del", "blackhole", f"{self.address(number)}/32")

    def remove(self) -> None:
        """Remove them."""
        for name in (self.center, *self.names):
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


@contextmanager
def machines(count: int) -> Iterator[Machines]:
    """Make the machines, and move this process to the center; without root all is one host."""
    made = Machines(count)
    try:
        if not made.apart:
            made.make()
            descriptor = os.open(Path("/var/run/netns") / made.center, os.O_RDONLY)
            try:
                enter(descriptor)
            finally:
                os.close(descriptor)
        yield made
    finally:
        if not made.apart:
            made.remove()


def enter(descriptor: int) -> None:
    """Move this process to a network namespace.

    Raises:
        OSError: If the kernel refuses.
    """
    import ctypes

    library = ctypes.CDLL(None, use_errno=True)
    if library.setns(descriptor, 0x40000000):  # CLONE_NEWNET
        raise OSError(ctypes.get_errno(), "setns")
