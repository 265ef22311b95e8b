"""``wsframe serve`` listens where it is told: several addresses, and sockets that systemd passes."""

from __future__ import annotations

import signal
import socket
import ssl
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect, unix_connect

import wsframe
from tests.certificates import trusting, write_certificate
from tests.cli.program import serving
from tests.patience import PATIENCE
from tests.requirements import require
from wsframe import cli
from wsframe.cli import serve

ACTIVATED = 'fds=$1; names=$2; shift 2; LISTEN_PID=$$ LISTEN_FDS=$fds LISTEN_FDNAMES=$names exec "$@"'


def test_all_addresses_are_served_and_named_in_one_line(folder: Path) -> None:
    with serving(
        folder, "hello_target", "--bind", "127.0.0.1:0", "--unix", "a.sock", "--bind", "unix:b.sock",
        "--unix-mode", "640",
    ) as program:  # fmt: skip
        assert program.first_line.startswith("Serving at unix:a.sock, ws://127.0.0.1:")
        assert program.first_line.endswith(", unix:b.sock\n")
        assert {stat.S_IMODE((folder / name).stat().st_mode) for name in ("a.sock", "b.sock")} == {0o640}
        address = program.first_line.split(", ")[1].split()[0]
        with connect(f"{address}/hello", proxy=None) as client:
            assert client.recv(timeout=PATIENCE) == "hello"
        for name in ("a.sock", "b.sock"):
            with unix_connect(str(folder / name), "ws://localhost/hello") as client:
                assert client.recv(timeout=PATIENCE) == "hello"
        program.end(signal.SIGTERM)
    assert not list(folder.glob("*.sock"))


def test_host_and_port_are_served_beside_bind(folder: Path) -> None:
    with serving(folder, "hello_target", "--port", "0", "--bind", "localhost:0") as program:
        assert program.first_line.count("ws://") >= 2


def run(folder: Path, fds: str, names: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Serve as systemd would start it, and return how that ended."""
    command = ["sh", "-c", ACTIVATED, "sh", fds, names, sys.executable, "-m", "wsframe", "serve", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=PATIENCE)


@pytest.mark.parametrize(
    ("fds", "names", "words"),
    [
        ("0", "", "LISTEN_FDS must be the number of sockets, at least 1, not '0'"),
        ("three", "", "LISTEN_FDS must be the number of sockets, at least 1, not 'three'"),
        ("200", ":" * 199, "LISTEN_FDS says 200, and descriptor 3 is not open: are there fewer sockets?"),
        ("1", "web:admin", "LISTEN_FDS says 1, and LISTEN_FDNAMES names 2: 'web:admin'"),
    ],
)
def test_a_wrong_number_of_sockets_from_systemd_is_one_line_and_exit_code_2(
    folder: Path, fds: str, names: str, words: str
) -> None:
    done = run(folder, fds, names, "hello_target")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.replace("'", "") == f"wsframe: {words}\n".replace("'", "")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            [],
            "systemd passes sockets to the process that started this one (LISTEN_PID), which must exec it; "
            "give --port to serve another address",
        ),
        (
            ["--bind", "systemd"],
            "cannot listen at systemd: systemd passes no socket to this process (LISTEN_FDS, LISTEN_FDNAMES): "
            "the process that started this one has them (LISTEN_PID), so that must exec it",
        ),
    ],
)
def test_sockets_that_a_shell_keeps_are_one_line_and_exit_code_2(
    folder: Path, arguments: list[str], words: str
) -> None:
    """Clients would wait at systemd's socket for ever, and the server would serve its default port."""
    keeps = 'LISTEN_FDS=1 LISTEN_PID=$$ "$@"; exit $?'
    command = ["sh", "-c", keeps, "sh", sys.executable, "-m", "wsframe", "serve", "hello_target", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=PATIENCE)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"wsframe: {words}\n")


