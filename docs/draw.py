"""Draw the rooms, the life of a client, backpressure and workers, from names of the package: ``python docs/draw.py``.

Writes four SVG files into ``docs/explanation``. A test checks that the files are the ones that this script makes.
Each is dark where the page is. ``draw_closing.py`` makes the fifth drawing.
"""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path
from textwrap import wrap
from typing import get_args
from xml.sax.saxutils import escape

from wsframe.limits import DEFAULT_LIMITS, DEFAULT_TIMEOUTS, Capacity, Overflow
from wsframe.resources.resource import HOOKS
from wsframe.workers.partitions import Scope

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "docs/explanation"
INK, QUIET, EDGE = "#1d2430", "#445063", "#5a6b85"
BLUE, GREEN, SAND, RED = "#eef3fb", "#e9f6ee", "#fbf3e4", "#fbeaea"
GROUND = "#ffffff"
DARK = {
    INK: "#e3e8f0", QUIET: "#aab6c8", EDGE: "#7f92b0", GROUND: "#131416",
    BLUE: "#1c2738", GREEN: "#182c20", SAND: "#332a17", RED: "#3a2020",
}  # fmt: skip
"""The colors on a dark page, in the place of those above."""
LINE, LETTER = 15, 6.2
"""The height of a line of small text, and the mean width of its letters."""


def dark_style() -> str:
    """Return a style that replaces the colors of fills and strokes where the page, or the system, is dark."""
    rules = [f'[fill="{light}"]{{fill:{dark}}}[stroke="{light}"]{{stroke:{dark}}}' for light, dark in DARK.items()]
    return "\n".join(["<style>@media (prefers-color-scheme: dark) {", *rules, "}</style>"])


class Canvas:
    """The parts of one drawing."""

    def __init__(self, title: str, width: int, height: int) -> None:
        self.end = "</svg>\n"
        self.parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
            f'font-size="13" fill="{INK}">',
            f"<title>{escape(title)}</title>",
            dark_style(),
            '<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" '
            f'orient="auto-start-reverse"><path d="M0 0 10 5 0 10z" fill="{EDGE}"/></marker></defs>',
            f'<rect width="{width}" height="{height}" rx="12" fill="{GROUND}"/>',
        ]

    def text(
        self, x: float, y: float, words: str, *, size: int = 13, bold: bool = False, anchor: str = "middle"
    ) -> None:
        weight = ' font-weight="bold"' if bold else ""
        fill = "" if bold or size > 12 else f' fill="{QUIET}"'
        self.parts.append(
            f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" font-size="{size}"{weight}{fill}>{escape(words)}</text>'
        )

    def lines(self, x: float, y: float, words: str, width: float, *, anchor: str = "middle") -> None:
        """Write small text in lines of at most this width; lines of the source stay apart."""
        rows = [row for part in words.split("\n") for row in wrap(part, int(width / LETTER)) or [""]]
        for number, row in enumerate(rows):
            self.text(x, y + number * LINE, row, size=11, anchor=anchor)

    def box(
        self, x: float, y: float, width: float, height: float, name: str, words: str = "", fill: str = BLUE
    ) -> None:
        self.parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="8" fill="{fill}" stroke="{EDGE}"/>'
        )
        self.text(x + width / 2, y + 20, name, bold=True)
        if words:
            self.lines(x + width / 2, y + 38, words, width - 12)

    def arrow(self, x: float, y: float, to_x: float, to_y: float, words: str = "", *, dashed: bool = False) -> None:
        dash = ' stroke-dasharray="4 4"' if dashed else ""
        self.parts.append(
            f'<line x1="{x:g}" y1="{y:g}" x2="{to_x:g}" y2="{to_y:g}" stroke="{EDGE}"{dash} marker-end="url(#tip)"/>'
        )
        if words:
            self.text((x + to_x) / 2, (y + to_y) / 2 - 6, words, size=11)

    def drawn(self) -> str:
        return "\n".join([*self.parts, self.end])


def floors() -> list[list[str]]:
    """Return the rooms of each floor, from the top, as the contract of import-linter has them."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = contracts[0]["layers"]
    return [[name.strip() for name in layer.replace(":", "|").split("|")] for layer in layers]


def purpose(room: str) -> str:
    """Return the first sentence of a room's docstring, or "" for a single file."""
    path = ROOT / "wsframe" / room / "__init__.py"
    if not path.exists():
        return ""
    said = ast.get_docstring(ast.parse(path.read_text())) or ""
    return said.splitlines()[0].partition(". ")[0].rstrip(".").replace("``", "")


