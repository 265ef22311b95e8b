"""Class-based WebSocket resources on trio and wsproto.

The rooms of the package, from the top floor down; each room imports only from floors below it:

* ``cli``, ``testing``: the command line; a server and clients in memory for tests.
* ``server``, ``pages``, ``outgoing``: bind, accept, admit, drain; plain HTTP; outgoing connections.
* ``hooks``: the tasks that call hooks.
* ``centrifuge``: resources for the SDKs of Centrifugo.
* ``resources``: the classes and functions that users write against.
* ``connection``: one client's connection, and the reactor that runs all of them. ``hixie76``: an old version.
* ``http``: requests, answers and the handshake, without I/O. ``browser``: the client for web pages.
* ``backplane``, ``workers``: links between the processes of a service; several processes as one.
* ``protocol``, ``net``: bytes to messages and back, without I/O; sockets, TLS, pollers.
* ``user_code``, ``speedups``: errors of user code, and the scopes that it leaves open; the C extension.
* ``exceptions``, ``limits``, ``log``, ``doorbell``: the modules on the same floor, below all others.

Each room's docstring gives the reading order and says which things do not belong in the room.

A public name imports its module when it is first asked for: a program pays only for the rooms that it enters, and
a worker that replaces a killed one serves the sooner.
"""

import os
import typing


def current_folder(environment: typing.Mapping[str, str] = os.environ) -> str:
    """Return the current folder, by the name that the shell has for it.

    That can be a symlink that leads to another release by the next restart. A folder that has been removed is ``"."``.
    """
    named = environment.get("PWD", "")
    try:
        if os.path.isabs(named) and os.path.samefile(named, os.curdir):
            return named
    except (OSError, ValueError):
        pass
    try:
        return os.getcwd()
    except FileNotFoundError:
        return os.curdir


started_in: typing.Final = current_folder()
"""The folder of the command line, in which workers run that again: a program can change it before it serves."""