def test_socket_activation(folder: Path) -> None:
    """systemd's own program binds, and starts the server at the first connection."""
    require("systemd-socket-activate")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    path = folder / "web.sock"
    activate = ["systemd-socket-activate", "-l", f"127.0.0.1:{port}", "-l", str(path), "--fdname=tcp:unix"]
    command = [*activate, sys.executable, "-m", "wsframe", "serve", "hello_target", "--log-level", "error"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder) as process:
        try:
            deadline = time.monotonic() + PATIENCE
            while not path.exists() and time.monotonic() < deadline:
                time.sleep(0.05)
            with unix_connect(str(path), "ws://localhost/hello", open_timeout=PATIENCE) as client:
                assert client.recv(timeout=PATIENCE) == "hello"
            assert process.stdout is not None
            assert f"ws://127.0.0.1:{port} " in process.stdout.readline()
            with connect(f"ws://127.0.0.1:{port}/hello", proxy=None) as client:
                assert client.recv(timeout=PATIENCE) == "hello"
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE) == 0
        finally:
            process.kill()
    assert path.exists(), "it is systemd's, which has it for the next server"


def test_a_datagram_socket_from_systemd_is_one_line_and_exit_code_2(folder: Path) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    activate = [require("systemd-socket-activate"), "-d", "-l", f"127.0.0.1:{port}", "--fdname=web"]
    command = [*activate, sys.executable, "-m", "wsframe", "serve", "hello_target"]
    with (
        subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=folder) as process,
        socket.socket(type=socket.SOCK_DGRAM) as waking,
    ):
        try:
            assert process.stderr is not None
            assert "Listening on" in process.stderr.readline()
            waking.sendto(b"x", ("127.0.0.1", port))
            assert process.wait(PATIENCE) == 2
            assert process.stderr.read().splitlines()[-1] == (
                "wsframe: cannot listen at systemd: descriptor 3 (web): it is a socket of the kind SOCK_DGRAM, "
                "and a server needs SOCK_STREAM (systemd: ListenStream=)"
            )
        finally:
            process.kill()


MISTAKES = {
    "--bind 8000": "argument --bind: '8000' needs a port from 0 to 65535 at its end; an address is HOST:PORT, *:PORT, "
    "[V6%ZONE]:PORT, unix:PATH, unix:@NAME, fd:N, fd:NAME or systemd; see wsframe serve --help",
    "--bind 127.0.0.1:0 --bind unix:sibling.py": "cannot listen at sibling.py: Address already in use",
    "--bind systemd": "cannot listen at systemd: systemd passes no socket to this process "
    "(LISTEN_FDS, LISTEN_FDNAMES): start the .socket unit, or run systemd-socket-activate",
    "--bind fd:999": "cannot listen at fd:999: this descriptor is not an inherited socket (Bad file descriptor)",
    "--unix x --unix-mode 888": "argument --unix-mode: '888' is not permissions in octal, such as 660; "
    "see wsframe serve --help",
    "--unix x --unix-owner no-such-user": "--unix-owner 'no-such-user': \"getpwnam(): name not found: 'no-such-user'\"",
    "--port 0 --unix-mode 660": "--unix-mode and --unix-owner need --unix PATH or --bind unix:PATH",
    "--unix nowhere/x": "cannot listen at nowhere/x: No such file or directory",
}


@pytest.mark.parametrize("options", MISTAKES)
def test_a_wrong_address_is_one_line_and_exit_code_2(
    in_folder: Path, capfd: pytest.CaptureFixture[str], options: str
) -> None:
    with pytest.raises(SystemExit, match=r"^2$"):
        sys.exit(cli.main(["serve", "hello_target", *options.split()]))
    output, errors = capfd.readouterr()
    line = errors.removeprefix("wsframe serve: ").removeprefix("wsframe: ")
    assert (output, line.replace('"', "")) == ("", MISTAKES[options].replace('"', "") + "\n")


def test_a_datagram_socket_is_one_line_and_exit_code_2(in_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        assert cli.main(["serve", "hello_target", "--fd", str(sock.fileno())]) == 2
        assert capsys.readouterr().err == (
            f"wsframe: --fd {sock.fileno()}: it is a socket of the kind SOCK_DGRAM, and a server needs SOCK_STREAM "
            "(systemd: ListenStream=)\n"
        )


def certificates_in(folder: Path, *stems: str) -> ssl.SSLContext:
    """Write certificates into a folder; return the context of a client that trusts them."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    for stem in stems:
        write_certificate(authority, folder, stem, "127.0.0.1", f"{stem}.example")
    return trusting(authority)


def name_shown(port: int, context: ssl.SSLContext, name: str = "127.0.0.1") -> str:
    """Connect, and return the name in the server's certificate."""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as sock,
        context.wrap_socket(sock, server_hostname=name) as secure,
    ):
        found: Any = secure.getpeercert()
        return str(
            found["subjectAltName"][-1][1] if found["subjectAltName"][-1][0] == "DNS" else found["subjectAltName"][0][1]
        )


