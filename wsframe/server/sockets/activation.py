"""Socket activation: the listening sockets that systemd has bound and passes to the process it starts.

Source: sd_listen_fds(3).
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping, MutableMapping

from wsframe.digits import whole_number
from wsframe.log import quoted

__all__ = ["is_activated", "is_child_of_activated", "passed_descriptors"]

FIRST = 3
VARIABLES = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID")
UNNAMED = "unknown"
MOST = 9_999


def is_activated(environment: Mapping[str, str] = os.environ) -> bool:
    """Return whether systemd passes sockets to this process, and not to the one that started it."""
    return environment.get("LISTEN_PID") == str(os.getpid()) and "LISTEN_FDS" in environment


def is_child_of_activated(environment: Mapping[str, str] = os.environ) -> bool:
    """Return whether systemd passes sockets to the process that started this one, such as a shell: they stay there."""
    return environment.get("LISTEN_PID") == str(os.getppid()) and "LISTEN_FDS" in environment


def passed_descriptors(environment: MutableMapping[str, str] = os.environ, first: int = FIRST) -> dict[int, str]:
    """Return the descriptors that systemd passes to this process, with their names; empty without any.

    It removes the variables, which are not meant for programs that this one starts.

    Args:
        environment: The variables; those that systemd sets are removed.
        first: The lowest descriptor.

    Raises:
        OSError: If the variables contradict each other, or a descriptor is not open.
    """
    if not is_activated(environment):
        return {}
    _, written, names, _ = (environment.pop(name, None) for name in VARIABLES)
    assert written is not None
    count = whole_number(written, MOST)
    if not count:
        raise OSError(errno.EINVAL, f"LISTEN_FDS must be the number of sockets, at least 1, not {quoted(written)}")
    named = [UNNAMED] * count if names is None else names.split(":")
    if len(named) != count:
        raise OSError(errno.EINVAL, f"LISTEN_FDS says {count}, and LISTEN_FDNAMES names {len(named)}: {quoted(names)}")
    for fd in range(first, first + count):
        try:
            os.fstat(fd)
        except OSError:
            raise OSError(
                errno.EBADF, f"LISTEN_FDS says {count}, and descriptor {fd} is not open: are there fewer sockets?"
            ) from None
    return dict(zip(range(first, first + count), named, strict=True))
