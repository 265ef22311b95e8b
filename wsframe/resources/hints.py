"""Hints at the probable intention, in the traceback of a hook that failed by a mistake many make at first."""

from __future__ import annotations

from re import Pattern
from re import compile as pattern

from wsframe.http.responses import Reject
from wsframe.user_code.program import is_a

__all__ = ["add_hint"]

HINTS: list[tuple[type[Exception], str, str]] = [
    (TypeError, r"^object Response can't be used in 'await' expression", "a handler is an async function: 'async def'"),
    (TypeError, r"can't be used in 'await' expression", "sending, broadcasting and closing wait for nothing: no await"),
    (
        RuntimeError,
        r"no running event loop",
        "hooks run in trio, not in asyncio: trio.sleep for asyncio.sleep, start_soon for create_task",
    ),
    (TypeError, r"got Clients$", "clients are here already: a plain 'for client in self.clients'"),
    (TypeError, r"got Client$", "messages come to received_text and received_binary, one call each"),
    (AttributeError, r"^'Client' object has no attribute '_?rec", "messages come to received_text and received_binary"),
    (
        AttributeError,
        r"^'Client' object has no attribute '(emit_json|sendjson|send_dict|write_?json)'",
        "client.send_json(message)",
    ),
    (AttributeError, r"^'Client' object has no attribute '(emit|write)", "client.send, client.send_text, send_binary"),
    (
        AttributeError,
        r"^'Client' object has no attribute '(ip|address|addr|peer|peername|remote_\w+|client_address)'",
        "client.host and client.port",
    ),
    (AttributeError, r"^'Client' object has no attribute '(headers|cookies|query\w*|url|scope)'", "client.request"),
    (
        AttributeError,
        r"^'Request' object has no attribute '(send|close|reject|abort|subscribe)",
        "there is no client yet: return Reject(403) to refuse, and send in client_connected",
    ),
    (AttributeError, r"^'Request' object has no attribute '(data|user|state)'", "return Accept(data=...): client.data"),
    (TypeError, r"^exceptions must derive from BaseException$", "return Accept(...); raise or return Reject(...)"),
    (Reject, r"", "Reject refuses in accept_client and client_connected; later client.close(1008, 'reason')"),
    (
        TypeError,
        r"broadcast_\w+\(\) takes 2 positional arguments but \d were given$",
        "self.broadcast_text(message, exclude=client); client.send_text(message) for one client",
    ),
    (AttributeError, r"^'Request' object has no attribute '(query_params|args|params|GET)'", "request.query['x'][-1]"),
    (AttributeError, r"^'Request' object has no attribute '(url|uri|full_path)'", "request.path and query_string"),
    (AttributeError, r"^'Request' object has no attribute '(match_info|path_args)'", "request.path_params['x']"),
    (AttributeError, r"^'Client' object has no attribute", "keep data of a client in client.data"),
    (
        AttributeError,
        r"^'Clients' object has no attribute '(add|append|remove|discard|pop|clear)'",
        "the clients of a resource come and go by themselves: do not add or remove any",
    ),
    (TypeError, r"^'Clients' object is not subscriptable", "clients have no numbers: list(self.clients)[0]"),
    (
        AttributeError,
        r"has no attribute '(broadcast|send_all|emit|publish)'$",
        "self.broadcast_text, broadcast_binary, broadcast_json",
    ),
    (AttributeError, r"has no attribute 'send_json'$", "client.send_json(message)"),
    (
        AttributeError,
        r"^'(?!NoneType)\w+' object has no attribute '(send_text|send_binary|send_bytes)'$",
        "client.send_text(message) for one client, self.broadcast_text(message) for all",
    ),
    (
        TypeError,
        r"^a (text )?message must be .* not (dict|list)$",
        "client.send_json, broadcast_json; on a topic publish_text(topic, json.dumps(message))",
    ),
    (
        TypeError,
        r"^a close code is an int, not str$",
        "the code comes first: client.close(1000, 'reason'), client.reject(1008, 'reason')",
    ),
    (TypeError, r"subscribe\(\) missing 1 required positional argument: 'topic'", "self.subscribe(client, topic)"),
    (TypeError, r"publish_\w+\(\) missing 1 required positional argument: 'message'", "publish_text(topic, message)"),
    (
        TypeError,
        r"^Object of type \S+ is not JSON serializable$",
        "a JSONResource encodes dates, sets, UUIDs and dataclasses too; for other types override encode_json",
    ),
]
"""The type and words of an exception, and the code to write instead."""

COMPILED: list[tuple[type[Exception], Pattern[str], str]] = [
    (kind, pattern(words), hint) for kind, words, hint in HINTS
]


def add_hint(error: BaseException) -> None:
    """Add a hint to an exception, which is shown below its traceback."""
    if getattr(error, "__notes__", None):
        return
    text = str(error)
    for kind, words, hint in COMPILED:
        if is_a(error, kind) and words.search(text):
            error.add_note(f"wsframe: {hint}")
            return
