"""The cells of tables that translate code of other libraries, and their Python."""

from __future__ import annotations

import ast
import csv
import inspect
import re
from collections.abc import Iterator
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from tests.documents import ROOT

__all__ = ["LISP", "PAGES", "TABLES", "Cell", "Failed", "Row", "Source", "page_cells", "rows_of"]

TABLES = {
    "clws": [f"C-{n:02}" for n in chain(range(1, 16), range(20, 38), range(40, 52), range(60, 74), range(80, 88))],
    "clws-fork": [f"F-{n:02}" for n in range(1, 8)],
    "portal": [f"P-{n:02}" for n in range(1, 18)],
    "easy-websocket": [f"E-{n:02}" for n in range(1, 13)],
    "websocket-driver": [f"W-{n:02}" for n in range(1, 18)],
    "hunchensocket": [f"H-{n:02}" for n in range(1, 10)],
}
"""The tables of features, and the features that are in each."""

LISP = sorted(ROOT.glob("docs/reference/coming-from/*.rst"))
PAGES = [*LISP, *(ROOT / f"docs/reference/coming-from-{name}.rst" for name in ("node", "python"))]

CSV_TABLE = re.compile(r"^\.\. csv-table::\n(?P<options>(?:    :.*\n)+)\n(?P<rows>(?:    \S.*\n)+)", re.MULTILINE)


class Cell(NamedTuple):
    """The code for wsframe, in the markup of the documents."""

    id: str
    text: str

    def __str__(self) -> str:
        return self.id

    @property
    def python(self) -> list[str]:
        """Its literals, all of which are Python."""
        return re.findall(r"``(.+?)``", self.text)

    @property
    def roles(self) -> list[tuple[str, str]]:
        """Its other marked words: the role, empty for the default one, and the marked text."""
        return re.findall(r"(?::(\w+):)?`([^`]+)`", re.sub(r"``.+?``", "", self.text))


class Row(NamedTuple):
    """A feature of one of the libraries."""

    id: str
    there: str
    here: str
    built: str
    tests: str

    def __str__(self) -> str:
        return self.id


def rows_of(table: str) -> Iterator[Row]:
    """Yield the rows of a table of features."""
    with (ROOT / f"docs/reference/rows/{table}.csv").open(newline="") as file:
        for fields in csv.reader(file, delimiter="|"):
            yield Row(*fields)


def page_cells(page: Path) -> Iterator[Cell]:
    """Yield the cells of a page's tables in the column or row of wsframe."""
    number = 0
    for table in CSV_TABLE.finditer(page.read_text()):
        header = re.search(r":header: (.*)", table["options"])
        here = [] if header is None else [word.strip() for word in header[1].split("|")]
        for fields in csv.reader(table["rows"].splitlines(), delimiter="|", skipinitialspace=True):
            if here[-1:] == ["wsframe"] or fields[0].strip() == "wsframe":
                number += 1
                yield Cell(f"{page.stem}-{number:02}", fields[-1] if here[-1:] == ["wsframe"] else " ".join(fields))


class Failed(AssertionError):
    """Python in a cell did not keep the promise of the cell."""


class Source:
    """Python of a cell."""

    def __init__(self, text: str) -> None:
        self.text = text
        try:
            self.tree = ast.parse(text)
        except SyntaxError:
            raise Failed(f"no Python: {text}") from None
        nodes = list(ast.walk(self.tree))
        read = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
        assigned = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
        defined = any(isinstance(node, ast.ClassDef) for node in nodes)
        if any(isinstance(node, ast.Constant) and node.value is ... for node in nodes):
            raise Failed(f"not complete: {text}")
        if not read or (assigned - read and not defined):
            raise Failed(f"does nothing: {text}")
        self.names = read
        last = self.tree.body[-1]
        self.expression = last.value if isinstance(last, ast.Expr) else None

    def steps(self) -> Iterator[Any]:
        """Yield the code of the statements, and then that of the expression at the end, if there is one."""
        compiled = partial(compile, filename=self.text, flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
        body = self.tree.body if self.expression is None else self.tree.body[:-1]
        yield compiled(ast.Module(body, []), mode="exec")
        if self.expression is not None:
            yield compiled(ast.Expression(self.expression), mode="eval")

    async def evaluate(self, names: dict[str, Any]) -> object:
        value = None
        for code in self.steps():
            value = eval(code, names)
            if code.co_flags & inspect.CO_COROUTINE:
                value = await value
        self.check(value)
        return value

    def run(self, names: dict[str, Any]) -> None:
        """Run it as a program is, outside trio."""
        for code in self.steps():
            self.check(eval(code, names))

    def check(self, value: object) -> None:
        """Check that an expression's value says something."""
        named = isinstance(self.expression, ast.Name | ast.Attribute)
        if inspect.iscoroutine(value):
            value.close()
            raise Failed(f"not awaited: {self.text}")
        if named and (callable(value) or isinstance(value, property)):
            raise Failed(f"not called: {self.text}")
        if value is False and not named:
            raise Failed(f"False: {self.text}")
