"""``wsframe serve``: its targets, its output, its end."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from dataclasses import fields
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import trustme
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.sync.client import unix_connect

import wsframe
from tests.certificates import trusting
from tests.cli.program import serving
from tests.patience import PATIENCE
from wsframe import cli
from wsframe.cli import serve


@pytest.mark.parametrize("target", ["hello_target", "hello_target.py", "./hello_target.py"])
def test_a_module_and_a_file_are_served_with_the_global_registry(folder: Path, target: str) -> None:
    with serving(folder, target, "--port", "0") as program:
        assert re.fullmatch(r"Serving at ws://127\.0\.0\.1:(\d+) \(http://127\.0\.0\.1:\1/\)\n", program.first_line)
        with program.open("/hello") as client:
            assert client.recv(timeout=PATIENCE) == "hello"
        with pytest.raises(InvalidStatus, match="404"):
            program.open("/own")


@pytest.mark.parametrize("target", ["hello_target:registry", "hello_target.py:registry"])
def test_a_registry_can_be_named(folder: Path, target: str) -> None:
    with serving(folder, target, "--port", "0") as program, program.open("/own") as client:
        assert client.recv(timeout=PATIENCE) == "hello"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_drains_and_the_exit_code_is_0(folder: Path, number: int) -> None:
    with serving(folder, "hello_target", "--port", "0") as program, program.open("/hello") as client:
        assert client.recv(timeout=PATIENCE) == "hello"
        ending = threading.Thread(target=list, args=(client,))  # reads the close frame, and answers it
        ending.start()
        assert program.end(number) == "goodbye\n"
        ending.join()
        assert client.close_code == 1001


def wait_until_refused(port: int) -> None:
    """Wait until a drain has begun: two signals at once would count as one."""
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionError:
            return


def test_a_second_signal_ends_at_once(folder: Path) -> None:
    with serving(folder, "hello_target", "--port", "0", "--drain-timeout", "9999") as program:
        with program.open("/clinging") as client:
            assert client.recv(timeout=PATIENCE) == "hello"
        assert program.stdout.readline() == "goodbye\n"  # the hook would now go on for ever
        program.process.send_signal(signal.SIGTERM)
        wait_until_refused(int(program.address.rpartition(":")[2]))
        program.process.send_signal(signal.SIGTERM)
        assert program.process.wait(PATIENCE) == 0


def test_http_handler_and_allowed_hosts(folder: Path) -> None:
    with serving(
        folder, "hello_target", "--port", "0", "--http-handler", "page",
        "--allow-host", "Chat.example", "--allow-host", "other.example",
    ) as program:  # fmt: skip
        port = int(program.address.rpartition(":")[2])
        for host, answer in (("chat.example", b"page of /some"), ("127.0.0.1", b"400 Bad Request")):
            with socket.create_connection(("127.0.0.1", port)) as sock:
                sock.sendall(f"GET /some HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
                sock.shutdown(socket.SHUT_WR)
                assert answer in b"".join(iter(lambda: sock.recv(4096), b""))


def test_tls(folder: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_and_cert_chain_pem.write_to_path(str(folder / "both.pem"))
    certificate.cert_chain_pems[0].write_to_path(str(folder / "chain.pem"))
    certificate.private_key_pem.write_to_path(str(folder / "key.pem"))
    context = trusting(authority)
    for options in (["--tls-cert", "both.pem"], ["--tls-cert", "chain.pem", "--tls-key", "key.pem"]):
        with serving(folder, "hello_target", "--port", "0", *options) as program:
            assert program.first_line.startswith("Serving at wss://127.0.0.1:")
            assert "(https://127.0.0.1:" in program.first_line
            with program.open("/hello", ssl=context) as client:
                assert client.recv(timeout=PATIENCE) == "hello"


def test_unix_socket(folder: Path) -> None:
    with serving(folder, "hello_target", "--unix", "socket") as program:
        assert program.first_line == "Serving at unix:socket\n"
        with unix_connect(str(folder / "socket"), "ws://localhost/hello") as client:
            assert client.recv(timeout=PATIENCE) == "hello"
        program.end(signal.SIGTERM)
        assert not (folder / "socket").exists()


MISTAKES = {
    "": "the following arguments are required: COMMAND; see wsframe --help",
    "serve": "the following arguments are required: TARGET; see wsframe serve --help",
    "serve nowhere": "no module named 'nowhere'",
    "serve nowhere.at.all": "no module named 'nowhere'",
    "serve .relative": "'.relative' is not the name of a module",
    "serve nowhere.py": "file not found: nowhere.py",
    "serve hello_target:nothing": "hello_target has no attribute 'nothing': the Registry is hello_target:registry",
    "serve plain_target:nothing": "plain_target has no attribute 'nothing': "
    "give plain_target alone for the resources that it registers globally",
    "serve local_target.py": "local_target.py registers no resource: call register_global_resource, "
    "or name a Registry: local_target.py:chats",
    "serve local_target:registry": "local_target has no attribute 'registry': the Registry is local_target:chats",
    "serve hello_target:hello": "hello_target:hello must be a wsframe.Registry, got Hello: "
    "register the resource in the module, and give the module alone, hello_target",
    "serve hello_target:empty": "hello_target:empty is empty: register a resource in it",
    "serve empty_target": "empty_target registers no resource: call register_global_resource, "
    "or name a Registry: empty_target:NAME",
    "serve syntax_target.py": "cannot import syntax_target.py: SyntaxError: invalid syntax (syntax_target.py, line 1)",
    "serve failing_target": "cannot import failing_target: LookupError: no luck ({folder}/failing_target.py, line 2)",
    "serve needing_target.py": "cannot import needing_target.py: ModuleNotFoundError: "
    "No module named 'not_installed_anywhere' ({folder}/needing_target.py, line 1)",
    "serve exiting_target": "cannot import exiting_target: SystemExit: 3 ({folder}/exiting_target.py, line 2)",
    "serve running_target.py": "cannot import running_target.py: RuntimeError: running_target.py starts a server while "
    "the wsframe command imports it: put the call of run() below 'if __name__ == \"__main__\":' "
    "({folder}/running_target.py, line 5)",
    "serve opening_target": "cannot import opening_target: RuntimeError: opening_target starts a server while "
    "the wsframe command imports it: put the call of serve() or open_server() below 'if __name__ == \"__main__\":' "
    "({folder}/opening_target.py, line 5)",
    "routes running_target.py": "cannot import running_target.py: RuntimeError: running_target.py starts a server "
    "while the wsframe command imports it: put the call of run() below 'if __name__ == \"__main__\":' "
    "({folder}/running_target.py, line 5)",
    "serve hello_target --http-handler nothing": "hello_target has no attribute 'nothing': "
    "--http-handler names an async function of it",
    "serve hello_target --http-handler no_handler": "--http-handler: hello_target.no_handler must be an async function",
    "serve hello_target --unix socket --port 1": "give --unix, or --host and --port, not both",
    "serve hello_target --unix sibling.py": "cannot listen at sibling.py: Address already in use",
    "serve hello_target --fd 999 --port 1": "give --fd without --host, --port and --unix",
    "serve hello_target --fd 99999999999999999999": "argument --fd: '99999999999999999999' is not a whole number "
    "up to 9223372036854775807; see wsframe serve --help",
    "serve hello_target --unix=": "--unix is empty",
    "serve hello_target --host=": "--host is empty",
    "serve hello_target --host localhost:8000": "--host is a name or address alone: "
    "give --host='localhost' and --port=8000 instead of 'localhost:8000'",
    "serve hello_target --host *:8000": "--host is a name or address alone: "
    "give --host='*' and --port=8000 instead of '*:8000'",
    "serve hello_target --admin=": "--admin is empty",
    "serve hello_target --metrics-port 0 --metrics-host=": "--metrics-host is empty",
    "serve hello_target --metrics-host ::1": "--metrics-host needs --metrics-port N",
    "serve hello_target --fd 999": "--fd 999: this descriptor is not an inherited socket (Bad file descriptor)",
    "serve hello_target --reload-dir .": "--reload-dir needs --reload",
    "serve hello_target --reload --reload-dir nowhere": "--reload-dir: folder not found: nowhere",
    "serve nowhere --reload": "no module named 'nowhere'",
    "serve nowhere.py --reload": "file not found: nowhere.py",
    "serve .relative --reload": "no module named '.relative'",
    "serve hello_target --admin sibling.py": "--admin: cannot listen at sibling.py: Address already in use",
    "serve hello_target --port 65536": "argument --port: '65536' is not a port from 0 to 65535; "
    "see wsframe serve --help",
    "serve hello_target --host 192.0.2.1": "cannot listen at 192.0.2.1:8000: Cannot assign requested address",
    "serve hello_target --allow-host https://a.example": "--allow-host: a name in hosts has no scheme, port or path: "
    "'a.example' instead of 'https://a.example'",
    "serve hello_target --allow-host *.a.example": "--allow-host: hosts takes names, not patterns: list each "
    "name, or ['*'] for any, instead of '*.a.example'",
    "serve hello_target --trusted-proxy proxy.example": "--trusted-proxy: a trusted proxy is an address such as "
    "'10.0.0.7', a network such as '10.0.0.0/8', or 'unix': not 'proxy.example'",
    "serve hello_target --trusted-proxy 10.0.0.7/8": "--trusted-proxy: '10.0.0.7/8' is not a network: "
    "give '10.0.0.0/8', or the address '10.0.0.7' alone",
    "serve hello_target --proxy-protocol": "--proxy-protocol needs --trusted-proxy ADDRESS",
    "serve hello_target --max-clients 0": "--max-clients must be at least 1, not 0",
    "serve hello_target --versions 8,7": "argument --versions: '8,7' must contain 13 and can add 8, 7 and 0, "
    "as in 13,8,7; see wsframe serve --help",
    "serve hello_target --versions 13,12": "argument --versions: '13,12' must contain 13 and can add 8, 7 and 0, as in "
    "13,8,7; see wsframe serve --help",
    "serve hello_target --tls-key key.pem": "--tls-key needs --tls-cert FILE",
    "serve hello_target --tls-cert nowhere.pem": "--tls-cert: cannot read nowhere.pem: No such file or directory",
}


@pytest.mark.parametrize("command", MISTAKES)
def test_a_mistake_is_one_line_and_exit_code_2(
    in_folder: Path, capfd: pytest.CaptureFixture[str], command: str
) -> None:
    with pytest.raises(SystemExit, match=r"^2$"):
        sys.exit(cli.main(command.split()))
    output, errors = capfd.readouterr()
    assert output == ""
    line = errors.removeprefix("wsframe serve: ").removeprefix("wsframe: ")
    assert line == MISTAKES[command].replace("{folder}", str(in_folder)) + "\n"


def test_a_certificate_with_another_key_is_a_mistake(in_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    authority = trustme.CA()
    authority.issue_cert("a.example").cert_chain_pems[0].write_to_path("chain.pem")
    authority.issue_cert("b.example").private_key_pem.write_to_path("key.pem")
    assert cli.main(["serve", "hello_target", "--tls-cert", "chain.pem", "--tls-key", "key.pem"]) == 2
    errors = capsys.readouterr().err
    assert errors.startswith("wsframe: chain.pem with key.pem: expected a PEM certificate and its private key (")
    assert errors.count("\n") == 1


def test_a_taken_port_is_a_mistake(in_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert cli.main(["serve", "hello_target", "--port", str(port)]) == 2
    assert capsys.readouterr().err == (
        f"wsframe: cannot listen at 127.0.0.1:{port}: Address already in use; "
        "end the program there, or take another port\n"
    )


FAILING = """
from contextlib import asynccontextmanager
import wsframe