def draw_rooms() -> str:
    stories = [floor for floor in floors() if floor != ["__main__"]]
    ground = stories[-1]  # single files, without a purpose to write below
    heights = [44 if floor is ground else 84 for floor in stories]
    picture = Canvas("The rooms of wsframe: each imports only from the floors below it", 960, sum(heights) + 50)
    y = 20.0
    for floor, height in zip(stories, heights, strict=True):
        width = (920 - 12 * (len(floor) - 1)) / len(floor)
        for number, room in enumerate(floor):
            words, fill = ("", SAND) if floor is ground else (purpose(room), BLUE)
            picture.box(20 + number * (width + 12), y, width, height - 12, room, words, fill)
        y += height
    picture.text(480, y + 14, "Each room imports only from the floors below it; a tool checks that.", size=12)
    return picture.drawn()


PEER, SERVER, HOOK = 110, 430, 790

LIFE: list[tuple[str, int, int, str]] = [
    ("newcomer", PEER, SERVER, "GET /chat, Upgrade: websocket"),
    ("newcomer", SERVER, HOOK, "accept_client(request)"),
    ("newcomer", HOOK, SERVER, "Accept(data=...), or Reject(status)"),
    ("newcomer", SERVER, PEER, "101, or the status of the refusal"),
    ("client", SERVER, HOOK, "client_connected(client)"),
    ("client", PEER, SERVER, "messages: read while the client's share has room"),
    ("client", SERVER, HOOK, "received_text, received_binary, received_pong"),
    ("client", HOOK, SERVER, "send_..., broadcast_...: queued, never waits"),
    ("client", SERVER, PEER, "frames: when the hook ends, or waits"),
    ("client", PEER, SERVER, "close frame, shut TCP, or reset"),
    ("client", SERVER, HOOK, "disconnected(client): after all messages, exactly once"),
    ("client", SERVER, PEER, "close frame, after all replies"),
]
"""The steps of a client's life: phase, from, to, words."""


def hooks_apart() -> list[str]:
    """Return the hooks that have no fixed place in the life of a client."""
    placed = " ".join(words for *_, words in LIFE)
    return [hook for hook in HOOKS if hook not in placed]


def draw_life() -> str:
    step, top = 40, 84
    picture = Canvas("The life of a client", 960, top + step * len(LIFE) + 50)
    bottom = top + step * len(LIFE)
    newcomers = sum(phase == "newcomer" for phase, *_ in LIFE)
    for phase, first, last, fill in (("newcomer", 0, newcomers, SAND), ("client", newcomers, len(LIFE), GREEN)):
        y, height = top + first * step - 22, (last - first) * step - 6
        picture.parts.append(f'<rect x="20" y="{y}" width="920" height="{height}" rx="8" fill="{fill}"/>')
        picture.text(928, y + 18, phase, bold=True, anchor="end")
    for x, name in ((PEER, "peer"), (SERVER, "wsframe"), (HOOK, "your resource")):
        picture.box(x - 70, 14, 140, 32, name)
        picture.parts.append(f'<line x1="{x}" y1="46" x2="{x}" y2="{bottom - 24}" stroke="{EDGE}"/>')
    for number, (_, here, there, words) in enumerate(LIFE):
        y = top + number * step + 8
        picture.arrow(here, y, there, y, words)
    picture.lines(480, bottom + 4, f"At other times: {', '.join(hooks_apart())}.", 900)
    picture.lines(
        480, bottom + 40, "A hook that raises leads to hook_failed, and by default to the end of its client, 1011.", 900
    )
    return picture.drawn()


def size(value: float | None) -> str:
    if value is None:
        return "none"
    for unit, bytes_of in (("MiB", 1024 * 1024), ("KiB", 1024)):
        if value >= 8 * 1024 and value % bytes_of == 0:
            return f"{value / bytes_of:.0f} {unit}"
    return f"{value:g}"


def named(options: object, *fields: str) -> str:
    """Return the options by name, with their defaults."""
    return "\n".join(f"{field} {size(getattr(options, field))}" for field in fields)