if typing.TYPE_CHECKING:
    from wsframe.backplane.presence import Member as Member
    from wsframe.browser import browser_client as browser_client
    from wsframe.browser import browser_client_source as browser_client_source
    from wsframe.connection.client_statistics import ClientStatistics as ClientStatistics
    from wsframe.exceptions import BinaryRefused as BinaryRefused
    from wsframe.exceptions import HookTimeout as HookTimeout
    from wsframe.exceptions import LivesElsewhere as LivesElsewhere
    from wsframe.exceptions import ResourceEnded as ResourceEnded
    from wsframe.exceptions import WsframeError as WsframeError
    from wsframe.http.client_handshake import HandshakeFailed as HandshakeFailed
    from wsframe.http.client_handshake import HandshakeRejected as HandshakeRejected
    from wsframe.http.origins import OriginValidator as OriginValidator
    from wsframe.http.origins import any_origin as any_origin
    from wsframe.http.origins import origin_exact as origin_exact
    from wsframe.http.origins import origin_prefix as origin_prefix
    from wsframe.http.origins import same_origin as same_origin
    from wsframe.http.request import Headers as Headers
    from wsframe.http.request import Request as Request
    from wsframe.http.responses import HttpHandler as HttpHandler
    from wsframe.http.responses import Reject as Reject
    from wsframe.http.responses import Response as Response
    from wsframe.limits import INHERIT as INHERIT
    from wsframe.limits import Capacity as Capacity
    from wsframe.limits import Limits as Limits
    from wsframe.limits import Timeouts as Timeouts
    from wsframe.net.certificate import Certificate as Certificate
    from wsframe.net.proxy_protocol import ProxiedTLS as ProxiedTLS
    from wsframe.net.proxy_protocol import ProxyHeader as ProxyHeader
    from wsframe.outgoing.connect import connect as connect
    from wsframe.outgoing.exceptions import ConnectionClosed as ConnectionClosed
    from wsframe.outgoing.exceptions import InvalidURL as InvalidURL
    from wsframe.outgoing.exceptions import OpeningTimeout as OpeningTimeout
    from wsframe.outgoing.exceptions import ProxyFailed as ProxyFailed
    from wsframe.outgoing.options import Backoff as Backoff
    from wsframe.outgoing.options import ConnectOptions as ConnectOptions
    from wsframe.outgoing.options import Opening as Opening
    from wsframe.outgoing.reconnect import connect_forever as connect_forever
    from wsframe.outgoing.retrying import may_succeed_later as may_succeed_later
    from wsframe.outgoing.websocket import WebSocket as WebSocket
    from wsframe.pages.routes import http_routes as http_routes
    from wsframe.pages.static import static_file as static_file
    from wsframe.pages.static import static_folder as static_folder
    from wsframe.protocol.close import CloseCode as CloseCode
    from wsframe.protocol.close import CloseFrame as CloseFrame
    from wsframe.protocol.close import State as State
    from wsframe.protocol.deflate import Deflate as Deflate
    from wsframe.resources.accept import Accept as Accept
    from wsframe.resources.broadcast import Broadcast as Broadcast
    from wsframe.resources.broadcast import broadcast_binary as broadcast_binary
    from wsframe.resources.broadcast import broadcast_text as broadcast_text
    from wsframe.resources.client import Client as Client
    from wsframe.resources.clients import Clients as Clients
    from wsframe.resources.decorator import resource as resource
    from wsframe.resources.functions import ClientFunction as ClientFunction
    from wsframe.resources.functions import ErrorFunction as ErrorFunction
    from wsframe.resources.functions import FunctionResource as FunctionResource
    from wsframe.resources.functions import MessageFunction as MessageFunction
    from wsframe.resources.functions import RequestVerifier as RequestVerifier
    from wsframe.resources.functions import define_resource as define_resource
    from wsframe.resources.json_resource import JSONResource as JSONResource
    from wsframe.resources.ownership import Ownership as Ownership
    from wsframe.resources.resource import Resource as Resource
    from wsframe.resources.routing.factories import Dispatcher as Dispatcher
    from wsframe.resources.routing.registry import Registry as Registry
    from wsframe.resources.routing.registry import find_global_resource as find_global_resource
    from wsframe.resources.routing.registry import register_global_dispatcher as register_global_dispatcher
    from wsframe.resources.routing.registry import register_global_factory as register_global_factory
    from wsframe.resources.routing.registry import register_global_resource as register_global_resource
    from wsframe.resources.routing.registry import register_global_route as register_global_route
    from wsframe.resources.routing.registry import unregister_global_dispatcher as unregister_global_dispatcher
    from wsframe.resources.routing.registry import unregister_global_resource as unregister_global_resource
    from wsframe.resources.routing.registry import unregister_global_route as unregister_global_route
    from wsframe.resources.server import Distribution as Distribution
    from wsframe.resources.server import ResourceStatistics as ResourceStatistics
    from wsframe.resources.server import Server as Server
    from wsframe.resources.server import ServerStatistics as ServerStatistics
    from wsframe.resources.server import ServiceStatistics as ServiceStatistics
    from wsframe.resources.server import WorkerStatistics as WorkerStatistics
    from wsframe.resources.topics.publication import Publication as Publication
    from wsframe.resources.topics.publisher import Publisher as Publisher
    from wsframe.resources.topics.publisher import open_backplane as open_backplane
    from wsframe.resources.topics.recovery import Recovery as Recovery
    from wsframe.server.cluster import Cluster as Cluster
    from wsframe.server.handlers import run_handlers as run_handlers
    from wsframe.server.handlers import serve_handlers as serve_handlers
    from wsframe.server.logs.json_log import JSONFormatter as JSONFormatter
    from wsframe.server.monitoring.health import healthz as healthz
    from wsframe.server.monitoring.health import readyz as readyz
    from wsframe.server.monitoring.metrics import metrics as metrics
    from wsframe.server.options import ServeKeywords as ServeKeywords
    from wsframe.server.options import ServeOptions as ServeOptions
    from wsframe.server.run import open_server as open_server
    from wsframe.server.run import run as run
    from wsframe.server.run import serve as serve
    from wsframe.server.serving import serving as serving

    __version__: str
