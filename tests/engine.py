"""The machine behind a server's handle, for tests that look at its books."""

import wsframe
from wsframe.server.engine import LocalEngine


def engine_of(server: wsframe.Server) -> LocalEngine:
    engine = server._engine
    assert isinstance(engine, LocalEngine)
    return engine
