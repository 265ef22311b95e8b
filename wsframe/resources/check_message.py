"""Calls ``check_message`` of a resource before the payload of a frame is held."""

from __future__ import annotations

from typing import Any

from wsframe.log import Log, log_for
from wsframe.protocol.close import check_close_code, check_reason
from wsframe.protocol.size_limits import Kind
from wsframe.resources.check_attributes import error_code_of
from wsframe.resources.client import Client
from wsframe.resources.resource import Resource
from wsframe.user_code.errors import call_plain, failed

__all__ = ["check_frames"]

logger: Log = log_for(__name__)


def check_frames(client: Client[Any]) -> None:
    """Have ``check_message`` of a client's resource called for its frames, if the resource overrides it."""
    if type(client._resource).check_message is Resource.check_message:
        return

    def check(kind: Kind, frame_length: int, total_length: int) -> tuple[int, str] | None:
        resource = client.resource
        try:
            answer = call_plain(resource.check_message, client, kind, frame_length, total_length)
            if answer is None:
                return None
            code, reason = answer if isinstance(answer, tuple) else (answer, "")
            check_close_code(code)
            check_reason(reason)
        except BaseException as error:
            if not failed(error):
                return 1001, "server stopping"
            logger.error("check_message of %s failed for %r", type(resource).__name__, client, exc_info=error)
            return error_code_of(resource), "internal error"
        return code, reason

    client._link.ask(check)
