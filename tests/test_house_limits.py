"""The size of files, functions and classes, which is bounded so that each is read in one go."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from wsframe import Resource

ROOT = Path(__file__).parent.parent
MADE = {"_build", "node_modules"}
"""Folders whose files others have written."""
ROOMS = (".ci", "wsframe", "tests", "examples", "benchmarks", "docs")
WRITTEN = {".py", ".c", ".h", ".js", ".cjs", ".mjs", ".ts", ".html", ".css", ".sh", ".go", ".java", ".pl", ".in"}
"""Suffixes of programs and pages. The scripts of ``.ci`` have none."""
MOST_LINES_OF_A_FILE = 400
MOST_LINES_OF_A_FUNCTION = 40
"""Without its docstring."""
MOST_METHODS = 20
"""Overloads, setters and whole properties included; only a property of one statement is an attribute."""
MOST_METHODS_OF_A_RESOURCE = 36
"""With those that it inherits, and two overloads. It can shrink: a new method takes the place of another."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


def lines_of(function: Function) -> int:
    """Count the lines of a function without its docstring."""
    lines = (function.end_lineno or 0) - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function, clean=False) is not None:
        lines -= (first.end_lineno or 0) - first.lineno + 1
    return lines


def is_plain_property(function: Function) -> bool:
    """Return whether a method is a property of one statement, its docstring apart."""
    names = {decorator.id for decorator in function.decorator_list if isinstance(decorator, ast.Name)}
    return "property" in names and len(function.body) - (ast.get_docstring(function, clean=False) is not None) <= 1


def methods_of(kind: ast.ClassDef) -> int:
    """Count the methods of a class, overloads and setters too."""
    return sum(isinstance(one, Function) and not is_plain_property(one) for one in kind.body)


def above_the_limits(path: str, text: str) -> Iterator[tuple[str, int]]:
    """Yield the parts of a module that are too large, with their sizes."""
    lines = len(text.splitlines())
    if lines > MOST_LINES_OF_A_FILE:
        yield path, lines
    if path.endswith(".py"):
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, Function) and lines_of(node) > MOST_LINES_OF_A_FUNCTION:
                yield f"{path} {node.name}", lines_of(node)
            if isinstance(node, ast.ClassDef) and methods_of(node) > MOST_METHODS:
                yield f"{path} {node.name}", methods_of(node)


@pytest.mark.parametrize("room", ROOMS)
def test_files_functions_and_classes_are_short(room: str) -> None:
    files = (path for path in sorted((ROOT / room).rglob("*")) if path.suffix in WRITTEN or room == ".ci")
    paths = [path for path in files if path.is_file() and MADE.isdisjoint(path.parts)]
    assert paths
    found = {
        name: size
        for path in paths
        for name, size in above_the_limits(path.relative_to(ROOT).as_posix(), path.read_text("utf-8"))
    }
    assert found == {}


def test_a_resource_does_not_grow_by_way_of_its_bases() -> None:
    """Bases would hide from the limit of a class that its users have more and more names to learn."""
    bases = [base for base in Resource.__mro__ if base.__module__.startswith("wsframe.")]
    sizes = [methods_of(cast(ast.ClassDef, ast.parse(inspect.getsource(base)).body[0])) for base in bases]
    assert len(sizes) > 1
    assert sum(sizes) <= MOST_METHODS_OF_A_RESOURCE


def test_docstrings_and_plain_properties_are_not_counted() -> None:
    docstring = '    """One.\n' + "\n" * 50 + '    """\n'
    assert not list(above_the_limits("a.py", f"def f():\n{docstring}    return 1\n"))
    assert list(above_the_limits("a.py", "def f():\n" + "    g()\n" * 40)) == [("a.py f", 41)]
    method = "    def m{}(self):\n        return 1\n"
    methods = "".join(method.format(at) for at in range(20))
    plain = "    @property\n" + method.format("x")
    assert not list(above_the_limits("a.py", f"class A:\n{methods}{plain}"))
    assert list(above_the_limits("a.py", f"class A:\n{methods}{method.format('x')}")) == [("a.py A", 21)]
    overload = "    @overload\n" + method.format("x")
    assert list(above_the_limits("a.py", f"class A:\n{methods}{overload}")) == [("a.py A", 21)]
    setter = "    @x.setter\n" + method.format("x")
    assert list(above_the_limits("a.py", f"class A:\n{methods}{plain}{setter}")) == [("a.py A", 21)]
    for path in ("a.c", "a.js", "a.html", "a.sh"):
        assert list(above_the_limits(path, "\n" * 401)) == [(path, 401)]
