"""Copies of wsframe, as it is and without its counters, each with a C extension of its own.

The counters are in the code whose work they count. So a wsframe without them is made by taking out the lines that
count; a test checks that all of these are still there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

__all__ = ["COUNTERS", "build_copy", "without_counters"]

ROOT = Path(__file__).parents[1]
BUILT_FROM = ("setup.py", "pyproject.toml", "README.rst", "LICENSE", "_wsframe_pytest.py")
BUILD_PATIENCE = 300

COUNTERS: tuple[tuple[str, str, str], ...] = (
    ("connection/mailbox.py", "        self.received += count\n", ""),
    ("connection/outbox.py", "        self.messages_sent += 1\n", ""),
    ("connection/link.py", "        self.bytes_received += count\n", ""),
    (
        "connection/lead.py",
        '        """Wake the task, and note the time."""\n        self.rung_at = perf_counter()\n',
        "",
    ),
    ("hooks/listener.py", "                    rung_at = bell.rung_at\n", ""),
    ("hooks/listener.py", "                    ended = perf_counter()\n", ""),
    ("hooks/listener.py", "                    hooks.seconds += ended - began\n", ""),
    ("hooks/listener.py", "                    stopwatch.note(rung_at, began, last, ended, count)\n", ""),
    ("speedups/inbox.c", " ||\n                 add(m, share->inbox, RECEIVED, count) < 0;", ";"),
    ("speedups/sending.c", " ||\n                     add(m, outbox, MESSAGES_SENT, 1) < 0))", "))"),
    ("speedups/sending.c", "return add(m, outbox, BYTES_SENT, byte_count);", "return 0;"),
    ("speedups/receiving.c", " ||\n             add(r->m, r->link, BYTES_RECEIVED, count) < 0;", ";"),
)
"""Each with its file, the text that counts, and the text in its place."""


def without_counters(package: Path) -> None:
    """Take the lines that count out of a copy of the package.

    Raises:
        ValueError: If one of them is not there any more.
    """
    for name, counting, instead in COUNTERS:
        file = package / name
        text = file.read_text("utf-8")
        if counting not in text:
            raise ValueError(f"{name} has no {counting.strip()!r} any more: mend benchmarks/uncounted.py")
        file.write_text(text.replace(counting, instead), "utf-8")


def build_copy(folder: Path, *, counters: bool) -> Path:
    """Copy wsframe into a folder and build its C extension there; return the folder, for ``PYTHONPATH``.

    Args:
        folder: A folder that does not exist yet.
        counters: Whether it counts.

    Raises:
        RuntimeError: If the extension cannot be built: its cost is the one to know.
    """
    shutil.copytree(ROOT / "wsframe", folder / "wsframe", ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    for name in BUILT_FROM:
        shutil.copy(ROOT / name, folder / name)
    if not counters:
        without_counters(folder / "wsframe")
    done = subprocess.run(
        [sys.executable, "setup.py", "-q", "build_ext", "--inplace"],
        cwd=folder, env={**os.environ, "SETUPTOOLS_SCM_PRETEND_VERSION": "0"}, check=False, timeout=BUILD_PATIENCE,
        capture_output=True, text=True,
    )  # fmt: skip
    if not any(folder.glob("wsframe/speedups/native.*.so")):
        raise RuntimeError(f"the C extension cannot be built: {done.stderr[-500:]}")
    return folder
