"""``wsframe serve`` with a port for metrics and with traces, as a process of its own."""

import signal
import sys
from pathlib import Path
from urllib.request import ProxyHandler, build_opener

import pytest

from tests.cli.program import serving
from tests.patience import PATIENCE
from wsframe import cli

TARGET = """
import wsframe


class Echo(wsframe.Resource):
    async def received_text(self, client, message):
        client.send_text(message)


wsframe.register_global_resource("/echo", Echo())
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "metrics_target.py").write_text(TARGET)
    return tmp_path


def test_the_page_counts_what_the_other_port_serves(folder: Path) -> None:
    with serving(folder, "metrics_target", "--port", "0", "--metrics-port", "0", "--tracing") as program:
        place = program.first_line.split("metrics at ")[1].strip()
        with program.open("/echo") as client:
            client.send("hello")
            assert client.recv(PATIENCE) == "hello"
            page = build_opener(ProxyHandler({})).open(place, timeout=PATIENCE).read().decode()
        assert 'wsframe_messages_total{direction="in",resource="/echo"} 1.0' in page
        assert "process_cpu_seconds_total" in page
        program.end(signal.SIGTERM)


@pytest.mark.parametrize(
    ("module", "option", "extra"),
    [("prometheus_client", ["--metrics-port", "0"], "prometheus"), ("opentelemetry", ["--tracing"], "opentelemetry")],
)
def test_an_extra_that_is_missing_is_named(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    module: str,
    option: list[str],
    extra: str,
) -> None:
    monkeypatch.setattr("wsframe.cli.serve.find_spec", lambda name: None if name == module else sys)
    monkeypatch.chdir(folder)
    assert cli.main(["serve", "metrics_target", *option]) == 2
    told = capsys.readouterr().err
    assert f"{option[0]} needs the extra {extra!r}: pip install 'wsframe[{extra}]'" in told
