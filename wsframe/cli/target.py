"""The target of a command: the module or file that registers resources."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from inspect import iscoroutinefunction
from pathlib import Path
from types import ModuleType

from wsframe.cli.errors import Mistake
from wsframe.http.responses import HttpHandler
from wsframe.resources.resource import Resource
from wsframe.resources.routing.registry import Registry, global_registry
from wsframe.server.check_options import imported
from wsframe.server.describe import describe

__all__ = ["TARGET_HELP", "find_handler", "load_target", "split_target"]

TARGET_HELP = "module or .py file that registers resources globally; or add :NAME, the name of a wsframe.Registry in it"


def way_of(name: str, found: object) -> str:
    """Say how to serve a resource whose name was given instead of the name of a registry."""
    if not isinstance(found, Resource) and not (isinstance(found, type) and issubclass(found, Resource)):
        return ""
    return f": register the resource in the module, and give the module alone, {name}"


def split_target(target: str) -> tuple[str, str]:
    """Split a target into the module or file and the name in it, which can be empty."""
    # At the last colon, and not in a bare file name: a Windows path contains one too.
    name, _, attribute = (target, "", "") if target.endswith(".py") else target.rpartition(":")
    return (name, attribute) if name else (target, "")


def load_target(target: str, *, debug: bool) -> tuple[ModuleType, Registry | None]:
    """Import the target and return its module and, if it names one, the registry."""
    name, attribute = split_target(target)
    try:
        with imported(name):
            module = import_file(Path(name)) if name.endswith(".py") else import_named(name)
    except (Mistake, KeyboardInterrupt):
        raise
    except BaseException as error:  # SystemExit too: the target ended itself
        if debug:
            raise
        raise Mistake(f"cannot import {name}: {describe(error)}") from None
    if not attribute:
        if not len(global_registry):
            found = registry_in(module) or "NAME"
            raise Mistake(
                f"{name} registers no resource: call register_global_resource, or name a Registry: {name}:{found}"
            )
        return module, None
    found = registry_in(module)
    alone = f"give {name} alone for the resources that it registers globally"
    way_out = f"the Registry is {name}:{found}" if found else alone
    registry = find_attribute(module, attribute, way_out)
    if not isinstance(registry, Registry):
        raise Mistake(f"{target} must be a wsframe.Registry, got {type(registry).__name__}{way_of(name, registry)}")
    if not len(registry):
        raise Mistake(f"{target} is empty: register a resource in it")
    return module, registry


def registry_in(module: ModuleType) -> str:
    """Return the name of the first registry of a module that is not empty; ``""`` if there is none."""
    for name, value in vars(module).items():
        if isinstance(value, Registry) and value is not global_registry and len(value):
            return name
    return ""


def import_named(name: str) -> ModuleType:
    if "" not in sys.path and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise Mistake(f"no module named {error.name!r}") from None
        raise
    except TypeError:
        if name.startswith("."):
            raise Mistake(f"{name!r} is not the name of a module") from None
        raise


def import_file(path: Path) -> ModuleType:
    """Import a file under its stem, with its folder first on the path, as Python does for a script."""
    if not path.is_file():
        raise Mistake(f"file not found: {path}")
    if path.stem in sys.modules:
        raise Mistake(f"{path}: a module named {path.stem!r} is already loaded; rename the file")
    sys.path.insert(0, str(path.resolve().parent))
    spec = spec_from_file_location(path.stem, path.resolve())
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[path.stem] = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[path.stem]
        raise
    return module


def find_attribute(module: ModuleType, name: str, way_out: str) -> object:
    try:
        return getattr(module, name)
    except AttributeError:
        raise Mistake(f"{module.__name__} has no attribute {name!r}: {way_out}") from None


def find_handler(module: ModuleType, name: str) -> HttpHandler:
    handler = find_attribute(module, name, "--http-handler names an async function of it")
    if not iscoroutinefunction(handler):
        raise Mistake(f"--http-handler: {module.__name__}.{name} must be an async function")
    return handler
