"""Which peers take part."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.foreign.peers import Peer, Proxy


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for builds."""
    return tmp_path_factory.mktemp("foreign")


@pytest.fixture(autouse=True)
def taking_part(request: pytest.FixtureRequest) -> None:
    """Skip peers that are not of the usual tests, and those that are not installed."""
    if "peer" not in request.fixturenames:
        return
    peer: Peer | Proxy = request.getfixturevalue("peer")
    if not peer.usual and not os.environ.get("WSFRAME_FOREIGN"):
        pytest.skip("this peer is tried in nox -s foreign, or with WSFRAME_FOREIGN=1")
    peer.version()
