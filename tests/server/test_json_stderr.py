"""With JSON on stderr nothing that Python writes there is anything else."""

from __future__ import annotations

import json
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