def draw_backpressure() -> str:
    picture = Canvas("Where bytes wait, and the result when there is no room", 960, 460)
    picture.box(20, 60, 130, 330, "peer")
    inward = [
        ("kernel", "receive buffer", "When it is full, TCP stops the peer."),
        ("share", named(DEFAULT_LIMITS, "max_queued_messages", "max_queued_bytes"),
         "When it is full, the server does not read this client."),
        ("hooks", "one at a time", "A hook that waits delays its resource."),
    ]  # fmt: skip
    outward = [
        ("kernel", f"send buffer: {size(DEFAULT_LIMITS.unsent_in_kernel)} unsent",
         f"write_stall {DEFAULT_TIMEOUTS.write_stall:g} s: the server resets a peer that takes nothing."),
        ("outbox", named(DEFAULT_LIMITS, "max_outbox"), f"When it is full: {', '.join(get_args(Overflow))}."),
        ("send_..., broadcast_...", "queue, never wait", "They return the number of clients."),
    ]  # fmt: skip
    for y, row, fill, back in ((60, inward, BLUE, False), (240, outward, GREEN, True)):
        for number, (name, words, full) in enumerate(row):
            x = 210 + number * 250
            picture.box(x, y, 190, 76, name, words, fill)
            picture.lines(x + 85, y + 96, full, 180)
            ends = (x, x - 60) if back else (x - 60, x)
            picture.arrow(ends[0], y + 38, ends[1], y + 38)
    picture.arrow(890, 138, 890, 238)
    picture.parts.append(
        f'<rect x="440" y="30" width="500" height="360" rx="10" fill="none" stroke="{EDGE}" stroke-dasharray="5 5"/>'
    )
    picture.text(690, 22, f"all clients together: Capacity.{named(Capacity(), 'max_queued_bytes')}", bold=True)
    picture.lines(
        480, 424, "Beyond the sum, the server does not read clients with waiting messages, and resets the largest.\n"
        "No arrow waits for a slow client: the other clients of the resource go on.", 900,
    )  # fmt: skip
    return picture.drawn()


PLACES = {
    "one": "one object, in worker 0",
    "path": "one object for each path, in one of the workers",
    "shared": "an object in each worker",
}
"""Where a resource of each scope lives."""


def draw_workers() -> str:
    assert set(PLACES) == set(get_args(Scope))
    picture = Canvas("Several processes that serve as one", 960, 520)
    picture.box(330, 16, 300, 62, "supervisor", "starts workers and their successors; reads no byte of a client", SAND)
    for number in range(3):
        x = 40 + number * 310
        picture.box(x, 140, 260, 190, f"worker {number}", "accepts, reads, calls hooks", BLUE)
        picture.arrow(480, 78, x + 130, 138, dashed=True)
        first = [('"one"', "/lobby", GREEN)] if number == 0 else []
        paths = {0: "/rooms/red", 1: "/rooms/blue", 2: "/rooms/gold"}
        shown = [*first, ('"path"', paths[number], SAND), ('"shared"', "/ticks", RED)]
        for row, (scope, path, fill) in enumerate(shown):
            y = 192 + row * 44
            picture.parts.append(
                f'<rect x="{x + 20}" y="{y}" width="220" height="34" rx="6" fill="{fill}" stroke="{EDGE}"/>'
            )
            picture.text(x + 130, y + 22, f"{path}   {scope}")
    for left in (300, 610):
        picture.arrow(left, 300, left + 50, 300, "")
        picture.arrow(left + 50, 312, left, 312, "")
        picture.text(left + 25, 288, "doors", size=11)
    picture.box(40, 372, 880, 44, "relay", fill=SAND)
    for number in range(3):
        picture.arrow(170 + number * 310, 332, 170 + number * 310, 370, "")
        picture.arrow(186 + number * 310, 372, 186 + number * 310, 332, "")
    words = "\n".join(f'scope = "{scope}": {place}' for scope, place in PLACES.items())
    picture.lines(40, 440, words, 420, anchor="start")
    picture.lines(
        480, 440, "door: takes a newcomer's socket, unread, to the worker of its resource\n"
        "relay: a process that carries topics between workers\nboard: shared memory with the figures of all workers",
        440, anchor="start",
    )  # fmt: skip
    return picture.drawn()


def files() -> dict[Path, str]:
    """Return the files and their contents."""
    drawings = {"rooms": draw_rooms, "life": draw_life, "backpressure": draw_backpressure, "workers": draw_workers}
    return {FOLDER / f"{name}.svg": draw() for name, draw in drawings.items()}


if __name__ == "__main__":
    for path, content in files().items():
        path.write_text(content)
