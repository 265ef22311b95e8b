"""The comparison of servers with and without a page of metrics."""

from pathlib import Path

from benchmarks.metrics_cost import contestants, line


def test_a_line_compares_each_round_with_itself() -> None:
    """A round on a busy machine is slow for both."""
    costs = {("echo", "wsframe"): [10.0, 40.0, 20.0], ("echo", "scraped"): [10.2, 40.8, 20.4]}
    assert line("echo", "scraped", costs).split() == ["echo", "scraped", "20.40", "us", "a", "message", "+2.0%"]
    assert line("echo", "wsframe", costs).endswith("+0.0%")


def test_another_checkout_is_measured_only_when_it_is_given() -> None:
    names = [one.name for one in contestants(9100, Path("copy"), None)]
    assert names == ["wsframe", "scraped", "uncounted"]
    assert contestants(9100, Path("copy"), None)[1].command(8000, None)[-2:] == ["--metrics-port", "9100"]
    assert contestants(9100, Path("copy"), None)[2].environment == {"PYTHONPATH": str(Path.cwd() / "copy")}
    before = contestants(9100, Path("copy"), Path("."))[3]
    assert (before.name, before.environment) == ("before", {"PYTHONPATH": str(Path.cwd())})
