"""``wsframe top``: a live view of a running server, from its admin socket."""

from __future__ import annotations

import argparse
import json
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from wsframe.cli.arguments import add_parser, number
from wsframe.cli.errors import Failure, Mistake, missing_extra
from wsframe.cli.tables import columns, printable
from wsframe.http.request import peer_name
from wsframe.log import shortened
from wsframe.server.monitoring.inquiry import REQUEST

if TYPE_CHECKING:
    from rich.console import RenderableType

    from wsframe.cli.arguments import Commands

__all__ = ["Section", "add_command", "plain", "sections"]

Snapshot: TypeAlias = dict[str, Any]
"""One answer of the admin socket."""

PATIENCE = 10.0
SHORTEST = 0.1

EXAMPLES = """\
  wsframe serve chat.py --admin chat.admin     # in one terminal
  wsframe top chat.admin                       # in another
  wsframe top chat.admin --once --json | jq .clients
"""


def add_command(commands: Commands) -> None:
    parser = add_parser(
        commands,
        "top",
        help="watch a running server",
        description="Show clients, rates, resources and the slowest clients of a server that runs with --admin PATH. "
        "The live view needs wsframe[cli].",
        examples=EXAMPLES,
    )
    option = parser.add_argument
    option("path", metavar="PATH", help="the server's admin socket")
    option("--once", action="store_true", help="print the view once, as plain text, and end")
    option("--json", action="store_true", help="print JSON objects, one per line")
    option("--interval", type=number, default=1.0, metavar="SECONDS", help="time between two updates (default 1)")
    parser.set_defaults(command=top)


def top(args: argparse.Namespace) -> None:
    if args.interval < SHORTEST:
        raise Mistake(f"--interval must be at least {SHORTEST:g} s, not {args.interval:g}")
    if not (args.once or args.json or sys.stdout.isatty()):
        raise Mistake("the live view needs a terminal: use --once or --json")
    with admin(args.path) as snapshots:
        if args.json:
            show_json(snapshots, args.interval, once=args.once)
        elif args.once:
            print(plain(sections(next(snapshots), None)))
        else:
            with suppress(KeyboardInterrupt):
                show_live(snapshots, args.interval)


