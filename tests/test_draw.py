"""The drawings are those that their script makes of the names and tables of the package."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pytest

from tests.documents import ROOT
from wsframe.resources.resource import HOOKS

SCRIPT = ROOT / "docs/draw.py"


def loaded() -> ModuleType:
    spec = importlib.util.spec_from_file_location("draw", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def drawn() -> dict[str, str]:
    files: dict[Path, str] = loaded().files()
    return {path.stem: content for path, content in files.items()}


def words(picture: str) -> str:
    return " ".join(ElementTree.fromstring(picture).itertext())


def test_the_committed_drawings_are_those_that_the_script_makes() -> None:
    for path, content in loaded().files().items():
        assert path.read_text() == content, f"run python docs/draw.py: {path.name} differs from its drawing"


def test_every_room_is_drawn_on_its_floor(drawn: dict[str, str]) -> None:
    rooms = {path.parent.name for path in ROOT.glob("wsframe/*/__init__.py")}
    assert rooms <= set(words(drawn["rooms"]).split())


def test_every_hook_is_in_the_life_of_a_client(drawn: dict[str, str]) -> None:
    text = words(drawn["life"])
    assert [hook for hook in HOOKS if hook not in text] == []


def test_each_drawing_is_on_a_page_and_can_be_read_in_the_dark(drawn: dict[str, str]) -> None:
    pages = "".join(path.read_text() for path in ROOT.glob("docs/explanation/*.rst"))
    for name, picture in {**drawn, "closing": (ROOT / "docs/explanation/closing.svg").read_text()}.items():
        assert f"{name}.svg" in pages, name
        style, _, drawing = picture.partition("</style>")
        assert "@media (prefers-color-scheme: dark)" in style, name
        for use, color in re.findall(r'(fill|stroke)="(#\w+)"', drawing):
            assert f'[{use}="{color}"]{{{use}:#' in style, f"{name}: {color} is the same on a dark page"
