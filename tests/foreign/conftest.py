"""Which peers take part."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.foreign.peers import Peer, Proxy


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for builds."""
    return tmp_path_factory.mktemp("foreign")


@pytest.fixture(autouse=True)
def taking_part(request: pytest.FixtureRequest) -> None:
    """Skip peers that are not installed."""
    if "peer" in request.fixturenames:
        peer: Peer | Proxy = request.getfixturevalue("peer")
        peer.version()
