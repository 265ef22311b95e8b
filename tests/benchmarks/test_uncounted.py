"""The copy without counters: each line that counts is where the list says, and nothing counts without it."""

from pathlib import Path
from shutil import copytree

import pytest

from benchmarks.uncounted import COUNTERS, ROOT, without_counters


def test_each_line_that_counts_is_there_and_is_taken_out(tmp_path: Path) -> None:
    package = copytree(ROOT / "wsframe", tmp_path / "wsframe")
    without_counters(package)
    for name, counting, _ in COUNTERS:
        assert counting not in (package / name).read_text("utf-8")
        compile((package / name).read_text("utf-8"), name, "exec") if name.endswith(".py") else None
    with pytest.raises(ValueError, match=r"mailbox\.py has no 'self\.received"):
        without_counters(package)
