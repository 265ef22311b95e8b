"""All servers of a service, on every machine that its backplane links: each reports about itself when somebody looks.

The server that looks publishes a question on a topic of wsframe's own. Every server that hears it publishes a short
summary on the same topic. While nobody looks, nothing is said. The answers are bounded in number and in length, and
forgotten after a while.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping, Sequence
from math import inf
from typing import TYPE_CHECKING, Any, Final

import trio

from wsframe.log import Log, log_for
from wsframe.resources.server import Server
from wsframe.resources.topics.publication import OWN
from wsframe.resources.topics.topics import Topics
from wsframe.workers.worker import Worker

if TYPE_CHECKING:
    from wsframe.server.peering import Peering

__all__ = ["PATIENCE", "REQUEST_NODES", "Nodes", "merged", "nodes_of"]

logger: Log = log_for(__name__)

REQUEST_NODES: Final = b"nodes"
"""The request for the summaries of all servers, beside that for statistics."""

TOPIC = f"{OWN}nodes"
QUESTION = b"?"
PATIENCE = 0.5
"""Seconds in which the others answer the first question; later questions get the answers that have come by then."""
FRESH = 5.0
"""Seconds for which a summary counts."""
SELDOM = 0.1
"""Seconds between two summaries of ours, however many ask."""
MOST = 2_000
"""Servers that are remembered."""
LONGEST = 1_000
"""Bytes of a summary."""
COUNTS = ("clients", "pending_handshakes", "messages_received", "messages_sent", "bytes_waiting")
NUMBERS = (*COUNTS, "carried_here", "carried_away")
"""The last two are the clients that other servers carry here, and the connections that are carried to others."""
WORDS = ("node", "service", "host", "address")


class Nodes:
    """The servers of a service, as one of them knows them. It answers the others' questions from now on.

    Args:
        topics: The link to the others.
        server: This server.
        worker: This process, if it is one of several.
    """

    def __init__(self, topics: Topics, server: Server, worker: Worker | None = None) -> None:
        self._topics = topics
        self._server = server
        self._worker = worker
        self._heard: dict[str, tuple[float, dict[str, Any]]] = {}
        self._asked_at = -inf
        self._question_at = -inf
        """The time of the last question: its answers are for all."""
        self._told_at = -inf
        topics.interest.hear(TOPIC, self._take)

    async def ask(self) -> list[dict[str, Any]]:
        """Return the summaries of all servers that answer, of this one first."""
        interest, now = self._topics.interest, trio.current_time()
        asked_before = now < self._asked_at + FRESH
        if interest.others is not None:
            self._asked_at = self._question_at = now
            interest.tell(TOPIC, QUESTION)
            if not asked_before:
                await trio.sleep(PATIENCE)
        fresh = trio.current_time() - FRESH
        self._heard = {node: one for node, one in self._heard.items() if one[0] >= fresh}
        return [self.summary(), *(one for _, one in self._heard.values())]

    def summary(self) -> dict[str, Any]:
        """Return the summary of this server."""
        found, worker = self._server.statistics(), self._worker
        peering: Peering | None = getattr(self._server._internals, "peering", None)
        return {
            "node": self._topics.interest.node,
            "service": f"{socket.gethostname()}:{os.getpid() if worker is None else worker.supervisor}",
            "host": socket.gethostname(),
            "address": self._server.addresses[0] if self._server.addresses else "",
            **{name: getattr(found, name) for name in COUNTS},
            "carried_here": 0 if peering is None else len(peering.port),
            "carried_away": 0 if peering is None else len(peering.splices),
        }

    def _take(self, payload: bytes) -> None:
        """Take a question or a summary of another server."""
        now = trio.current_time()
        if payload == QUESTION:
            self._question_at = now
            if now >= self._told_at + SELDOM:
                self._told_at = now
                self._topics.interest.tell(TOPIC, json.dumps(self.summary()).encode())
        elif now < self._question_at + FRESH:
            summary = read_summary(payload)
            if summary is None:
                logger.error("a summary of another server is dropped", kind="summary")
            elif summary["node"] in self._heard or len(self._heard) < MOST:
                self._heard[summary["node"]] = now, summary


def read_summary(payload: bytes) -> dict[str, Any] | None:
    """Read a summary; None if it is not one."""
    try:
        found = json.loads(payload) if len(payload) <= LONGEST else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or not all(isinstance(found.get(name), str) for name in WORDS):
        return None
    if not all(type(found.get(name)) is int for name in NUMBERS):
        return None
    return {name: found[name] for name in (*WORDS, *NUMBERS)}


def merged(summaries: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return one summary for each service of several processes, with their number; the order stays."""
    found: dict[str, dict[str, Any]] = {}
    for one in summaries:
        service = found.get(one["service"])
        if service is None:
            found[one["service"]] = {**one, "processes": 1}
        else:
            service["processes"] += 1
            for name in NUMBERS:
                service[name] += one[name]
    return list(found.values())


async def nodes_of(server: Server) -> list[dict[str, Any]]:
    """Return the summaries of all servers of a server's service, one for each group of workers."""
    nodes: Nodes | None = getattr(server._internals, "nodes", None)  # none while it starts
    return [] if nodes is None else merged(await nodes.ask())
