"""The pollers that this platform has for tests over real sockets."""

from __future__ import annotations

import select

from wsframe.net.poller import PollerName

POLLERS: list[PollerName] = ["epoll", "task"] if hasattr(select, "epoll") else ["task"]
