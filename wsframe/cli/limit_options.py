"""The flags of ``wsframe serve`` for Capacity, Limits, Timeouts and Deflate: one for each field."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from re import sub
from typing import Any, NamedTuple, TypeVar

from wsframe.cli.arguments import count, integer, number, or_none, size
from wsframe.cli.errors import Mistake
from wsframe.limits import DEFAULT_LIMITS, DEFAULT_TIMEOUTS, Capacity, Limits, Timeouts
from wsframe.protocol.deflate import Deflate

__all__ = ["FLAGS", "add_limit_options", "made_capacity", "made_deflate", "made_limits", "made_timeouts"]

MadeT = TypeVar("MadeT")


class Flag(NamedTuple):
    """One flag, and the field it fills."""

    name: str
    options: type
    field: str
    read: Callable[[str], object]
    metavar: str
    help: str


FLAGS = (
    Flag("--max-clients", Capacity, "max_clients", or_none(count), "N", "clients connected at the same time"),
    Flag(
        "--max-clients-per-address", Capacity, "max_clients_per_address", or_none(count), "N",
        "clients connected from one address (IPv6: one /64)",
    ),
    Flag("--max-pending-handshakes", Capacity, "max_pending_handshakes", count, "N", "unfinished handshakes"),
    Flag("--max-head", Capacity, "max_head", size, "SIZE", "largest request head"),
    Flag("--max-body", Capacity, "max_body", size, "SIZE", "largest body of a plain HTTP request"),
    Flag("--max-total-queued-bytes", Capacity, "max_queued_bytes", size, "SIZE", "bytes held for all clients together"),
    Flag("--backlog", Capacity, "backlog", count, "N", "connections waiting in the kernel for accept"),
    Flag("--max-message", Limits, "max_message", size, "SIZE", "largest message to accept"),
    Flag("--max-frame", Limits, "max_frame", or_none(size), "SIZE", "largest frame to accept"),
    Flag("--max-fragments", Limits, "max_fragments", count, "N", "most frames in one message"),
    Flag("--max-queued-messages", Limits, "max_queued_messages", count, "N", "received messages waiting for hooks"),
    Flag("--max-queued-bytes", Limits, "max_queued_bytes", size, "SIZE", "received bytes waiting for hooks"),
    Flag("--max-outbox", Limits, "max_outbox", size, "SIZE", "bytes waiting to be sent"),
    Flag("--unsent-low-water", Limits, "unsent_low_water", size, "SIZE", "unsent bytes in the kernel"),
    Flag(
        "--max-message-rate", Limits, "max_message_rate", or_none(number), "N",
        "received messages and control frames per second",
    ),
    Flag("--max-byte-rate", Limits, "max_byte_rate", or_none(size), "SIZE", "received bytes per second"),
    Flag("--handshake-timeout", Timeouts, "handshake", number, "SECONDS", "time limit from accept to the 101"),
    Flag("--ping-interval", Timeouts, "ping_interval", or_none(number), "SECONDS", "silence before a ping"),
    Flag("--ping-timeout", Timeouts, "ping_timeout", number, "SECONDS", "silence after a ping, before disconnecting"),
    Flag(
        "--write-stall-timeout", Timeouts, "write_stall", number, "SECONDS",
        "disconnect a peer that accepts no data for this long",
    ),
    Flag("--close-timeout", Timeouts, "close", number, "SECONDS", "wait this long for the peer's close frame"),
    Flag("--lame-duck", Timeouts, "lame_duck", number, "SECONDS", "go on for this long after an order to stop"),
    Flag("--drain-timeout", Timeouts, "drain", number, "SECONDS", "wait this long for clients and hooks at the end"),
    Flag("--slow-hook", Timeouts, "slow_hook", or_none(number), "SECONDS", "log a hook that takes longer"),
    Flag("--hook-timeout", Timeouts, "hook", or_none(number), "SECONDS", "time limit for one call of a hook"),
    Flag("--worker-timeout", Timeouts, "worker", or_none(number), "SECONDS", "kill a worker that stands still so long"),
    Flag("--deflate-window-bits", Deflate, "window_bits", count, "BITS", "the window is 2 to this power, 9 to 15"),
    Flag("--deflate-mem-level", Deflate, "mem_level", count, "N", "memory of one compressor, 1 to 9"),
    Flag("--deflate-level", Deflate, "level", integer, "N", "effort, 1 (fast) to 9 (small)"),
    Flag("--deflate-threshold", Deflate, "threshold", size, "SIZE", "shorter messages are sent uncompressed"),
)  # fmt: skip

GROUPS: dict[type[Any], tuple[str, Any]] = {
    Capacity: ("capacity of the server", Capacity()),
    Limits: ("limits of one client", DEFAULT_LIMITS),
    Timeouts: ("timeouts of one client", DEFAULT_TIMEOUTS),
    Deflate: ("compression of messages (permessage-deflate)", None),
}


def add_limit_options(parser: argparse.ArgumentParser) -> None:
    """Add all flags, in groups; a resource that sets an option itself keeps its own value."""
    for options, (title, defaults) in GROUPS.items():
        group = parser.add_argument_group(title)
        if options is Deflate:
            group.add_argument("--deflate", choices=("shared", "dedicated"), help="compress for clients that offer it")
        for flag in FLAGS:
            if flag.options is options:
                text = (
                    flag.help if defaults is None else f"{flag.help} (default {shown(getattr(defaults, flag.field))})"
                )
                group.add_argument(
                    flag.name, type=flag.read, metavar=flag.metavar, default=argparse.SUPPRESS, help=text
                )


def shown(value: float | None) -> str:
    """Write a default in the form that a user can type."""
    if value is None:
        return "none"
    for unit, factor in (("M", 1024**2), ("K", 1024)):
        if value >= 8 * 1024 and value % factor == 0:
            return f"{value / factor:.0f}{unit}"
    return f"{value:g}"


def made_capacity(args: argparse.Namespace) -> Capacity:
    return made(Capacity, Capacity, args)


def made_limits(args: argparse.Namespace) -> Limits:
    return made(Limits, Limits, args)


def made_timeouts(args: argparse.Namespace) -> Timeouts:
    return made(Timeouts, Timeouts, args)


def made_deflate(args: argparse.Namespace) -> Deflate | None:
    if args.deflate is not None:
        return made(Deflate, Deflate.shared if args.deflate == "shared" else Deflate.dedicated, args)
    for flag in given_flags(Deflate, args):
        raise Mistake(f"{flag.name} needs --deflate")
    return None


def made(options: type, make: Callable[..., MadeT], args: argparse.Namespace) -> MadeT:
    """Make an option object from the flags given; an error for a wrong value names its flag."""
    given = given_flags(options, args)
    try:
        return make(**{flag.field: value for flag, value in given.items()})
    except ValueError as error:
        text = str(error)
        for flag in given:
            text = sub(rf"{options.__name__}\.{flag.field}\b", flag.name, text)
        raise Mistake(text) from None


def given_flags(options: type, args: argparse.Namespace) -> dict[Flag, object]:
    """Return the flags that were given, with their values, which can be None."""
    names = {flag.name[2:].replace("-", "_"): flag for flag in FLAGS if flag.options is options}
    return {flag: getattr(args, name) for name, flag in names.items() if name in args}
