"""``python -m tests.sanitize [PYTEST-ARGUMENTS]``: the tests near the C extension, with the sanitizers of gcc.

The extension is built with AddressSanitizer and UndefinedBehaviorSanitizer in a copy of the
checkout; Python allocates everything with ``malloc`` there, so that a byte read or written
beside any object is reported, and a report ends the run. It does not look for leaks: the memory
that an interpreter leaves at its end hides them, and ``tests/speedups/test_leaks.py`` counts instead.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]

FLAGS = "-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -g -O1"
TESTS = (
    "tests/speedups/test_speedups.py",
    "tests/speedups/test_links.py",
    "tests/speedups/test_sending.py",
    "tests/speedups/test_leaks.py",
    "tests/speedups/test_putting.py",
    "tests/connection",
    "tests/protocol",
    "tests/hostile",
    "tests/fuzz",
    "tests/chaos",
)
REPORT = "sanitizer-report"
SETUP = "from setuptools import setup; setup()"
CHECK = "import ctypes; ctypes.CDLL(None).__asan_init; from wsframe import speedups; print(speedups.FROM_C['__file__'])"


def build(place: Path) -> None:
    """Copy the checkout, and build the extension in it."""
    left_out = shutil.ignore_patterns(".*", "*.so", "*.pyd", "build", "_build", "__pycache__", "*.egg-info")
    shutil.copytree(ROOT, place, ignore=left_out, dirs_exist_ok=True)
    flags = {"CFLAGS": FLAGS, "LDFLAGS": FLAGS}
    command = [sys.executable, "-c", SETUP, "-q", "build_ext", "--inplace", "--force"]
    subprocess.run(command, cwd=place, env={**os.environ, **flags}, check=True)


def environment(place: Path) -> dict[str, str]:
    """Return the environment in which Python loads such an extension."""
    compiler = (os.environ.get("CC") or "cc").split()
    asan = subprocess.run(
        [*compiler, "-print-file-name=libasan.so"], capture_output=True, text=True, check=True
    ).stdout.strip()
    return {
        **os.environ,
        "LD_PRELOAD": asan,
        "PYTHONMALLOC": "malloc",
        "PYTHONPATH": str(place),
        # Into a file: processes that tests start can hide their output.
        "ASAN_OPTIONS": f"detect_leaks=0:allocator_may_return_null=1:log_path={place / REPORT}",
        "UBSAN_OPTIONS": "print_stacktrace=1",
        "WSFRAME_SPEEDUPS": "1",
    }


def main(arguments: list[str]) -> int:
    with tempfile.TemporaryDirectory(prefix="sanitize-") as folder:
        place = Path(folder)
        build(place)
        inside = environment(place)
        found = subprocess.run(
            [sys.executable, "-c", CHECK], cwd=place, env=inside, capture_output=True, text=True, check=False
        )
        if found.returncode or not found.stdout.startswith(folder):
            print(f"the extension that was built is not in use: {found.stdout}{found.stderr}", file=sys.stderr)
            return 1
        pytest = ["pytest", "-p", "no:cacheprovider", "--capture=sys"]
        command = [sys.executable, "-m", *pytest, *(arguments or ["-q", *TESTS])]
        failed = subprocess.run(command, cwd=place, env=inside, check=False).returncode
        reports = sorted(place.glob(f"{REPORT}.*"))
        for report in reports:
            print(report.read_text(errors="replace"), file=sys.stderr)
        return 1 if reports else failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
