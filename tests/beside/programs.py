"""The programs of docs/beside, as modules."""

from __future__ import annotations

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from wsframe.resources.routing.registry import global_registry

__all__ = ["FOLDER", "load"]

FOLDER = Path(__file__).parents[2] / "docs" / "beside"


def load(name: str) -> ModuleType:
    """Import a program, without its global registrations."""
    spec = spec_from_file_location(name, FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module, before = module_from_spec(spec), global_registry.snapshot()
    spec.loader.exec_module(module)
    global_registry.restore(before)
    return module
