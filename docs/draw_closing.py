"""Draw how a connection ends, from the table that the package uses: ``python docs/draw_closing.py``.

Writes ``docs/explanation/closing.svg`` and ``docs/explanation/closing.inc``. A test checks that the
files are the ones that this script makes.
"""

from __future__ import annotations

from pathlib import Path
from xml.sax.saxutils import escape

from wsframe.protocol.closing import CLOSING_TABLE, ClosingEvent, Phase

FOLDER = Path(__file__).parent / "explanation"
WIDTH, HEIGHT = 190, 66
PLACES = {
    Phase.OPEN: (320, 20),
    Phase.PEER_ENDED: (90, 150),
    Phase.WE_CLOSED: (550, 150),
    Phase.BOTH_CLOSED: (320, 290),
    Phase.LINGERING: (320, 420),
    Phase.GONE: (320, 550),
}
# Arrows past other boxes go along the right side, each on a line of its own.
ASIDE = {(Phase.OPEN, Phase.GONE): 860, (Phase.WE_CLOSED, Phase.GONE): 825, (Phase.BOTH_CLOSED, Phase.GONE): 790}
INK, QUIET, EDGE, BOX, GROUND = "#1d2430", "#445063", "#5a6b85", "#eef3fb", "#ffffff"
DARK = {INK: "#e3e8f0", QUIET: "#aab6c8", EDGE: "#7f92b0", BOX: "#1c2738", GROUND: "#131416"}
"""The colors on a dark page."""
STYLE = "\n".join(f'[fill="{light}"]{{fill:{dark}}}[stroke="{light}"]{{stroke:{dark}}}' for light, dark in DARK.items())
HEAD = f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 960 640" font-family="sans-serif" font-size="13"
fill="{INK}">
<title>How a connection ends</title>
<style>@media (prefers-color-scheme: dark) {{
{STYLE}
}}</style>
<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" orient="auto">
<path d="M0 0 10 5 0 10z" fill="{EDGE}"/></marker></defs>
<rect width="960" height="640" rx="12" fill="{GROUND}"/>"""


def everywhere() -> list[ClosingEvent]:
    """Return the events that lead from every phase to the end."""
    before = [phase for phase in Phase if phase is not Phase.GONE]
    return [
        event
        for event in ClosingEvent
        if all(CLOSING_TABLE.get((phase, event), (None, ()))[0] is Phase.GONE for phase in before)
    ]


def arrows() -> dict[tuple[Phase, Phase], list[ClosingEvent]]:
    """Return the events between two phases, without those of :func:`everywhere`."""
    found: dict[tuple[Phase, Phase], list[ClosingEvent]] = {}
    for (phase, event), (following, _) in CLOSING_TABLE.items():
        if event not in everywhere():
            found.setdefault((phase, following), []).append(event)
    return found


def text(x: float, y: float, words: str, style: str = "") -> str:
    return f'<text x="{x:g}" y="{y:g}" text-anchor="middle"{style}>{escape(words)}</text>'


def names(events: list[ClosingEvent]) -> str:
    return ", ".join(event.value for event in events)


def box(phase: Phase, stays: list[ClosingEvent]) -> str:
    x, y = PLACES[phase]
    shape = f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="8" fill="{BOX}" stroke="{EDGE}"/>'
    lines = [shape, text(x + WIDTH / 2, y + 28, phase.value, ' font-weight="bold"')]
    if stays:
        lines.append(text(x + WIDTH / 2, y + 50, f"stays: {names(stays)}", f' font-size="11" fill="{QUIET}"'))
    return "\n".join(lines)


def arrow(here: Phase, there: Phase, events: list[ClosingEvent]) -> str:
    (x, y), (to_x, to_y) = PLACES[here], PLACES[there]
    aside = ASIDE.get((here, there))
    if aside is not None:
        turn, end = y + HEIGHT / 2, to_y + HEIGHT / 2 + (aside - 825) / 2
        points = f"{x + WIDTH:g},{turn:g} {aside},{turn:g} {aside},{end:g} {to_x + WIDTH},{end:g}"
        label = text((x + WIDTH + aside) / 2, turn - 7, names(events))
    else:
        start, end = x + WIDTH / 2 + (to_x - x) / 4, to_x + WIDTH / 2 + (x - to_x) / 4
        points = f"{start:g},{y + HEIGHT} {end:g},{to_y}"
        beside = {-1: -20, 0: 12, 1: 20}[(start > end) - (start < end)]
        anchor = ' style="text-anchor:' + ("end" if beside < 0 else "start") + '"'
        label = text((start + end) / 2 + beside, (y + HEIGHT + to_y) / 2 + 5, names(events), anchor)
    return f'<polyline points="{points}" fill="none" stroke="{EDGE}" marker-end="url(#tip)"/>\n{label}'


def drawing() -> str:
    """Return the picture: phases are boxes, events are arrows."""
    parts = [HEAD]
    found = arrows()
    parts += [arrow(here, there, events) for (here, there), events in found.items() if here is not there]
    parts += [box(phase, found.get((phase, phase), [])) for phase in Phase]
    parts.append(text(160, 588, f"from every phase: {names(everywhere())}", f' fill="{QUIET}"'))
    return "\n".join([*parts, "</svg>\n"])


def table() -> str:
    """Return the table in reStructuredText, one row for each phase and event."""
    lines = [".. list-table::", "    :header-rows: 1", "", "    * - Phase", "      - Event", "      - Next phase"]
    lines.append("      - Actions, in order")
    every = everywhere()
    rows = [(phase.value, event, *then) for (phase, event), then in CLOSING_TABLE.items() if event not in every]
    rows += [("every phase before the last", event, *CLOSING_TABLE[Phase.OPEN, event]) for event in every]
    for phase, event, following, actions in rows:
        lines += [f"    * - {phase}", f"      - {event.value}", f"      - {following.value}"]
        lines.append(f"      - {', '.join(action.value for action in actions)}")
    return "\n".join(lines) + "\n"


def files() -> dict[Path, str]:
    """Return the files and their contents."""
    return {FOLDER / "closing.svg": drawing(), FOLDER / "closing.inc": table()}


if __name__ == "__main__":
    for path, content in files().items():
        path.write_text(content)
