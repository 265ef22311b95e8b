"""The server behind a handle, for tests that look at its books."""

import wsframe
from wsframe.server.local_server import LocalServer


def local_server_of(server: wsframe.Server) -> LocalServer:
    local = server._internals
    assert isinstance(local, LocalServer)
    return local
