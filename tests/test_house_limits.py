"""The size of files, functions and classes, which is bounded so that each is read in one go."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from textwrap import indent
from typing import cast

import pytest

import wsframe
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


def definitions(tree: ast.AST) -> Iterator[Function | ast.ClassDef]:
    """Yield the functions and classes of a module; to look into expressions too would take most of the time."""
    inside = [tree]
    while inside:
        node = inside.pop()
        if isinstance(node, Function | ast.ClassDef):
            yield node
        for part in ("body", "orelse", "finalbody", "handlers", "cases"):
            inside += getattr(node, part, ())


def above_the_limits(path: str, text: str) -> Iterator[tuple[str, int]]:
    """Yield the parts of a module that are too large, with their sizes."""
    lines = len(text.splitlines())
    if lines > MOST_LINES_OF_A_FILE:
        yield path, lines
    if path.endswith(".py"):
        for node in definitions(ast.parse(text)):
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


def test_functions_are_found_inside_every_statement() -> None:
    long = "def f():\n" + "    g()\n" * 40
    inside = [
        "if a: pass\nelse:", "for a in b: pass\nelse:", "while a: pass\nelse:", "with a:", "class A:",
        "def g():", "async def g():", "try: pass\nexcept A:", "try: pass\nexcept* A:", "try: pass\nfinally:",
        "match a:\n  case 1:",
    ]  # fmt: skip
    for statement in inside:
        found = dict(above_the_limits("a.py", f"{statement}\n{indent(long, ' ' * 4)}"))
        assert found["a.py f"] == 41, statement


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


PRIVATE_TO_THE_PACKAGE = {
    "Client": "_context _drop _encoder _id _link _note_end _outbox _resource _tasks",
    "Reject": "_maker _ours _reason",
    "Request": "_head _parsed",
    "Resource": "_listener _wsframe_hooks",
    "Server": "_internals",
}
"""The underscores of classes that users hold: they hide a name from users, and not from other modules."""
PRIVATE_TO_OTHERS = {
    "trio": ("hooks/caller.py user_code/errors.py user_code/protected_nursery.py", "_cancel_status"),
    "trio, around user code": (
        "user_code/errors.py user_code/protected_nursery.py",
        "_check_nursery_closed _child_nurseries _nested_child_finished _nested_child_running _parent_task "
        "_pending_excs _scope",
    ),
    "the standard library": (
        "cli/connect_options.py net/sockets.py protocol/deflate.py server/run.py server/signals.py "
        "server/monitoring/watchdog.py testing/frames.py user_code/protected_nursery.py",
        "_Compress _Decompress _accept _create_unverified_context _current_frames _exit _get_running_loop _getframe",
    ),
    "named tuples": ("", "_asdict _fields _replace"),
}
"""Names that others have made private, and the modules that read them; named tuples can be read anywhere."""


def defined_names(nodes: Collection[ast.AST]) -> set[str]:
    """Return the names that a module gives to its attributes, functions and classes, those in ``__slots__`` too."""
    names = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    for node in nodes:
        if isinstance(node, Function | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and is_of_itself(node):
            names.add(node.attr)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
    return names


def is_of_itself(node: ast.Attribute) -> bool:
    """Return whether an attribute is one of the object whose method reads it."""
    value = node.value.func if isinstance(node.value, ast.Call) else node.value
    return isinstance(value, ast.Name) and value.id in {"self", "cls", "super"}


OF_ITSELF = re.compile(r"(?<![\w.])(?:self|cls|super\(\))\._\w+")


def foreign_names(path: str, text: str) -> Iterator[str]:
    """Yield the private attributes that a module reads of objects whose class is in no line of it."""
    if not re.search(r"\.\s*_", OF_ITSELF.sub("", text)):
        return  # most modules need no parser
    nodes = list(ast.walk(ast.parse(text)))
    own = defined_names(nodes)
    for attributes, (modules, names) in PRIVATE_TO_OTHERS.items():
        if attributes == "named tuples" or path in modules.split():
            own |= set(names.split())
    for names in PRIVATE_TO_THE_PACKAGE.values():
        own |= set(names.split())
    for node in nodes:
        if not isinstance(node, ast.Attribute) or node.attr in own or is_of_itself(node):
            continue
        if node.attr.startswith("_") and not node.attr.endswith("__"):
            yield f"{path}:{node.lineno} {ast.unparse(node)}"


def test_no_module_reads_private_attributes_of_another() -> None:
    package = ROOT / "wsframe"
    paths = sorted(package.rglob("*.py"))
    assert paths
    found = [
        name for path in paths for name in foreign_names(path.relative_to(package).as_posix(), path.read_text("utf-8"))
    ]
    assert found == []


def test_the_package_keeps_secrets_only_in_classes_that_users_hold() -> None:
    for kind, names in PRIVATE_TO_THE_PACKAGE.items():
        missing = [name for name in names.split() if not defines(getattr(wsframe, kind), name)]
        assert missing == [], kind


def defines(kind: type, name: str) -> bool:
    """Return whether a class has a method, a slot or an attribute of a name."""
    return any(name in vars(base) or f"self.{name}" in inspect.getsource(base) for base in kind.__mro__[:-1])


def test_a_private_attribute_of_another_module_is_found() -> None:
    assert list(foreign_names("a.py", "def f(other):\n    return other._x\n")) == ["a.py:2 other._x"]
    assert not list(foreign_names("a.py", "class A:\n    def f(self, other):\n        self._x = other._x\n"))
    assert list(foreign_names("hooks/a.py", "task._cancel_status")) == ["hooks/a.py:1 task._cancel_status"]
    assert not list(foreign_names("user_code/errors.py", "task._cancel_status"))
    assert not list(foreign_names("a.py", "client._link, one._replace(a=1)"))
