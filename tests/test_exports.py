"""The public names of the package: complete, in order, importable and described."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import pytest

import wsframe

ROOT = Path(inspect.getfile(wsframe)).parent
MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages([str(ROOT)], "wsframe.")
    if not module.name.endswith(("__main__", "_speedups"))
)


PUBLIC = {name: getattr(wsframe, name) for name in wsframe.__all__}
CALLABLE = [name for name, thing in PUBLIC.items() if inspect.isroutine(thing) or inspect.isclass(thing)]
OTHERS = [name for name in wsframe.__all__ if name not in CALLABLE]


INDENT = 4
"""Of the imports for type checkers, at the top of the package; those that run are in functions."""


def reexports() -> dict[str, str]:
    """Return the names that the package re-exports: name to module."""
    tree = ast.parse((ROOT / "__init__.py").read_text())
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.col_offset == INDENT]
    assert all(alias.asname == alias.name for node in imports for alias in node.names), "X as X marks a re-export"
    return {alias.name: node.module or "" for node in imports for alias in node.names}


def described(module: ModuleType) -> set[str]:
    """Return the names a module assigns with a string behind, which Sphinx takes for their docstring."""
    body = ast.parse(inspect.getsource(module)).body
    names: set[str] = set()
    for node, behind in pairwise(body):
        if isinstance(behind, ast.Expr) and isinstance(behind.value, ast.Constant):
            targets = [node.target] if isinstance(node, ast.AnnAssign) else getattr(node, "targets", [])
            names.update(map(ast.unparse, targets))
    return names


def test_all_is_what_the_package_imports_for_its_users() -> None:
    assert set(wsframe.__all__) == set(reexports())


def test_each_public_name_is_imported_from_where_type_checkers_find_it() -> None:
    assert vars(wsframe)["_HOMES"] == reexports()


def test_a_name_that_the_package_does_not_have_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="module 'wsframe' has no attribute 'sreve'"):
        wsframe.sreve  # type: ignore[attr-defined]  # noqa: B018
    assert set(wsframe.__all__) <= set(dir(wsframe))


def test_all_is_sorted_and_without_repetition() -> None:
    def order(name: str) -> tuple[int, str]:
        return (0 if name.isupper() else 1 if name[0].isupper() else 2), name

    assert list(wsframe.__all__) == sorted(set(wsframe.__all__), key=order)


def test_every_name_comes_from_the_all_of_its_module() -> None:
    homes = {name: importlib.import_module(module) for name, module in reexports().items()}
    assert [name for name, home in homes.items() if name not in home.__all__] == []
    assert [name for name, home in homes.items() if getattr(home, name) is not getattr(wsframe, name)] == []


def test_star_imports_exactly_all() -> None:
    namespace: dict[str, object] = {}
    exec("from wsframe import *", namespace)
    assert namespace.keys() - {"__builtins__"} == set(wsframe.__all__)


def test_every_public_name_is_described() -> None:
    assert CALLABLE
    assert [name for name in CALLABLE if not getattr(wsframe, name).__doc__] == [], "not only by their bases"
    homes = reexports()
    assert [name for name in OTHERS if name not in described(importlib.import_module(homes[name]))] == []


CLASSES = [name for name in wsframe.__all__ if inspect.isclass(getattr(wsframe, name))]


def test_every_public_member_is_described() -> None:
    """Methods and properties of our own; the values of an enum are named by their RFC."""
    members = [
        (f"{name}.{member}", value)
        for name in CLASSES
        for member, value in vars(getattr(wsframe, name)).items()
        if not member.startswith("_") and (inspect.isroutine(value) or isinstance(value, property))
    ]
    assert members
    assert [name for name, value in members if not inspect.getdoc(value)] == []


def test_every_module_says_what_it_is() -> None:
    modules = [importlib.import_module(name) for name in ["wsframe", *MODULES]]
    assert [module.__name__ for module in modules if not module.__doc__] == []
    promised = [(module, name) for module in modules for name in getattr(module, "__all__", ())]
    assert [(module.__name__, name) for module, name in promised if not hasattr(module, name)] == []


def test_the_version_is_the_distribution_s() -> None:
    from importlib.metadata import version

    assert wsframe.__version__ == version("wsframe")


def test_the_package_is_typed() -> None:
    assert (ROOT / "py.typed").is_file()
