"""The code blocks of the project's documents."""

import re
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import NamedTuple

__all__ = ["ROOT", "CodeBlock", "code_blocks"]

ROOT = Path(__file__).parents[1]

BLOCK = re.compile(
    r"""
    ^(?P<indent>[ ]*)\.\.[ ]code-block::[ ]*(?P<language>\w+)\n
    (?:(?P=indent)[ ]+:.*\n)*  # options
    (?P<code>(?:(?P=indent)[ ]+\S.*\n|[ ]*\n)+)
    """,
    re.MULTILINE | re.VERBOSE,
)


class CodeBlock(NamedTuple):
    """One ``code-block`` of a document."""

    path: Path
    line: int
    language: str
    code: str

    @property
    def source(self) -> str:
        """The code below as many empty lines as put it where it stands in the document."""
        return "\n" * (self.line - 1) + self.code


def code_blocks(path: Path, *languages: str) -> Iterator[CodeBlock]:
    """Yield the blocks of a document in these languages."""
    text = path.read_text()
    for found in BLOCK.finditer(text):
        code = found["code"]
        start = found.start("code") + len(code) - len(code.lstrip("\n"))
        if found["language"] in languages:
            yield CodeBlock(path, text.count("\n", 0, start) + 1, found["language"], dedent(code).strip("\n") + "\n")
