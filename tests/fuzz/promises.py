"""What is raised when a promise is broken."""

__all__ = ["PromiseBroken", "keep"]


class PromiseBroken(AssertionError):
    """wsframe did what it must never do, whatever it is fed."""


def keep(promise: bool, message: str) -> None:
    if not promise:
        raise PromiseBroken(message)
