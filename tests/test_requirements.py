"""Tests whose needs are missing are skipped, and fail where nothing must be missing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.requirements import require_package


def test_a_package_that_is_there_is_no_reason_to_skip() -> None:
    require_package("pytest")


@pytest.mark.parametrize(("setting", "outcome"), [("", pytest.skip.Exception), ("1", pytest.fail.Exception)])
def test_a_missing_one_is_a_skip_and_a_failure_where_all_is_required(
    monkeypatch: pytest.MonkeyPatch, setting: str, outcome: type[BaseException]
) -> None:
    monkeypatch.setenv("WSFRAME_REQUIRE_ALL", setting)
    with pytest.raises(outcome, match="no_such_package is not installed"):
        require_package("no_such_package")


TESTS = Path(__file__).parent

PLATFORM = re.compile(r'sys\.platform|hasattr\(|os\.path\.isdir\("/proc|libc_ver|ipv6_works|"pty"')
"""A condition of the platform, or a choice of the person who runs the tests."""

EXEMPT = {
    "requirements.py",  # it has ``missing``
    "test_requirements.py",
    "test_autobahn.py",  # needs Python 2.7, which no package manager offers any more: it skips, and loudly
}


def test_tests_skip_for_the_platform_alone_and_never_expect_to_fail() -> None:
    """Something that is missing goes through ``missing``, which fails where WSFRAME_REQUIRE_ALL is set."""
    found: list[str] = []
    for path in sorted(TESTS.rglob("*.py")):
        lines = path.read_text("utf-8").split("\n")
        for number, line in enumerate(lines, 1):
            if re.search(r"\bxfail\b|mark\.skip\b", line) and path.name != "test_requirements.py":
                found.append(f"{path.relative_to(TESTS)}:{number}: {line.strip()}")
            around = "\n".join(lines[max(0, number - 4) : number])
            skips = re.search(r"skipif\(|pytest\.skip\(|importorskip\(", line)
            if skips and not PLATFORM.search(around) and path.name not in EXEMPT:
                found.append(f"{path.relative_to(TESTS)}:{number}: {line.strip()}")
    assert found == []
