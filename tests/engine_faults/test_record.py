"""The table in the documentation is that of the record, and the record has all faults of all engines."""

from __future__ import annotations

import json

from tests.engine_faults.__main__ import FAULTS
from tests.engine_faults.cut_off import NETWORK_FAULTS
from tests.engine_faults.record import PAGE, RECORD, table
from tests.engine_faults.relayed import RELAY_FAULTS
from tests.engine_faults.trying import ENGINES


def test_the_table_is_that_of_the_record() -> None:
    assert PAGE.read_text() == table(json.loads(RECORD.read_text()))


def test_the_record_has_all_faults_of_all_engines() -> None:
    record = json.loads(RECORD.read_text())
    assert sorted(record) == sorted(ENGINES)
    for run in record.values():
        assert [one["failures"] for one in run["outcomes"]] == [[]] * (
            len(FAULTS) + 2 + len(RELAY_FAULTS) + len(NETWORK_FAULTS)
        )