@contextmanager
def admin(path: str) -> Iterator[Iterator[Snapshot]]:
    """Connect to an admin socket; each ``next`` of the iterator asks it once."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(PATIENCE)
        try:
            sock.connect(path)
        except OSError as error:
            raise Mistake(f"no server answers at {path}: {error.strerror or error}") from None
        yield ask_for_ever(sock)


def ask_for_ever(sock: socket.socket) -> Iterator[Snapshot]:
    with sock.makefile("rb") as answers:
        while True:
            try:
                sock.sendall(REQUEST + b"\n")
                line = answers.readline()
                if not line:
                    raise Failure("the server has ended")
                yield snapshot_from(line)
            except TimeoutError:
                raise Failure(f"the server has not answered for {PATIENCE:g} s") from None
            except ConnectionError:
                raise Failure("the server has ended") from None


def snapshot_from(line: bytes) -> Snapshot:
    try:
        found = json.loads(line)
    except ValueError:
        found = None
    if not isinstance(found, dict) or "by_resource" not in found:
        raise Mistake("the socket is not an admin socket of wsframe: give the PATH of serve --admin")
    return found


def show_json(snapshots: Iterator[Snapshot], interval: float, *, once: bool) -> None:
    for snapshot in snapshots:
        print(json.dumps(snapshot), flush=True)
        if once:
            return
        time.sleep(interval)


def show_live(snapshots: Iterator[Snapshot], interval: float) -> None:
    try:
        from rich.live import Live
    except ModuleNotFoundError:
        raise missing_extra("the live view of wsframe top (not --once)", "cli") from None
    before: Snapshot | None = None
    with Live(auto_refresh=False, screen=True) as live:
        for snapshot in snapshots:
            live.update(rich_view(sections(snapshot, before)), refresh=True)
            before = snapshot
            time.sleep(interval)


class Section(NamedTuple):
    """One table of the view."""

    title: str
    header: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    right: tuple[int, ...]
    """The columns to align on the right."""


def sections(now: Snapshot, before: Snapshot | None) -> list[Section]:
    """Arrange a snapshot in tables, with the rates since ``before``."""
    workers = [worker_section(now, before)] if "workers" in now else []
    nodes = [node_section(now, before)] if len(now.get("nodes", ())) > 1 else []
    return [server_section(now, before), *nodes, *workers, resource_section(now, before), client_section(now)]


def node_section(now: Snapshot, before: Snapshot | None) -> Section:
    """Arrange the servers that share a backplane, this one first, then by their names."""
    former = {} if before is None else {one["service"]: one for one in before.get("nodes", ())}
    header = (
        "server", "address", "processes", "clients", "handshakes", "messages in/s", "messages out/s", "waiting",
        "from others", "to others",
    )  # fmt: skip
    first, *others = now["nodes"]
    rows = [
        node_row(one, former.get(one["service"]), now, before)
        for one in (first, *sorted(others, key=lambda one: str(one["service"])))
    ]
    return Section("Servers of the service", header, rows, tuple(range(2, 10)))


def node_row(one: Snapshot, former: Snapshot | None, now: Snapshot, before: Snapshot | None) -> tuple[str, ...]:
    rates = (
        whole(rate_of(now, before, one[key], None if former is None else former[key]))
        for key in ("messages_received", "messages_sent")
    )
    names = shortened(printable(one["service"])), shortened(printable(one["address"]))
    counts = (str(one[key]) for key in ("processes", "clients", "pending_handshakes"))
    return (*names, *counts, *rates, bytes_shown(one["bytes_waiting"]), *carried_shares(one))


def carried_shares(one: Snapshot) -> tuple[str, str]:
    """Return two shares: of a server's clients, those that others carry here; of its newcomers, those that it carries
    away."""
    here, away = one["carried_here"], one["carried_away"]
    return share(here, one["clients"]), share(away, one["clients"] - here + away)


def share(part: int, whole: int) -> str:
    return f"{min(1.0, part / whole):.0%}" if whole > 0 else "-"  # they are not counted in one moment


def worker_section(now: Snapshot, before: Snapshot | None) -> Section:
    """Arrange the processes of a service, one in each row."""
    former = {} if before is None else {one["pid"]: one["statistics"] for one in before.get("workers", ())}
    header = ("worker", "process", "state", "clients", "handshakes", "messages in/s", "messages out/s", "waiting")
    rows = [worker_row(one, former.get(one["pid"]), now, before) for one in now["workers"]]
    return Section("Workers", header, rows, (0, 1, 3, 4, 5, 6, 7))


def worker_row(one: Snapshot, former: Snapshot | None, now: Snapshot, before: Snapshot | None) -> tuple[str, ...]:
    found = one["statistics"]
    name = (str(one["slot"]), str(one["pid"] or "-"), printable(one["state"]))
    if found is None:
        return (*name, "-", "-", "-", "-", "-")
    rates = (
        whole(rate_of(now, before, found[key], None if former is None else former[key]))
        for key in ("messages_received", "messages_sent")
    )
    return (*name, str(found["clients"]), str(found["pending_handshakes"]), *rates, bytes_shown(found["bytes_waiting"]))


def server_section(now: Snapshot, before: Snapshot | None) -> Section:
    def rate(name: str) -> float | None:
        return rate_of(now, before, now[name], None if before is None else before[name])

    header = (
        "clients", "handshakes", "admitted", "refused", "messages in/s", "messages out/s", "in/s", "out/s", "waiting",
        "dropped",
    )  # fmt: skip
    row = (
        *(str(now[name]) for name in ("clients", "pending_handshakes", "admitted", "refused")),
        whole(rate("messages_received")),
        whole(rate("messages_sent")),
        bytes_shown(rate("bytes_received")),
        bytes_shown(rate("bytes_sent")),
        bytes_shown(now["bytes_waiting"]),
        str(now["messages_dropped"]),
    )
    return Section(", ".join(map(printable, now["addresses"])), header, [row], tuple(range(len(header))))


def resource_section(now: Snapshot, before: Snapshot | None) -> Section:
    former = {} if before is None else told_apart(before["by_resource"])
    header = ("resource", "paths", "clients", "messages in/s", "waiting", "hooks busy", "for a message")
    unique = told_apart(now["by_resource"])
    rows = [
        resource_row(one, former.get(key_of(one)) if key_of(one) in unique else None, now, before)
        for one in now["by_resource"]
    ]
    return Section("Resources", header, rows, (2, 3, 4, 5, 6))


def resource_row(
    resource: Snapshot, former: Snapshot | None, now: Snapshot, before: Snapshot | None
) -> tuple[str, ...]:
    def rate(name: str) -> float | None:
        return rate_of(now, before, resource[name], None if former is None else former[name])

    messages, busy = rate("messages_received"), rate("hook_seconds")
    return (
        printable(resource["name"]),
        printable(" ".join(resource["paths"])),
        str(resource["clients"]),
        whole(messages),
        str(resource["messages_waiting"]),
        "-" if busy is None else f"{busy:.1%}",
        "-" if busy is None or not messages else f"{busy / messages * 1000:.3f} ms",
    )


def client_section(now: Snapshot) -> Section:
    header = ("slowest clients", "path", "waiting", "sent", "dropped", "latency")
    rows = [
        (
            printable(peer_name(client["host"], client["port"])),
            shortened(printable(client["path"])),
            bytes_shown(client["bytes_waiting"]),
            bytes_shown(client["bytes_sent"]),
            str(client["messages_dropped"]),
            "-" if client["latency"] is None else f"{client['latency'] * 1000:.1f} ms",
        )
        for client in now["slowest"]
    ]
    return Section("Clients that read too slowly", header, rows, (2, 3, 4, 5))


def told_apart(resources: list[Snapshot]) -> dict[tuple[str, tuple[str, ...]], Snapshot]:
    """Return the resources with unique class and paths: others could get the rates of a neighbour."""
    counts = Counter(map(key_of, resources))
    return {key_of(resource): resource for resource in resources if counts[key_of(resource)] == 1}


def key_of(resource: Snapshot) -> tuple[str, tuple[str, ...]]:
    return resource["name"], tuple(resource["paths"])


def rate_of(now: Snapshot, before: Snapshot | None, value: float, former: float | None) -> float | None:
    """Return the growth per second; None without a former value, 0 for a count that started again."""
    if before is None or former is None or now["time"] <= before["time"]:
        return None
    return max(0.0, (value - former) / float(now["time"] - before["time"]))


def whole(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"


def bytes_shown(value: float | None) -> str:
    if value is None:
        return "-"
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024 or unit == "GiB":
            break
        value /= 1024
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"


def plain(found: list[Section]) -> str:
    """Return the view as plain text."""
    lines = []
    for section in found:
        table = columns(section.header, section.rows, right=section.right)
        lines += [section.title, *(f"  {line}" for line in table), ""]
    return "\n".join(lines[:-1])


def rich_view(found: list[Section]) -> RenderableType:
    """Make the live view of the terminal."""
    from rich import box
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    tables = []
    for section in found:
        table = Table(title=Text(section.title, style="bold"), title_justify="left", box=box.SIMPLE_HEAD, expand=True)
        for at, name in enumerate(section.header):
            table.add_column(Text(name), justify="right" if at in section.right else "left")
        for row in section.rows:
            table.add_row(*map(Text, row))  # as Text: a path can look like markup
        tables.append(table)
    return Group(*tables)
