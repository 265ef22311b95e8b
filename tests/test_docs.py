"""The documents: each Python block runs, each command of wsframe parses, each name and number is right.

The Python blocks of a page are one program, run in order. There ``wsframe.run`` only checks
its arguments. Then the resources that the page registered are served, so that each ``running()``
is entered and left, and functions called ``test_...`` are called.
"""

import ast
import inspect
import logging
import re
import shlex
import sys
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import fields
from difflib import SequenceMatcher
from itertools import chain
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import trio
import trustme
from trio.testing import MockClock

import wsframe
import wsframe.testing
from tests.documents import ROOT, CodeBlock, code_blocks
from wsframe.cli import make_parser
from wsframe.limits import DEFAULT_LIMITS, DEFAULT_TIMEOUTS
from wsframe.resources.routing.registry import global_registry
from wsframe.server.options import made_options
from wsframe.testing.fixtures import client_factory, server_factory

PAGES = sorted([*ROOT.glob("docs/**/*.rst"), *ROOT.glob("*.rst")])
# "py" is Python of other libraries, which is not run.
LANGUAGES = ("python", "py", "shell", "nginx", "text", "ini", "yaml", "javascript", "lisp", "sql")
REFERENCE = [path.read_text() for path in (ROOT / "docs/reference.rst", *ROOT.glob("docs/reference/*.rst"))]


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give a folder with the files that pages speak of; undo their registrations."""
    certificate = trustme.CA().issue_cert("chat.example")
    certificate.cert_chain_pems[0].write_to_path(str(tmp_path / "fullchain.pem"))
    certificate.private_key_pem.write_to_path(str(tmp_path / "privkey.pem"))
    (tmp_path / "static").mkdir()
    (tmp_path / "chat.html").touch()
    monkeypatch.chdir(tmp_path)
    before = global_registry.snapshot()
    levels = {logger: logger.level for logger in loggers()}
    monkeypatch.setattr(
        wsframe, "run", lambda registry=None, options=None, workers=None, **keywords: made_options(options, keywords)
    )
    yield tmp_path
    global_registry.restore(before)
    for logger in loggers():  # a page shows how to set them, and can be the first to import their modules
        logger.setLevel(levels.get(logger, logging.NOTSET))


def loggers() -> list[logging.Logger]:
    return [logging.root, *(logging.getLogger(name) for name in logging.root.manager.loggerDict if "wsframe" in name)]


def run_blocks(page: Path) -> dict[str, Any]:
    # In a module that can be found by name, which dataclasses and the like look for.
    module = ModuleType("page")
    sys.modules["page"] = module
    try:
        for block in code_blocks(page, "python"):
            source = block.source
            if "wsframe.run(" in source and page.stem != "README":  # which only checks its options here
                source = source.replace('if __name__ == "__main__":', "if True:")
            exec(compile(source, str(page), "exec"), module.__dict__)
    finally:
        del sys.modules["page"]
    return module.__dict__


@pytest.mark.parametrize(
    "page", [page for page in PAGES if any(code_blocks(page, "python"))], ids=lambda page: page.stem
)
async def test_the_python_of_a_page_runs(page: Path, scratch: Path) -> None:
    names = run_blocks(page)
    async with wsframe.open_server(port=0):
        pass
    for name, value in names.items():
        if name.startswith("test_"):
            await trio.to_thread.run_sync(run_test, value)


def run_test(test: Callable[..., Awaitable[None]]) -> None:
    """Run a test of a page with the fixtures it asks for."""
    clock = MockClock(autojump_threshold=0)
    wanted = inspect.signature(test).parameters

    async def main() -> None:
        async with client_factory() as connect_client, server_factory() as serve:
            fixtures = {"autojump_clock": clock, "wsframe_client": connect_client, "wsframe_server": serve}
            await test(**{name: fixtures[name] for name in wanted})

    trio.run(main, clock=clock if "autojump_clock" in wanted else None)


def test_the_tutorial_marks_the_lines_that_change() -> None:
    text = (ROOT / "docs/tutorial/rooms.rst").read_text()
    (marked,) = re.findall(r"literalinclude:: ../steps/history.py\n    :lines: 3-\n    :emphasize-lines: (\S+)", text)
    lines: set[int] = set()
    for part in marked.split(","):
        first, _, last = part.partition("-")
        lines |= set(range(int(first), int(last or first) + 1))
    before, after = ((ROOT / f"docs/steps/{name}.py").read_text().splitlines()[2:] for name in ("members", "history"))
    changed = [line for kind, *line in SequenceMatcher(None, before, after).get_opcodes() if kind != "equal"]
    numbers = {number + 1 for _, _, start, end in changed for number in range(start, end) if after[number]}
    assert lines == numbers


def commands() -> Iterator[tuple[CodeBlock, list[str]]]:
    blocks = chain.from_iterable(code_blocks(page, "shell") for page in PAGES)
    for block in blocks:
        for line in block.code.replace("\\\n", " ").splitlines():
            words = shlex.split(line)
            if words[:1] == ["wsframe"]:
                yield block, words[1:]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_no_snippet_serves_when_it_is_imported(page: Path) -> None:
    for block in code_blocks(page, "python"):
        assert not re.search(r"^(wsframe\.)?run(_handlers)?\(", block.code, re.MULTILINE), block.source


def test_the_commands_parse() -> None:
    found = list(commands())
    assert found
    for block, words in found:
        try:
            make_parser().parse_args(words)
        except SystemExit:
            pytest.fail(f"{block.path.name}, line {block.line}: {words}")


def test_all_blocks_are_in_a_language_that_is_known_here() -> None:
    for page in PAGES:
        text = page.read_text()
        assert len(re.findall(r"code-block::", text)) == len(list(code_blocks(page, *LANGUAGES))), page.name


def test_the_reference_has_every_public_name() -> None:
    for module in (wsframe, wsframe.testing):
        text = "".join(text for text in REFERENCE if f".. currentmodule:: {module.__name__}\n" in text)
        names = re.findall(r"^\.\. (?:py:)?(?:auto)?(?:class|function|exception|data):: (\w+)", text, re.MULTILINE)
        assert sorted(names) == sorted(module.__all__)


def test_the_files_that_contributors_are_sent_to_exist() -> None:
    text = (ROOT / "CONTRIBUTING.rst").read_text().partition("How to read the code")[2].partition("Style\n")[0]
    names = re.findall(r"``((?:\w+/)*\w+\.(?:py|c))``", text)
    assert len(names) > 20
    assert [name for name in names if not ((ROOT / "wsframe" / name).is_file() or (ROOT / name).is_file())] == []


ROOMS = sorted(path.parent for path in (ROOT / "wsframe").rglob("*/__init__.py"))


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: str(room.relative_to(ROOT)))
def test_each_room_names_its_modules(room: Path) -> None:
    said = ast.get_docstring(ast.parse((room / "__init__.py").read_text())) or ""
    modules = {path.stem for path in room.glob("*.py")} - {"__init__"}
    modules |= {path.parent.name for path in room.glob("*/__init__.py")}
    assert modules <= set(re.findall(r"``(\w+)``", said)), room.name


def test_few_files_stand_outside_the_rooms() -> None:
    assert len(list(ROOT.glob("wsframe/*.py"))) <= 8


def test_the_tests_that_documents_name_exist() -> None:
    text = "".join(page.read_text() for page in PAGES)
    names = set(re.findall(r"``((?:tests/)?(?:\w+/)*test_\w+\.py)``", text))
    assert len(names) > 30
    # That of ``wsframe new``, and those of the tutorial.
    written = {"test_app.py", *(path.name for path in ROOT.glob("docs/steps/test_*.py"))}
    for name in names - written:
        assert (ROOT / name).is_file() if "/" in name else list(ROOT.glob(f"tests/**/{name}")), name


def default(value: float | None) -> str:
    """Write a default as the tables do; sizes from 8 KiB on in units."""
    if value is None:
        return "none"
    for unit, size in (("MiB", 1024 * 1024), ("KiB", 1024)):
        if value >= 8 * 1024 and value % size == 0:
            return f"{value / size:.0f} {unit}"
    return f"{value:g}"


def options() -> Iterator[tuple[str, str, str]]:
    """Yield the class, name and default of each option."""
    for made in (DEFAULT_LIMITS, DEFAULT_TIMEOUTS, wsframe.Capacity()):
        for field in fields(made):
            value = getattr(made, field.name)
            unit = " s" if made is DEFAULT_TIMEOUTS and value is not None else ""
            yield type(made).__name__, field.name, default(value) + unit


def test_the_options_of_the_reference_are_those_there_are() -> None:
    text = (ROOT / "docs/reference.rst").read_text().partition(".. _options:")[2]
    table = text.partition("Option ")[2].partition(".. autoclass::")[0]
    rows = re.findall(r"^([a-z_]+) +(none|\d+(?: \S+)?) {2}", table.replace("none ", "none  "), re.MULTILINE)
    assert rows == [(name, value) for _, name, value in options()]


def test_the_limits_of_the_threat_model_are_those_there_are() -> None:
    text = (ROOT / "docs/explanation/security.rst").read_text()
    table = text.partition("Beyond it\n")[2].partition("Sizes are bytes")[0]
    pair = "``Timeouts.ping_interval``, ``.ping_timeout``   20 s, 20 s"
    assert pair in table
    table = table.replace(pair, "``Timeouts.ping_interval``  20 s  \n``Timeouts.ping_timeout``  20 s  ")
    rows = re.findall(r"^``(\w+)\.(\w+)`` +(none|\S+(?: \S+)?) {2}", table, re.MULTILINE)
    assert sorted(rows) == sorted(options())


def test_the_log_lines_of_the_reference_are_logged() -> None:
    table = (ROOT / "docs/reference.rst").read_text().partition("Log lines\n")[2]
    table = re.sub(r"\n {8}", " ", table)
    code = "".join(path.read_text() for path in ROOT.glob("wsframe/**/*.py"))
    lines = re.findall(r"``([^`]+)``", table.partition("\nINFO")[2])
    assert len(lines) > 15
    logged = {
        re.sub(r"%\w", "", text).strip(" :,")
        for text in re.findall(r'logger\.\w+\(\s*(?:[\w.()]+,\s*)?"([^"]+)"', code)
    }
    for line in lines:
        words = [part.strip(" :,()") for part in re.split(r"\b[A-Z]{4,}\b", line)]
        assert any(all(word in text for word in words) for text in logged), line


def test_the_reasons_of_the_reference_are_given() -> None:
    text = (ROOT / "docs/reference.rst").read_text().partition("names the cause:\n")[2].partition("Codes that")[0]
    reasons = re.findall(r"^([a-z][a-z ]+?) {2,}[A-Z`]", text, re.MULTILINE)
    assert len(reasons) > 8
    code = "".join(path.read_text() for path in ROOT.glob("wsframe/**/*.py"))
    given = set(re.findall(r'(?:abort|lost)\(\s*"([^"]+)"', code))
    given |= set(re.findall(r'ABNORMAL_CLOSURE, "([^"]+)"', code))
    assert set(reasons) == given


def test_each_invariant_that_contributors_read_has_its_test() -> None:
    promised = re.findall(r"^(\d+)\. .*", (ROOT / "CONTRIBUTING.rst").read_text(), re.MULTILINE)
    tests = "".join(path.read_text() for path in ROOT.glob("tests/test_invariants*.py"))
    assert promised == [str(number) for number in range(1, 11)]
    assert set(promised) == set(re.findall(r"def test_invariant_(\d+)_", tests))
