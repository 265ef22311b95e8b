"""The pytest plugin of wsframe: fixtures over :mod:`wsframe.testing`.

This module stands beside the package, not in it. pytest imports it in every run where wsframe
is installed, long before a test requests a fixture and before coverage starts, so it does not
import wsframe until then.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from wsframe.testing import ClientFactory, ServerFactory


@pytest.fixture
async def wsframe_client() -> AsyncIterator[ClientFactory]:
    """``client = await wsframe_client(resource, path)``: an in-memory client, until the end of the test."""
    from wsframe.testing.fixtures import client_factory

    async with client_factory() as connect:
        yield connect


@pytest.fixture
async def wsframe_server() -> AsyncIterator[ServerFactory]:
    """``server = await wsframe_server(resource, path)``: a server on a free port, until the end of the test."""
    from wsframe.testing.fixtures import server_factory

    async with server_factory() as serve:
        yield serve


@pytest.fixture(autouse=True)
def _wsframe_global_registry() -> Iterator[None]:
    """Restore the global registry after each test; empty it if only the test imported wsframe."""
    module = sys.modules.get("wsframe.resources.routing.registry")
    before = None if module is None else module.global_registry.snapshot()
    yield
    module = sys.modules.get("wsframe.resources.routing.registry")
    if module is not None:
        module.global_registry.restore(module.Registry().snapshot() if before is None else before)
