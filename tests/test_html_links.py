"""The check of links in built pages."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.html_links import broken_links, main


@pytest.mark.parametrize(
    ("link", "broken"),
    [
        ("other.html", False), ("other.html#there", False), ("#here", False), ("#", False), ("", False),
        ("https://example.org/nowhere", False), ("mailto:a@example.org", False), ("sub/", True),
        ("a%20file.txt", False), ("gone.html", True), ("other.html#here", True), ("#there", True), ("../up.html", True),
    ],
)  # fmt: skip
def test_a_link_leads_to_a_file_and_an_id(tmp_path: Path, link: str, broken: bool) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "a file.txt").touch()
    (tmp_path / "other.html").write_text('<p id="there">')
    (tmp_path / "page.html").write_text(f'<p id="here"><a href="{link}">x</a>')
    assert list(broken_links(tmp_path)) == ([(Path("page.html"), link)] if broken else [])
    assert main(tmp_path) == int(broken)


def test_a_picture_that_is_missing_is_found(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text('<img src="gone.png">')
    assert [link for _, link in broken_links(tmp_path)] == ["gone.png"]


def test_a_folder_without_pages_is_an_error(tmp_path: Path) -> None:
    assert main(tmp_path) == 2