class Failing(wsframe.Resource):
    @asynccontextmanager
    async def running(self):
        raise ConnectionError("no database")
        yield

wsframe.register_global_resource("/", Failing())
"""


def test_a_resource_that_cannot_start_is_one_line_behind_the_log(
    in_folder: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    path = in_folder / "starting_target.py"
    path.write_text(FAILING)
    assert cli.main(["serve", "starting_target.py", "--port", "0"]) == 1
    assert capsys.readouterr() == ("", f"wsframe: cannot start: ConnectionError: no database ({path}, line 8)\n")
    assert caplog.records[0].exc_info is not None


def test_debug_shows_why_a_server_ended(in_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*args: object, **options: object) -> None:
        raise LookupError("in a hook")

    monkeypatch.setattr(serve, "serve_until_signal", fail)
    with pytest.raises(LookupError, match="in a hook"):
        cli.main(["serve", "hello_target", "--port", "0", "--debug"])


def test_a_file_may_not_hide_a_loaded_module(in_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (in_folder / "trio.py").write_text("")
    assert cli.main(["serve", "trio.py"]) == 2
    assert capsys.readouterr().err == "wsframe: trio.py: a module named 'trio' is already loaded; rename the file\n"


def test_debug_shows_where_a_target_fails(in_folder: Path) -> None:
    with pytest.raises(LookupError):
        cli.main(["serve", "failing_target.py", "--port", "0", "--debug"])


def test_the_options_arrive_at_run(in_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}

    async def note(
        registry: wsframe.Registry | None, options: wsframe.ServeOptions, *args: object, **more: object
    ) -> None:
        seen.update({one.name: getattr(options, one.name) for one in fields(options)}, registry=registry)

    monkeypatch.setattr(serve, "serve_until_signal", note)
    options = ["--host", "*", "--port", "0", "--max-clients", "7", "--allow-host", "A.example", "--debug"]
    options += ["--versions", "13,8,0", "--trusted-proxy", "10.0.0.0/8", "--trusted-proxy", "unix", "--proxy-protocol"]
    assert cli.main(["serve", "hello_target:registry", "--http-handler", "page", *options]) == 0
    module: ModuleType = sys.modules["hello_target"]
    assert seen["registry"] is module.registry
    assert seen["http_handler"] is module.page
    assert seen["host"] is None
    assert seen["hosts"] == {"a.example"}
    assert seen["capacity"] == wsframe.Capacity(max_clients=7)
    assert seen["debug"] is True
    assert seen["versions"] == (13, 8, 0)
    assert seen["trusted_proxies"] == ["10.0.0.0/8", "unix"]
    assert seen["proxy_protocol"] == "required"


def test_without_options_only_version_13_is_served() -> None:
    assert cli.make_parser().parse_args(["serve", "x"]).versions == (13,)


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt(), BaseExceptionGroup("", [KeyboardInterrupt()])])
def test_ctrl_c_before_serving_is_no_traceback(
    in_folder: Path, monkeypatch: pytest.MonkeyPatch, interrupt: BaseException
) -> None:
    def interrupted(*args: object, **options: object) -> None:
        raise interrupt

    monkeypatch.setattr(serve, "load_target", interrupted)
    assert cli.main(["serve", "hello_target", "--port", "0"]) == 130


def test_a_group_with_more_than_ctrl_c_is_shown(in_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **options: object) -> None:
        raise BaseExceptionGroup("", [KeyboardInterrupt(), LookupError("in a hook")])

    monkeypatch.setattr(serve, "load_target", fail)
    with pytest.raises(BaseExceptionGroup):
        cli.main(["serve", "hello_target", "--port", "0"])


@pytest.mark.parametrize("command", [["routes", "hello_target"], ["completion", "bash"]])
def test_a_reader_that_has_gone_is_no_mistake(folder: Path, command: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "wsframe", *command], cwd=folder, stdout=writing, stderr=subprocess.PIPE, text=True
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_socket_can_be_inherited(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port, fd = sock.getsockname()[1], sock.fileno()
        with serving(folder, "hello_target", "--fd", str(fd), pass_fds=[fd]) as program:
            assert program.address == f"ws://127.0.0.1:{port}"
            with program.open("/hello") as client:
                assert client.recv(timeout=PATIENCE) == "hello"


def test_limits_and_compression_arrive_at_the_clients(folder: Path) -> None:
    options = ["--max-message", "1K", "--deflate", "shared", "--deflate-threshold", "0"]
    with serving(folder, "hello_target", "--port", "0", *options) as program, program.open("/hello") as client:
        assert client.recv(timeout=PATIENCE) == "hello"
        assert client.protocol.extensions
        client.send("x" * 1025)
        with pytest.raises(ConnectionClosedError, match="1009"):
            client.recv(timeout=PATIENCE)


def test_version_and_help() -> None:
    def output(*arguments: str) -> str:
        # Help is as wide as the terminal.
        return subprocess.run(
            [sys.executable, "-m", "wsframe", *arguments],
            check=True, capture_output=True, text=True, env={**os.environ, "COLUMNS": "80"},
        ).stdout  # fmt: skip

    assert output("--version") == f"wsframe {wsframe.__version__}\n"
    for command in ("serve", "routes", "asyncapi", "top", "connect", "bench", "completion"):
        assert f"wsframe {command} " in output(command, "--help").partition("examples:")[2]
    assert "serve" in output("--help")
