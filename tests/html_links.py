"""Check the links of built pages, offline: ``python -m tests.html_links docs/_build/html``.

Each link to a file must lead to one, and each ``#fragment`` to an element with that id. Links to other hosts are not
followed: ``nox -s links`` does that.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

__all__ = ["broken_links"]


class PageLinks(HTMLParser):
    """Collects the links and the ids of one page."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("href", "src") and value:
                self.links.append(value)
            elif name == "id" and value:
                self.ids.add(value)


def read(path: Path) -> PageLinks:
    page = PageLinks()
    page.feed(path.read_text(encoding="utf-8"))
    return page


def broken_links(folder: Path) -> Iterator[tuple[Path, str]]:
    """Yield each page and its link that leads nowhere."""
    pages = {path.resolve(): read(path) for path in sorted(folder.rglob("*.html"))}
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            known = pages.get(target)
            if not target.is_file() or (parts.fragment and known and unquote(parts.fragment) not in known.ids):
                yield path.relative_to(folder.resolve()), link


def main(folder: Path) -> int:
    found = 0
    for path, link in broken_links(folder):
        found += 1
        print(f"{path}: {link} leads nowhere", file=sys.stderr)
    if not any(folder.rglob("*.html")):
        print(f"{folder} has no pages", file=sys.stderr)
        return 2
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
