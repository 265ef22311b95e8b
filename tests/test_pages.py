"""The pages: their length, their headings, their words, and the links that GitHub shows."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.documents import ROOT

PAGES = sorted(path for path in ROOT.glob("docs/**/*.rst") if "_build" not in path.parts)
BESIDE = [ROOT / name for name in ("README.rst", "CONTRIBUTING.rst")]
REFERENCE = {"reference.rst", "changes.rst", "contributing.rst"}
"""Pages that are looked up and not read."""
MOST_WORDS = 1500

PROPER = {
    # Names that keep their capitals in the middle of a heading.
    "AsyncAPI", "Autobahn", "Caddy", "CDN", "Centrifugo", "Channels", "Chromium", "Common", "Django", "Docker",
    "FastAPI", "Grafana", "Hunchensocket", "Node", "Portal",
    "HAProxy", "HTTP", "JSON", "Kubernetes", "Linux", "Lisp", "OpenTelemetry", "PROXY", "PostgreSQL", "Podman",
    "Prometheus", "Python", "README", "RFC", "Redis", "SDK", "SDKs", "SQLAlchemy", "Sentry", "Socket.IO", "Starlette",
    "TCP", "TLS", "Tornado", "URL", "URLs", "Unix", "Valkey", "Varnish", "Web", "WebSocket", "Yjs",
}  # fmt: skip


class Heading(NamedTuple):
    level: str
    text: str


def headings(path: Path) -> list[Heading]:
    lines = path.read_text().splitlines()
    return [
        Heading(line[0], above)
        for above, line in pairwise(lines)
        if re.fullmatch(r"([=\-~^])\1{2,}", line) and above.strip() and not above.startswith(" ") and "  " not in above
    ]


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def is_reference(path: Path) -> bool:
    return path.name in REFERENCE or "reference" in path.parts


@pytest.mark.parametrize("page", [page for page in PAGES if not is_reference(page)], ids=name)
def test_a_page_can_be_read_in_one_go(page: Path) -> None:
    assert len(page.read_text().split()) <= MOST_WORDS, "make two pages of it"


@pytest.mark.parametrize("page", [*PAGES, *BESIDE], ids=name)
def test_headings_are_in_order_and_in_sentence_case(page: Path) -> None:
    found = headings(page)
    if page.name in ("changes.rst", "contributing.rst"):  # they include their text
        return
    assert found, "no title"
    order = list(dict.fromkeys(heading.level for heading in found))
    assert order == ["=", "-", "~"][: len(order)]
    assert [heading.level for heading in found].count("=") == 1, "one title"
    for above, below in pairwise(found):
        assert order.index(below.level) <= order.index(above.level) + 1, f"{below.text}: a level is left out"
    for heading in found:
        plain = re.sub(r"``[^`]*``", "", heading.text)
        for word in re.findall(r"[\w.]+", plain)[1:]:
            acronym = word.isupper() or not word[0].isupper()
            assert acronym or word.strip(".") in PROPER, f"{heading.text!r}: {word!r} begins with a capital"
        assert len(heading.text) <= 60, heading.text
        assert not heading.text.removesuffix("...").endswith("."), heading.text


def test_no_two_pages_have_one_title() -> None:
    titles = [headings(page)[0].text for page in PAGES if headings(page)]
    assert [title for title in titles if titles.count(title) > 1] == []


@pytest.mark.parametrize("page", BESIDE, ids=name)
def test_files_that_a_document_links_to_exist(page: Path) -> None:
    targets = re.findall(r"^\.\. _[^:]+: (?!https?:)(\S+)", page.read_text(), re.MULTILINE)
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_docstrings_leave_other_libraries_to_the_appendix() -> None:
    sources = "".join(path.read_text() for path in ROOT.glob("wsframe/**/*.py"))
    assert re.findall(r"Source: (?:clws|Hunchensocket|Portal|easy-websocket).*", sources) == []
