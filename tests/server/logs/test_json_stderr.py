"""With JSON on stderr nothing that Python writes there is anything else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROGRAM = """
import gc
import logging
import sys
import threading
import traceback
import warnings

import trio
import wsframe


class Bad:
    def __del__(self):
        raise ZeroDivisionError("in a finalizer")


def fail():
    raise ZeroDivisionError("in a thread")


def started(server):
    warnings.warn("old\\nthing", DeprecationWarning)
    thread = threading.Thread(target=fail, name="worker")
    thread.start()
    thread.join()
    Bad()
    gc.collect()
    print("printed", "words", file=sys.stderr)
    sys.stderr.write("begun")
    sys.stderr.flush()
    sys.stderr.write(" and ended\\n")
    sys.stderr.buffer.write(b"bytes \\xff\\n")
    assert sys.stderr.encoding == "utf-8"
    try:
        fail()
    except ZeroDivisionError:
        traceback.print_exc()
    logging.getLogger("mine").warning("a line of mine", extra={"number": 5})
    logging.getLogger("wsframe.server").debug("a detail")
    server.close()


class Chat(wsframe.Resource):
    pass


warnings.simplefilter("always")
wsframe.register_global_resource("/", Chat())
wsframe.run(port=0, started=started, log_format="json", log_level="debug")
END
"""


def lines_of(tmp_path: Path, end: str, status: int) -> list[dict[str, Any]]:
    """Run the program; return the lines on stderr."""
    path = tmp_path / "program.py"
    path.write_text(PROGRAM.replace("END", end))
    done = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == status, done.stderr
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    for line in lines:
        assert {"time", "level", "logger", "message"} <= line.keys()
    return lines


def found(lines: list[dict[str, Any]], **fields: object) -> dict[str, Any]:
    """Return the one line with these fields."""
    (line,) = [line for line in lines if fields.items() <= line.items()]
    return line


def test_each_line_is_an_object_with_its_level_and_logger(tmp_path: Path) -> None:
    lines = lines_of(tmp_path, "print('the end', file=sys.stderr)", 0)
    assert found(lines, level="INFO", logger="wsframe.server")["message"].startswith("serving at ws://")
    warning = found(lines, logger="py.warnings", message="DeprecationWarning: old\nthing")
    assert warning["file"].endswith("program.py")
    error = found(lines, logger="python", message="ZeroDivisionError ends thread worker")
    assert error["traceback"].endswith("ZeroDivisionError: in a thread")
    assert [line for line in lines if "in a finalizer" in line.get("traceback", "")]
    assert found(lines, logger="stderr", message="printed words")["level"] == "WARNING"
    assert found(lines, logger="stderr", message="begun and ended")
    assert found(lines, logger="stderr", message="bytes \\xff")
    assert found(lines, logger="stderr", message="ZeroDivisionError: in a thread")
    assert found(lines, logger="mine", message="a line of mine")["number"] == 5
    assert found(lines, level="DEBUG", message="a detail")
    assert lines[-1]["message"] == "the end"


@pytest.mark.parametrize(
    ("end", "status", "message"),
    [
        ("raise ValueError('last')", 1, "ValueError ends the program"),
        ("sys.exit('last words')", 1, "last words"),
        ("import atexit; atexit.register(lambda: print('at the exit', file=sys.stderr))", 0, "at the exit"),
        ("bad = Bad()", 0, "Exception ignored in"),
    ],
    ids=["uncaught", "exit with words", "at exit", "finalizer at exit"],
)
def test_the_last_words_of_a_process_are_an_object_too(tmp_path: Path, end: str, status: int, message: str) -> None:
    lines = lines_of(tmp_path, end, status)
    assert [line for line in lines if message in line["message"]][-1:] == lines[-1:]


SMALL = """
import logging
import logging.config
import os
import sys
import wsframe
BEFORE

class Chat(wsframe.Resource):
    pass


def started(server):
    WITHIN
    server.close()


wsframe.register_global_resource("/", Chat())
wsframe.run(port=0, started=started, log_format="json")
"""
CONFIGURED = {"version": 1, "handlers": {"c": {"class": "logging.StreamHandler"}}, "root": {"handlers": ["c"]}}


def lines_with(tmp_path: Path, before: str, within: str) -> list[dict[str, Any]]:
    """Run a program that does something before it serves, and something while it does."""
    path = tmp_path / "small.py"
    path.write_text(SMALL.replace("BEFORE", before).replace("WITHIN", within))
    done = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stderr.splitlines()]


@pytest.mark.parametrize(
    "before",
    [
        "logging.basicConfig(level='INFO', format='%(asctime)s mine: %(message)s')",
        f"logging.config.dictConfig({CONFIGURED}); logging.getLogger('mine').setLevel('INFO')",
        "mine = logging.getLogger('mine'); mine.propagate = False; mine.addHandler(logging.StreamHandler(sys.stderr))",
    ],
    ids=["basicConfig", "dictConfig", "a handler of one logger"],
)
def test_logging_that_a_program_has_configured_as_text_writes_objects(tmp_path: Path, before: str) -> None:
    lines = lines_with(tmp_path, before, "logging.getLogger('mine').warning('seen', extra={'number': 5})")
    assert found(lines, message="seen", level="WARNING", logger="mine")["number"] == 5


def test_a_formatter_of_a_class_of_its_own_is_left_alone(tmp_path: Path) -> None:
    before = (
        "class Own(logging.Formatter):\n    def format(self, record): return '{\"mine\": true}'\n"
        "logging.basicConfig(level='INFO')\nlogging.getLogger().handlers[0].setFormatter(Own())"
    )
    assert {"mine": True} in lines_with(tmp_path, before, "logging.warning('seen')")


def test_a_line_that_never_ends_is_written_when_the_process_does_and_is_bounded(tmp_path: Path) -> None:
    within = "[sys.stderr.write(f'\\r{number:100}') for number in range(1000)]"
    lines = [line["message"] for line in lines_with(tmp_path, "", within) if line["logger"] == "stderr"]
    assert "".join(lines) == "".join(f"\r{number:100}" for number in range(1000))
    assert max(map(len, lines)) < 8192 + 200


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_writes_its_lines_before_it_ends_and_none_of_its_parents(tmp_path: Path) -> None:
    within = (
        "logging.getLogger('mine').warning('before'); sys.stderr.write('begun')\n"
        "    if not os.fork(): print('printed', file=sys.stderr); logging.getLogger('mine').warning('in the child'); "
        "os._exit(0)\n    os.wait()\n    print(' and ended', file=sys.stderr)"
    )
    lines = [line["message"] for line in lines_with(tmp_path, "", within) if line["logger"] in ("mine", "stderr")]
    assert sorted(lines) == ["before", "begun and ended", "in the child", "printed"]
