"""The loads to measure: single scenarios, and series along one axis."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

__all__ = ["RECORDED", "SCENARIOS", "SERIES", "USUAL", "Scenario", "Series", "choose"]

KIB = 1024


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One load."""

    name: str
    about: str
    mode: Literal["echo", "broadcast", "connect", "idle"] = "echo"
    connections: int
    active: int = 0
    """How many of the connections send; 0 for all."""
    window: int = 1
    """Messages in flight for each connection, or broadcasts in flight."""
    size: int = 64
    text: bool = False
    tls: bool = False
    fragments: int = 1
    """Frames of each message that a client sends."""
    deflate: bool = False
    """Whether messages are compressed, both ways; no side keeps its context."""
    pings: bool = False
    """Whether pings are sent and pongs come back, in the place of messages."""
    path: str = ""
    """The path to connect to; empty for the one of the mode."""
    programs: tuple[str, ...] = ()
    """The servers that have this path; empty for all."""

    def arguments(self) -> list[str]:
        """Return the arguments for the load generator."""
        named: dict[str, str | int] = {
            "mode": self.mode,
            "connections": self.connections,
            "window": self.window,
            "size": self.size,
        }
        if self.active:
            named["active"] = self.active
        if self.fragments > 1:
            named["fragments"] = self.fragments
        if self.path:
            named["path"] = self.path
        words = [word for name, value in named.items() for word in (f"--{name}", str(value))]
        flags = {"--text": self.text, "--tls": self.tls, "--deflate": self.deflate, "--ping": self.pings}
        return [*words, *(flag for flag, wanted in flags.items() if wanted)]


@dataclass(frozen=True, kw_only=True)
class Series:
    """Scenarios that differ in one number."""

    name: str
    title: str
    axis: str
    points: tuple[tuple[int, str], ...]
    """The numbers, with the names of their scenarios."""


def in_bytes(size: int) -> str:
    """Write a size for people."""
    for unit, factor in (("MiB", KIB * KIB), ("KiB", KIB)):
        if size >= factor:
            return f"{size // factor} {unit}"
    return f"{size} B"


def broadcast_to(receivers: int, name: str) -> Scenario:
    """Make a scenario where one client sends and all receive."""
    about = f"{receivers} receivers, 4 in flight"
    return Scenario(name=name, about=about, mode="broadcast", connections=receivers, window=4, text=True)


CLIENTS = (100, 1000, 10_000)
SIZES = tuple(64 * 4**power for power in range(8))
FAN_OUTS = (10, 100, 1000)

POINTS = (
    Scenario(name="echo", about="100 clients, 64 B of text", connections=100, text=True),
    Scenario(name="echo-1", about="1 client, 64 B of text", connections=1, text=True),
    Scenario(name="echo-3", about="3 clients, 64 B of text", connections=3, text=True),
    Scenario(name="echo-10", about="10 clients, 64 B of text", connections=10, text=True),
    Scenario(name="echo-16", about="100 clients, 16 in flight each", connections=100, window=16, text=True),
    Scenario(name="echo-large", about="2 clients, 1 MiB", connections=2, size=KIB * KIB),
    Scenario(name="fragments-2", about="100 clients, 64 B in 2 fragments", connections=100, text=True, fragments=2),
    Scenario(name="fragments-64", about="1 client, 16 KiB in 64 fragments", connections=1, size=16 * KIB, fragments=64),
    Scenario(name="deflate", about="50 clients, 1 KiB, compressed", connections=50, size=KIB, text=True, deflate=True),
    Scenario(
        name="deflate-large",
        about="10 clients, 16 KiB, compressed",
        connections=10,
        size=16 * KIB,
        text=True,
        deflate=True,
    ),
    Scenario(name="pings", about="100 clients, pings of 64 B", connections=100, pings=True),
    Scenario(name="bursts", about="100 clients, 300 B, 3 in flight", connections=100, window=3, size=300, text=True),
    Scenario(name="few-talk", about="10 of 1 000 clients send", connections=1000, active=10, text=True),
    Scenario(
        name="waiting",
        about="echo; the hook waits once",
        connections=100,
        text=True,
        path="/waiting",
        programs=("serve_wsframe", "serve_aiohttp", "serve_websockets"),
    ),
    Scenario(
        name="by-client",
        about="echo, an order for each client",
        connections=100,
        text=True,
        path="/by-client",
        programs=("serve_wsframe",),
    ),
    Scenario(name="echo-tls", about="echo over TLS", connections=100, text=True, tls=True),
    broadcast_to(1000, "broadcast"),
    replace(broadcast_to(100, "broadcast-tls"), about="100 receivers over TLS, 4 in flight", tls=True),
    replace(
        broadcast_to(300, "broadcast-deflate"),
        about="300 receivers, 1 KiB, compressed, 4 in flight",
        size=KIB,
        deflate=True,
    ),
    Scenario(name="connect", about="10 at a time: connect, echo, close", mode="connect", connections=10),
    Scenario(name="connect-tls", about="connect over TLS", mode="connect", connections=10, tls=True),
    Scenario(name="idle", about="1 000 clients that do nothing", mode="idle", connections=1000),
)
USUAL = tuple(scenario.name for scenario in POINTS)
MANY = tuple(
    Scenario(name=f"clients-{count}", about=f"100 of {count} clients send", connections=count, active=100, text=True)
    for count in CLIENTS
)
SIZED = tuple(
    Scenario(name=f"size-{size}", about=f"10 clients, {in_bytes(size)}", connections=10, size=size) for size in SIZES
)
FANNED = tuple(broadcast_to(count, f"fan-out-{count}") for count in FAN_OUTS)
RECORDED = (
    *(f"echo{few}" for few in ("", "-1", "-3", "-10", "-16", "-large", "-tls")),
    *("fragments-2", "fragments-64", "deflate", "deflate-large", "size-65536", "size-262144"),
    *("pings", "bursts", "few-talk", "waiting", "by-client"),
    *("broadcast", "broadcast-deflate", "connect", "connect-tls", "idle"),
)
"""The loads of the recorded results."""
SERIES = (
    Series(
        name="clients",
        title="100 clients send, the others are idle",
        axis="clients connected",
        points=tuple((each.connections, each.name) for each in MANY),
    ),
    Series(
        name="sizes",
        title="echo to 10 clients",
        axis="bytes of a message",
        points=tuple((each.size, each.name) for each in SIZED),
    ),
    Series(
        name="fan-out",
        title="broadcast, 4 in flight",
        axis="receivers",
        points=tuple((each.connections, each.name) for each in FANNED),
    ),
)
SCENARIOS = {scenario.name: scenario for scenario in (*POINTS, *MANY, *SIZED, *FANNED)}


def choose(names: Iterable[str]) -> list[Scenario]:
    """Return the scenarios of these names, where ``usual``, ``recorded``, ``all`` and a series stand for several.

    Raises:
        KeyError: For an unknown name.
    """
    several = {series.name: [name for _, name in series.points] for series in SERIES}
    several |= {"usual": list(USUAL), "recorded": list(RECORDED), "all": list(SCENARIOS)}
    chosen = dict.fromkeys(one for name in names for one in several.get(name, [name]))
    return [SCENARIOS[name] for name in chosen]
