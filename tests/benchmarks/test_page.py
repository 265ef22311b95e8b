"""The documents' statements about the benchmarks are true."""

import re
import shlex

from benchmarks.__main__ import make_parser
from benchmarks.results import MARKS
from benchmarks.scenarios import SERIES, USUAL, choose
from tests.documents import ROOT, code_blocks

PAGE = ROOT / "docs/explanation/performance.rst"
PROFILE = ROOT / "docs/explanation/performance/profile.rst"
PROGRAMS = ROOT / "docs/explanation/performance/programs.rst"


def test_the_commands_parse_and_their_scenarios_exist() -> None:
    blocks = [*code_blocks(PAGE, "shell"), *code_blocks(PROFILE, "shell")]
    lines = [line for block in blocks for line in block.code.splitlines()]
    commands = [shlex.split(line)[3:] for line in lines if line.startswith("python -m benchmarks ")]
    assert len(commands) > 4
    for words in commands:
        choose(make_parser().parse_args(words).scenarios.split(","))


def test_the_programs_exist() -> None:
    programs = re.findall(r"^    python (benchmarks/\w+\.py)", PROGRAMS.read_text(), re.MULTILINE)
    modules = re.findall(r"^    python -m benchmarks\.(\w+)", PROGRAMS.read_text(), re.MULTILINE)
    programs += [f"benchmarks/{name}.py" for name in modules]
    assert len(programs) == 8
    assert [name for name in programs if not (ROOT / name).is_file()] == []


def test_the_tables_have_each_scenario_and_each_mark() -> None:
    text = PAGE.read_text()
    assert re.findall(r"^``([\w-]+)``  ", text, re.MULTILINE) == [*USUAL, *(series.name for series in SERIES)]
    assert re.findall(r"^(\w)    [A-Z]", text, re.MULTILINE) == list(MARKS)
