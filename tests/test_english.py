"""Plain English: sentences name the thing, in documents, docstrings and comments."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.documents import ROOT

MOST = 2.0
"""Of 1000 words, those of :data:`VAGUE`."""
VAGUE = re.compile(r"\b(?:what|whoever)\b", re.IGNORECASE)
"""The words that stand for a thing: "the message that you send" is plain, "what you send" is not."""
VAGUE_BEGINNING = re.compile(r"(?:^|[.!:;]\s|\n\n)\s*(?:\* |\d\. )?(?:What|Who|Whoever) [^?.]*[^?.\w]*[.:;]")
TREES = ("wsframe", "tests", "examples", "benchmarks", "docs")
BESIDE = ("README.rst", "CONTRIBUTING.rst", "CHANGELOG.rst", "noxfile.py")


def sources(tree: str, *endings: str) -> Iterator[Path]:
    """Yield the files of a folder, without those of others and of Sphinx."""
    for path in sorted((ROOT / tree).rglob("*")):
        if path.suffix in endings and not {"node_modules", "_build"} & set(path.parts):
            yield path


def docstrings(text: str) -> Iterator[str]:
    """Yield the docstrings of a module, those of its attributes too."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.value.value


def comments(text: str) -> Iterator[str]:
    """Yield the comments of a module, those on lines below each other as one."""
    for block in re.findall(r"(?:^ *# .*\n)+|  # .*\n", text, re.MULTILINE):
        yield " ".join(line.partition("# ")[2] for line in block.splitlines())


@cache
def prose(tree: str) -> tuple[tuple[str, str], ...]:
    """Return the pieces of prose in a folder, or of one file, each with the name of its file."""
    found: list[tuple[str, str]] = []
    for path in [ROOT / tree] if "." in tree else sources(tree, ".py", ".rst", ".inc", ".csv"):
        text = path.read_text("utf-8")
        pieces = [text] if path.suffix != ".py" else [*docstrings(text), *comments(text)]
        found += ((path.relative_to(ROOT).as_posix(), piece) for piece in pieces)
    return tuple(found)


@pytest.mark.parametrize("tree", [*TREES, *BESIDE])
def test_sentences_name_the_thing(tree: str) -> None:
    words = sum(len(re.findall(r"\w+", piece)) for _, piece in prose(tree))
    vague = [name for name, piece in prose(tree) for _ in VAGUE.findall(piece)]
    assert len(vague) <= MOST * words / 1000, vague


@pytest.mark.parametrize("tree", [*TREES, *BESIDE])
def test_no_sentence_begins_with_a_word_that_stands_for_the_thing(tree: str) -> None:
    assert [(name, found[0]) for name, piece in prose(tree) for found in VAGUE_BEGINNING.finditer(piece)] == []


@pytest.mark.parametrize(
    ("text", "vague"),
    [
        ("What you send is queued.", True),
        ("It waits. Whoever asks is told.", True),
        ("Who is idle is never reset: they stay.", True),
        ("Messages are queued.", False),
        ("What is a room?", False),
        ("It says who has left.", False),
    ],
)
def test_a_question_is_no_such_sentence(text: str, vague: bool) -> None:
    assert bool(VAGUE_BEGINNING.search(text)) == vague


def test_the_prose_of_a_module_is_its_docstrings_and_comments() -> None:
    text = '"""One."""\n\n# Two\n# three.\n\nx = "what"  # Four.\n"""Five."""\n'
    assert list(docstrings(text)) == ["One.", "Five."]
    assert list(comments(text)) == ["Two three.", "Four."]