def test_certificates_are_chosen_by_name(folder: Path) -> None:
    context = certificates_in(folder, "a", "b")
    options = ["--tls-cert", "a.pem", "--tls-key", "a.key", "--tls-cert", "b.pem", "--tls-key", "b.key"]
    with serving(folder, "hello_target", "--port", "0", *options) as program:
        port = int(program.address.rpartition(":")[2])
        assert [name_shown(port, context, name) for name in ("127.0.0.1", "a.example", "b.example")] == [
            "a.example", "a.example", "b.example",
        ]  # fmt: skip


@pytest.mark.parametrize("reload", [False, True])
def test_sighup_reads_certificates_again_and_drops_nobody(folder: Path, reload: bool) -> None:
    old = certificates_in(folder, "a")
    options = ["--port", "0", "--tls-cert", "a.pem", "--tls-key", "a.key"] + ["--reload"] * reload
    with serving(folder, "hello_target", *options) as program, program.open("/hello", ssl=old) as client:
        assert client.recv(timeout=PATIENCE) == "hello"
        new = certificates_in(folder, "a")
        program.process.send_signal(signal.SIGHUP)
        port = int(program.address.rpartition(":")[2])
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                assert name_shown(port, new) == "a.example"
                break
            except ssl.SSLCertVerificationError:
                assert time.monotonic() < deadline
                time.sleep(0.05)
        client.ping().wait(PATIENCE)  # the old client is still there


def test_a_target_that_goes_to_another_folder_keeps_its_certificates(folder: Path) -> None:
    context = certificates_in(folder, "a")
    (folder / "moving_target.py").write_text("import os\nfrom hello_target import hello\nos.chdir('/')\n")
    options = [
        "--port",
        "0",
        "--tls-cert",
        "a.pem",
        "--tls-key",
        "a.key",
        "--unix-mode",
        "600",
        "--bind",
        "unix:a.sock",
    ]
    with serving(folder, "moving_target", *options) as program:
        assert name_shown(int(program.address.rstrip(",").rpartition(":")[2]), context) == "a.example"
        program.end(signal.SIGTERM)
    assert not (folder / "a.sock").exists()


@pytest.fixture
def sighup_by_default() -> Iterator[None]:
    """Programs inherit that a signal is ignored, as under nohup."""
    former = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, former)


@pytest.mark.usefixtures("sighup_by_default")
def test_without_certificates_sighup_ends_the_server(folder: Path) -> None:
    with serving(folder, "hello_target", "--port", "0") as program:
        program.process.send_signal(signal.SIGHUP)
        assert program.process.wait(PATIENCE) == -signal.SIGHUP


def test_a_certificate_that_cannot_be_read_again_stays_with_one_line(folder: Path) -> None:
    context = certificates_in(folder, "a")
    options = ["--port", "0", "--tls-cert", "a.pem", "--tls-key", "a.key"]
    with serving(folder, "hello_target", *options, stderr=subprocess.PIPE) as program:
        (folder / "a.pem").write_text("rubbish")
        program.process.send_signal(signal.SIGHUP)
        assert program.process.stderr is not None
        line = program.process.stderr.readline()
        assert "ERROR" in line
        assert "the certificates are not reloaded, and the old ones stay: " in line
        assert "a.pem has no certificate" in line
        assert name_shown(int(program.address.rpartition(":")[2]), context) == "a.example"
        program.end(signal.SIGTERM)


