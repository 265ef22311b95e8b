"""Errors that end a command, in one line."""

from wsframe.cli.errors import Failure, Mistake, missing_extra, only


def test_mistakes_and_failures_have_different_codes() -> None:
    assert (Mistake.exit_code, Failure.exit_code) == (2, 1)
    assert "wsframe[cli]" in str(missing_extra("it", "cli"))


def test_a_group_of_one_kind_alone() -> None:
    nested = BaseExceptionGroup("", [OSError(), BaseExceptionGroup("", [BrokenPipeError()])])
    assert only(OSError, nested)
    assert not only(BrokenPipeError, nested)
