"""The exception for a broken promise."""

__all__ = ["PromiseBroken", "keep"]


class PromiseBroken(AssertionError):
    """wsframe broke a promise that holds for any input."""


def keep(promise: bool, message: str) -> None:
    if not promise:
        raise PromiseBroken(message)
