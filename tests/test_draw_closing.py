"""The drawing and the table of how a connection ends are those that the script makes of the package's table."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from xml.etree import ElementTree

from wsframe.protocol.closing import ClosingEvent, Phase

SCRIPT = Path(__file__).parent.parent / "docs/draw_closing.py"


def drawn() -> dict[Path, str]:
    spec = importlib.util.spec_from_file_location("draw_closing", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    files: dict[Path, str] = module.files()
    return files


def test_the_committed_files_are_what_the_script_makes() -> None:
    for path, content in drawn().items():
        assert path.read_text() == content, f"run python docs/draw_closing.py: {path.name} differs from its drawing"


def test_the_drawing_names_every_phase_and_every_event() -> None:
    picture, table = drawn().values()
    ElementTree.fromstring(picture)
    for name in (*Phase, *ClosingEvent):
        assert name.value in ElementTree.tostring(ElementTree.fromstring(picture), "unicode", "text")
        assert name.value in table
