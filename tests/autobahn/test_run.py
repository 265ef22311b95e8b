"""The report of an Autobahn run names every case that did not pass, close well or run at all."""

import json
from pathlib import Path

import pytest

from tests.autobahn.run import Report

Results = dict[str, tuple[str, str]]


def report_of(outdir: Path, results: Results, planned: int) -> Report:
    (outdir / "wstest.log").write_text(f"Ok, will run {planned} test cases against server\n")
    cases = {case: {"behavior": behaviour, "behaviorClose": close} for case, (behaviour, close) in results.items()}
    (outdir / "index.json").write_text(json.dumps({"server": cases} if cases else {}))
    return Report.read(outdir)


def test_a_good_run_has_no_faults(tmp_path: Path) -> None:
    report = report_of(tmp_path, {"1.1.1": ("OK", "OK"), "7.1.6": ("INFORMATIONAL", "INFORMATIONAL")}, 2)
    assert report.faults == report.bad == []
    assert str(report) == "autobahn: 2 cases: 1 INFORMATIONAL, 1 OK"


@pytest.mark.parametrize("behaviour", ["FAILED", "NON-STRICT", "UNIMPLEMENTED", "UNCLEAN"])
def test_a_bad_case_is_a_fault(tmp_path: Path, behaviour: str) -> None:
    results = {"1.1.10": (behaviour, "OK"), "1.1.2": (behaviour, "OK"), "1.1.1": ("OK", "OK")}
    report = report_of(tmp_path, results, 3)
    assert report.faults == [f"{behaviour}: 1.1.2 1.1.10"]
    assert report.bad == ["1.1.10", "1.1.2"]


def test_a_bad_close_is_a_fault(tmp_path: Path) -> None:
    report = report_of(tmp_path, {"7.1.5": ("OK", "WRONG CODE")}, 1)
    assert report.faults == ["closing WRONG CODE: 7.1.5"]
    assert report.bad == ["7.1.5"]


@pytest.mark.parametrize(("results", "planned"), [({}, 2), ({"1.1.1": ("OK", "OK")}, 2), ({}, 0)])
def test_missing_cases_are_a_fault(tmp_path: Path, results: Results, planned: int) -> None:
    (fault,) = report_of(tmp_path, results, planned).faults
    assert fault == f"missing: {planned - len(results)} of {planned} cases"


def test_a_suite_that_did_not_start_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "wstest.log").write_text("Traceback: no such thing\n")
    with pytest.raises(RuntimeError, match="no such thing"):
        Report.read(tmp_path)
