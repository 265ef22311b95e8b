"""The documents: each Python block runs, each command of wsframe parses, each step of the tutorial works.

The Python blocks of a page are one program, run in order. There ``wsframe.run`` only checks
its arguments. Then the resources that the page registered are served, so that each ``running()``
is entered and left, and functions called ``test_...`` are called.
"""

import inspect
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.request import ProxyHandler, build_opener

import pytest
import trustme
from websockets.sync.client import ClientConnection, connect

import wsframe
from tests.documents import ROOT, CodeBlock, code_blocks
from tests.examples.running import program_running
from wsframe.cli import make_parser
from wsframe.registry import global_registry

PATIENCE = 20
PAGES = sorted([*ROOT.glob("docs/*.rst"), *ROOT.glob("*.rst")])
STEPS = sorted(path.stem for path in ROOT.glob("docs/steps/*.py"))


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give a folder with the files that pages speak of; undo what they register."""
    certificate = trustme.CA().issue_cert("chat.example")
    certificate.cert_chain_pems[0].write_to_path(str(tmp_path / "fullchain.pem"))
    certificate.private_key_pem.write_to_path(str(tmp_path / "privkey.pem"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        wsframe, "run", lambda *args, **options: inspect.signature(wsframe.serve).bind(*args, **options)
    )
    yield tmp_path
    for path in global_registry.paths():
        global_registry.unregister(path)


def run_blocks(page: Path) -> dict[str, Any]:
    # In a module that can be found by name, which dataclasses and the like look for.
    module = ModuleType("page")
    sys.modules["page"] = module
    try:
        for block in code_blocks(page, "python"):
            exec(compile(block.source, str(page), "exec"), module.__dict__)
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
            await value()


def commands() -> Iterator[tuple[CodeBlock, list[str]]]:
    blocks = chain.from_iterable(code_blocks(page, "shell") for page in PAGES)
    for block in blocks:
        for line in block.code.splitlines():
            words = shlex.split(line)
            if words[:1] == ["wsframe"]:
                yield block, words[1:]


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
        assert len(re.findall(r"code-block::", text)) == len(
            list(code_blocks(page, "python", "shell", "nginx", "text", "javascript"))
        ), page.name


def test_the_reference_has_every_public_name() -> None:
    text = (ROOT / "docs/reference.rst").read_text()
    documented = re.findall(r"^\.\. (?:py:)?(?:auto)?(?:class|function|exception|data):: (\w+)", text, re.MULTILINE)
    assert sorted(documented) == sorted(wsframe.__all__)


def test_the_files_that_contributors_are_sent_to_exist() -> None:
    table = (ROOT / "CONTRIBUTING.rst").read_text().partition("Question and file")[2]
    names = re.findall(r"``([\w/]+\.py)``", table.partition("Style\n")[0])
    assert len(names) > 20
    assert [name for name in names if not (ROOT / "wsframe" / name).is_file()] == []


def test_each_invariant_that_contributors_read_has_its_test() -> None:
    promised = re.findall(r"^(\d+)\. .*", (ROOT / "CONTRIBUTING.rst").read_text(), re.MULTILINE)
    tests = "".join(path.read_text() for path in ROOT.glob("tests/test_invariants*.py"))
    assert promised == [str(number) for number in range(1, 11)]
    assert set(promised) == set(re.findall(r"def test_invariant_(\d+)_", tests))


class Visitors:
    """Two clients of a step of the tutorial."""

    def __init__(self, address: str, stack: ExitStack) -> None:
        self.address = address
        url = f"ws{address.removeprefix('http')}/chat"
        self.ann, self.bob = (stack.enter_context(connect(url, open_timeout=PATIENCE, proxy=None)) for _ in range(2))

    def expect(self, client: ClientConnection, *lines: str) -> None:
        assert [client.recv(PATIENCE) for _ in lines] == list(lines)


def check_hello(visitors: Visitors) -> None:
    visitors.ann.send("hello")
    visitors.expect(visitors.ann, "welcome", "you said: hello")
    visitors.expect(visitors.bob, "welcome")


def check_room(visitors: Visitors) -> None:
    visitors.ann.send("hello")
    visitors.expect(visitors.ann, "hello")
    visitors.expect(visitors.bob, "hello")


def check_names(visitors: Visitors) -> None:
    visitors.expect(visitors.ann, "user-1 joined", "user-2 joined")
    visitors.bob.send("/nick user-1")
    visitors.bob.send("/nick bob")
    visitors.bob.send("hello")
    visitors.expect(visitors.bob, "user-2 joined", "you cannot be called 'user-1'", "user-2 is now bob", "bob: hello")
    visitors.bob.close()
    visitors.expect(visitors.ann, "user-2 is now bob", "bob: hello", "bob left")


def check_page(visitors: Visitors) -> None:
    with build_opener(ProxyHandler({})).open(f"{visitors.address}/", timeout=PATIENCE) as answer:
        assert b"<ol id=" in answer.read()
    check_room(visitors)


def check_ticker(visitors: Visitors) -> None:
    while visitors.ann.recv(PATIENCE) != "2 here":
        pass


CHECKS: dict[str, Callable[[Visitors], None]] = {
    "hello": check_hello,
    "names": check_names,
    "page": check_page,
    "room": check_room,
    "ticker": check_ticker,
}


def test_each_step_has_a_check() -> None:
    assert sorted(CHECKS) == STEPS


@pytest.mark.parametrize("step", STEPS)
def test_a_step_of_the_tutorial_works(step: str) -> None:
    command = ["-m", "wsframe", "serve", str(ROOT / f"docs/steps/{step}.py"), "--port", "0", "--log-level", "error"]
    if step == "page":
        command += ["--http-handler", "page"]
    with program_running(sys.executable, *command) as address, ExitStack() as stack:
        CHECKS[step](Visitors(address, stack))


@pytest.mark.parametrize("step", STEPS)
def test_a_step_of_the_tutorial_serves_itself_when_run(step: str, scratch: Path) -> None:
    path = ROOT / f"docs/steps/{step}.py"
    exec(compile(path.read_text(), str(path), "exec"), {"__name__": "__main__"})
    assert wsframe.find_global_resource("/chat") is not None
