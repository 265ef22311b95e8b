"""The record that nox -s foreign writes."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

from tests.foreign.__main__ import RECORD, Recorder, page
from tests.foreign.peers import PEERS, PROXIES
from tests.foreign.test_proxies import SHOWN


def test_it_names_the_steps_that_failed() -> None:
    recorder = Recorder()
    recorder.note("tests/foreign/test_clients.py::test_refusals[jdk]", True)
    recorder.note("tests/foreign/test_clients.py::test_messages[jdk]", False)
    recorder.note("tests/foreign/test_proxies.py::test_messages[nginx]", True)
    made = page(recorder.results, {"nginx": "1.22"}, date(2026, 11, 28))
    assert "     - 1 of 2: not ``test_messages``\n" in made
    assert "     - 1 of 1\n" in made
    assert "2026-11-28" in made
    assert "     - 1.22\n" in made
    assert "     - not installed\n" in made


def test_the_last_record_is_of_all_peers_and_none_failed() -> None:
    """Run nox -s foreign after a change of the peers, and commit its record."""
    record = Path(RECORD).read_text()
    for peer in (*PEERS, *PROXIES):
        assert f"   * - {peer.name}\n" in record
    assert "not installed" not in record
    assert ": not ``" not in record
    assert record.count(" of ") > len(PEERS) + len(PROXIES)


def test_each_configuration_that_the_documents_show_is_tried() -> None:
    page = (SHOWN.parents[1] / "howto/proxies.rst").read_text()
    files = {path.name for path in SHOWN.iterdir()}
    assert files == {proxy.shown for proxy in PROXIES}
    assert files == set(re.findall(r"literalinclude:: \.\./examples/proxies/(\S+)", page))
