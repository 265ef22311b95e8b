"""The backplane that a URL names."""

from __future__ import annotations

import os

from wsframe.backplane.contained import ContainedBackplane
from wsframe.backplane.interface import Backplane
from wsframe.backplane.relay.backplane import RelayBackplane

__all__ = ["FORMS", "backplane_at", "engine_url", "made_backplane"]

FORMS = (
    "redis://HOST, rediss://HOST (TLS), redis+unix:///PATH, the same with valkey, postgresql://HOST/DATABASE, "
    "or the path of a relay's socket"
)
OURS = "wsframe.backplane."
REDIS = ("redis", "rediss", "redis+unix", "valkey", "valkeys", "valkey+unix")


def backplane_at(url: str) -> Backplane:
    """Make the backplane that a URL names; nothing is connected yet, and no other engine is imported.

    Args:
        url: A URL as for :class:`RedisBackplane` or :class:`PostgresBackplane`, or the path of a relay's unix socket.

    Raises:
        ValueError: If it is none of these; the text never contains the URL, which can have a password.
        ModuleNotFoundError: Without the client library; the text names the extra.
    """
    if is_path(url):
        return RelayBackplane(url)
    scheme, separator, _ = url.partition("://")
    if separator and scheme in REDIS:
        from wsframe.backplane.redis.backplane import RedisBackplane

        return RedisBackplane(url)
    if separator and scheme in ("postgresql", "postgres"):
        from wsframe.backplane.postgres.backplane import PostgresBackplane

        return PostgresBackplane(url)
    known = scheme if separator and scheme.isidentifier() else ""
    raise ValueError(f"{known + ':// is' if known else 'that is'} not the address of a backplane: expected {FORMS}")


def is_path(url: str) -> bool:
    return os.path.isabs(url) or url.startswith(".")


def engine_url(wanted: Backplane | str | None) -> str:
    """Return the URL of an engine that an option names, which a relay can link its machine to; else ``""``."""
    return wanted if isinstance(wanted, str) and not is_path(wanted) else ""


def made_backplane(wanted: Backplane | str | None) -> Backplane | None:
    """Make the backplane that an option names, one for each server; one of the program's own is contained."""
    if isinstance(wanted, str):
        return backplane_at(wanted)
    if wanted is None or type(wanted).__module__.startswith(OURS):
        return wanted
    return ContainedBackplane(wanted)