def test_openssl_resumes_its_session_by_either_version_of_tls(folder: Path) -> None:
    certificates_in(folder, "a", "b")
    options = ["--tls-cert", "a.pem", "--tls-key", "a.key", "--tls-cert", "b.pem", "--tls-key", "b.key"]
    with serving(folder, "hello_target", "--port", "0", *options) as program:
        where = program.address.removeprefix("wss://")
        for version in ("-tls1_2", "-tls1_3"):
            command = [require("openssl"), "s_client", "-connect", where, "-servername", "b.example", version]
            request = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"  # its answer comes after the tickets
            for session, words in (("-sess_out", b"New, TLSv1"), ("-sess_in", b"Reused, TLSv1")):
                done = subprocess.run(
                    [*command, session, "session", "-ign_eof"],
                    cwd=folder,
                    input=request,
                    capture_output=True,
                    timeout=PATIENCE,
                )
                assert words in done.stdout, version


def test_client_certificates_are_asked_for(folder: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    write_certificate(authority, folder, "a", "127.0.0.1")
    mine = write_certificate(authority, folder, "me", "me.example")
    options = ["--port", "0", "--tls-cert", "a.pem", "--tls-key", "a.key", "--client-ca", "ca.pem"]
    with serving(folder, "hello_target", *options) as program:
        context = trusting(authority)
        with pytest.raises((OSError, EOFError, WebSocketException)):
            program.open("/hello", ssl=context)
        context.load_cert_chain(mine.certfile, mine.keyfile)
        with program.open("/hello", ssl=context) as client:
            assert client.recv(timeout=PATIENCE) == "hello"


def test_the_password_of_a_key_comes_from_a_file_or_the_environment(
    in_folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    certificates_in(in_folder, "a")
    command = ["pkey", "-in", "a.key", "-aes256", "-passout", "pass:secret", "-out", "enc.key"]
    subprocess.run([require("openssl"), *command], check=True)
    (in_folder / "password").write_text("secret\n")
    served: list[object] = []

    async def note(registry: object, options: wsframe.ServeOptions, *args: object, **more: object) -> None:
        served.append(options.certificates)

    monkeypatch.setattr(serve, "serve_until_signal", note)
    options = ["serve", "hello_target", "--port", "0", "--tls-cert", "a.pem", "--tls-key", "enc.key"]
    assert cli.main([*options, "--tls-password-file", "password"]) == 0
    assert cli.main(options) == 2
    assert capsys.readouterr().err == (
        "wsframe: a.pem with enc.key: expected a PEM certificate and its private key "
        "(the key is encrypted, and no password is given)\n"
    )
    monkeypatch.setenv("WSFRAME_TLS_PASSWORD", "secret")
    assert cli.main(options) == 0
    made = wsframe.Certificate(certfile="a.pem", keyfile="enc.key", password="secret").absolute()
    assert served == [[made], [made]]


TLS_MISTAKES = {
    "--client-ca ca.pem": "--client-ca needs --tls-cert FILE",
    "--tls-password-file x": "--tls-password-file needs --tls-cert FILE",
    "--tls-cert a.pem --tls-cert a.pem --tls-key a.key": "got 2 --tls-cert and 1 --tls-key: give a key for each "
    "certificate, in the same order, or none",
    "--tls-cert a.pem": "a.pem: expected a PEM certificate and its private key (a.pem has no private key)",
    "--tls-cert a.pem --tls-key b.key": "a.pem with b.key: expected a PEM certificate and its private key "
    "(the key does not belong to the certificate)",
    "--tls-cert a.pem --tls-key a.key --client-ca nowhere": "--client-ca: cannot read nowhere: "
    "No such file or directory",
    "--tls-cert a.pem --tls-key a.key --client-ca a.key": "a.key: expected certificates of authorities in PEM",
    "--tls-cert a.pem --tls-key a.key --client-certificates optional": "--client-certificates needs --client-ca FILE",
    "--tls-cert a.pem --tls-key a.key --tls-password-file nowhere": "--tls-password-file: cannot read nowhere: "
    "No such file or directory",
}


@pytest.mark.parametrize("options", TLS_MISTAKES)
def test_a_mistake_about_tls_is_one_line_and_exit_code_2(
    in_folder: Path, capsys: pytest.CaptureFixture[str], options: str
) -> None:
    certificates_in(in_folder, "a", "b")
    assert cli.main(["serve", "hello_target", *options.split()]) == 2
    assert capsys.readouterr() == ("", f"wsframe: {TLS_MISTAKES[options]}\n")
