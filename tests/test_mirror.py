"""Each module of wsframe has the tests of its own name, so that nobody has to search for them."""

from __future__ import annotations

from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PACKAGE = TESTS.parent / "wsframe"

ELSEWHERE = {
    "__main__": "cli/test_serve.py",
    "user_code": "user_code/test_errors.py",
    "cli/chat": "cli/test_connect.py",
    "cli/connect_options": "cli/test_connect.py",
    "cli/program": "cli/test_options.py",
    "cli/supervised": "cli/test_reload.py",
    "cli/terminal": "cli/test_connect.py",
    "connection/readiness": "connection/test_link.py",
    "connection/dialect": "hixie76/test_old_versions_served.py",
    "connection/handover": "server/test_admission.py",
    "connection/lifeline": "resources/test_client.py",
    "connection/loop": "connection/test_reactor.py",
    "connection/sender": "connection/test_link.py",
    "connection/waiting": "connection/test_mailbox.py",
    "hixie76/outbox": "hixie76/test_old_versions_served.py",
    "hooks/caller": "hooks/test_listener.py",
    "hooks/members": "hooks/test_client_tasks.py",
    "hooks/posts": "resources/test_resource_posts.py",
    "hooks/tasks": "hooks/test_client_tasks.py",
    "outgoing/connector": "outgoing/test_connect.py",
    "outgoing/exceptions": "outgoing/test_refusals.py",
    "outgoing/link": "outgoing/test_websocket.py",
    "outgoing/writer": "outgoing/test_cancelling.py",
    "outgoing/tunnel": "outgoing/test_hosts.py",
    "protocol/encoder": "protocol/test_deflate.py",
    "protocol/events": "protocol/test_decoder.py",
    "protocol/fast_lane": "protocol/test_decoder_properties.py",
    "protocol/size_limits": "protocol/test_decoder_limits.py",
    "resources/client_tasks": "hooks/test_client_tasks.py",
    "resources/clients": "resources/test_accept.py",
    "server/decide": "server/test_accept_client.py",
    "server/engine": "server/test_server.py",
    "server/handlers": "resources/test_functions.py",
    "server/newcomer": "server/test_leavers.py",
    "testing/fixtures": "testing/test_plugin.py",
    "testing/raw_client": "testing/test_client.py",
}
"""Modules whose tests stand under another name: a part of another module, or types alone."""


def own_test_of(module: str) -> Path:
    room, _, name = module.rpartition("/")
    return TESTS / room / f"test_{name.lstrip('_')}.py"


MODULES = [
    path.relative_to(PACKAGE).with_suffix("").as_posix()
    for path in sorted(PACKAGE.rglob("*.py"))
    if path.name != "__init__.py"
]


@pytest.mark.parametrize("module", MODULES)
def test_each_module_has_the_tests_of_its_name(module: str) -> None:
    assert own_test_of(module).exists() or module in ELSEWHERE, f"write {own_test_of(module).relative_to(TESTS)}"


@pytest.mark.parametrize(("module", "tests"), ELSEWHERE.items())
def test_what_is_tested_elsewhere_is_there(module: str, tests: str) -> None:
    assert (TESTS / tests).exists(), f"{module}: no {tests}"