else:
    _MODULES = {
        "backplane.presence": "Member",
        "browser": "browser_client browser_client_source",
        "connection.client_statistics": "ClientStatistics",
        "exceptions": "BinaryRefused HookTimeout LivesElsewhere ResourceEnded WsframeError",
        "http.client_handshake": "HandshakeFailed HandshakeRejected",
        "http.origins": "OriginValidator any_origin origin_exact origin_prefix same_origin",
        "http.request": "Headers Request",
        "http.responses": "HttpHandler Reject Response",
        "limits": "INHERIT Capacity Limits Timeouts",
        "net.certificate": "Certificate",
        "net.proxy_protocol": "ProxiedTLS ProxyHeader",
        "outgoing.connect": "connect",
        "outgoing.exceptions": "ConnectionClosed InvalidURL OpeningTimeout ProxyFailed",
        "outgoing.options": "Backoff ConnectOptions Opening",
        "outgoing.reconnect": "connect_forever",
        "outgoing.retrying": "may_succeed_later",
        "outgoing.websocket": "WebSocket",
        "pages.routes": "http_routes",
        "pages.static": "static_file static_folder",
        "protocol.close": "CloseCode CloseFrame State",
        "protocol.deflate": "Deflate",
        "resources.accept": "Accept",
        "resources.broadcast": "Broadcast broadcast_binary broadcast_text",
        "resources.client": "Client",
        "resources.clients": "Clients",
        "resources.decorator": "resource",
        "resources.routing.factories": "Dispatcher",
        "resources.functions": (
            "ClientFunction ErrorFunction FunctionResource MessageFunction RequestVerifier define_resource"
        ),
        "resources.json_resource": "JSONResource",
        "resources.ownership": "Ownership",
        "resources.topics.publication": "Publication",
        "resources.topics.publisher": "Publisher open_backplane",
        "resources.topics.recovery": "Recovery",
        "resources.routing.registry": (
            "Registry find_global_resource register_global_dispatcher register_global_factory "
            "register_global_resource register_global_route unregister_global_dispatcher "
            "unregister_global_resource unregister_global_route"
        ),
        "resources.resource": "Resource",
        "resources.server": (
            "Distribution ResourceStatistics Server ServerStatistics ServiceStatistics WorkerStatistics"
        ),
        "server.cluster": "Cluster",
        "server.handlers": "run_handlers serve_handlers",
        "server.monitoring.health": "healthz readyz",
        "server.logs.json_log": "JSONFormatter",
        "server.monitoring.metrics": "metrics",
        "server.options": "ServeKeywords ServeOptions",
        "server.run": "open_server run serve",
        "server.serving": "serving",
    }
    """The public names of each module, by its name in the package."""
    _HOMES = {name: f"wsframe.{module}" for module, names in _MODULES.items() for name in names.split()}

    def __getattr__(name: str) -> object:
        """Import a public name, and read the version: importlib.metadata takes 15 ms to import."""
        if name == "__version__":
            return _installed_version()
        if name not in _HOMES:
            raise AttributeError(f"module 'wsframe' has no attribute {name!r}")
        from importlib import import_module

        value = globals()[name] = getattr(import_module(_HOMES[name]), name)
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})

    def _installed_version() -> str:
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version("wsframe")
        except PackageNotFoundError:  # a copy of the folder, not an installation
            return "0+unknown"


__all__ = [
    "INHERIT",
    "Accept",
    "Backoff",
    "BinaryRefused",
    "Broadcast",
    "Capacity",
    "Certificate",
    "Client",
    "ClientFunction",
    "ClientStatistics",
    "Clients",
    "CloseCode",
    "CloseFrame",
    "Cluster",
    "ConnectOptions",
    "ConnectionClosed",
    "Deflate",
    "Dispatcher",
    "Distribution",
    "ErrorFunction",
    "FunctionResource",
    "HandshakeFailed",
    "HandshakeRejected",
    "Headers",
    "HookTimeout",
    "HttpHandler",
    "InvalidURL",
    "JSONFormatter",
    "JSONResource",
    "Limits",
    "LivesElsewhere",
    "Member",
    "MessageFunction",
    "Opening",
    "OpeningTimeout",
    "OriginValidator",
    "Ownership",
    "ProxiedTLS",
    "ProxyFailed",
    "ProxyHeader",
    "Publication",
    "Publisher",
    "Recovery",
    "Registry",
    "Reject",
    "Request",
    "RequestVerifier",
    "Resource",
    "ResourceEnded",
    "ResourceStatistics",
    "Response",
    "ServeKeywords",
    "ServeOptions",
    "Server",
    "ServerStatistics",
    "ServiceStatistics",
    "State",
    "Timeouts",
    "WebSocket",
    "WorkerStatistics",
    "WsframeError",
    "any_origin",
    "broadcast_binary",
    "broadcast_text",
    "browser_client",
    "browser_client_source",
    "connect",
    "connect_forever",
    "define_resource",
    "find_global_resource",
    "healthz",
    "http_routes",
    "may_succeed_later",
    "metrics",
    "open_backplane",
    "open_server",
    "origin_exact",
    "origin_prefix",
    "readyz",
    "register_global_dispatcher",
    "register_global_factory",
    "register_global_resource",
    "register_global_route",
    "resource",
    "run",
    "run_handlers",
    "same_origin",
    "serve",
    "serve_handlers",
    "serving",
    "static_file",
    "static_folder",
    "unregister_global_dispatcher",
    "unregister_global_resource",
    "unregister_global_route",
]
