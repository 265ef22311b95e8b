"""What the tests need besides wsframe: skipped where it is missing, failed where nothing may be."""

from __future__ import annotations

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
