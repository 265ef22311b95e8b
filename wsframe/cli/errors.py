"""The exceptions that end a command: one line for the user, and an exit code."""

from __future__ import annotations

__all__ = ["Failure", "Mistake", "OutputGone", "missing_extra", "only"]


class Mistake(Exception):
    """A mistake of the user, in one line."""

    exit_code = 2


class Failure(Mistake):
    """A failure of a correct command, in one line."""

    exit_code = 1


class OutputGone(Exception):
    """The reader of stdout has gone, as "head" does; the command ends without a message."""


def missing_extra(name: str, extra: str) -> Mistake:
    """Make the error for a feature whose extra is not installed."""
    return Mistake(f"{name} needs the extra {extra!r}: pip install 'wsframe[{extra}]'")


def only(kind: type[BaseException], group: BaseExceptionGroup[BaseException]) -> bool:
    """Return whether a group holds only exceptions of this kind."""
    return group.split(kind)[1] is None
