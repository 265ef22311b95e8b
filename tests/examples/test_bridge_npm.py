"""npm's noVNC, unchanged, through the bridge to a VNC server."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator

import pytest
from PIL import Image, ImageDraw, ImageFont
from selenium.webdriver import Chrome

from tests.examples.npm_packages import npm_modules
from tests.examples.pages import keep_picture, open_page
from tests.examples.running import example_running

WIDTH, HEIGHT = 640, 400
DESK, BAR, PAPER, INK = (38, 84, 124), (52, 58, 70), (16, 20, 28), (159, 227, 174)
TERMINAL = """\
$ uname -sr
Linux 6.1
$ wsframe connect ws://127.0.0.1:8000/chat
user-2 joined
> hello from behind the bridge
user-2: hello from behind the bridge
$ _"""


def screen() -> bytes:
    """Draw a desk with a terminal; return its pixels, four bytes each."""
    image = Image.new("RGB", (WIDTH, HEIGHT), DESK)
    pen = ImageDraw.Draw(image)
    pen.rectangle((0, 0, WIDTH, 22), BAR)
    pen.text((10, 3), "Terminal", "white", ImageFont.load_default(14))
    pen.rounded_rectangle((70, 60, 570, 340), 8, PAPER)
    pen.rounded_rectangle((70, 60, 570, 86), 8, BAR, corners=(True, True, False, False))
    for number, color in enumerate(("#ff5f57", "#febc2e", "#28c840")):
        pen.ellipse((84 + 20 * number, 67, 96 + 20 * number, 79), color)
    pen.multiline_text((86, 102), TERMINAL, INK, ImageFont.load_default(16), spacing=9)
    return image.convert("RGBX").tobytes()


PIXELS = screen()
FORMAT = struct.pack("!BBBBHHHBBBxxx", 32, 24, 0, 1, 255, 255, 255, 0, 8, 16)


class VNCServer:
    """As much of RFC 6143 as shows one picture: RFB 3.8, no authentication, raw pixels."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.keys: list[int] = []
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self) -> None:
        try:
            connection, _ = self.listener.accept()
        except OSError:
            return  # the test has ended
        with connection, connection.makefile("rb") as stream:
            connection.settimeout(60)
            connection.sendall(b"RFB 003.008\n")
            assert stream.read(12) == b"RFB 003.008\n"
            connection.sendall(bytes([1, 1]))
            assert stream.read(1) == b"\1"
            connection.sendall(bytes(4))
            stream.read(1)
            name = b"A desk behind the bridge"
            connection.sendall(struct.pack("!HH", WIDTH, HEIGHT) + FORMAT + struct.pack("!I", len(name)) + name)
            while kind := stream.read(1):
                self.answer(kind[0], connection, stream)

    def answer(self, kind: int, connection: socket.socket, stream: object) -> None:
        read = stream.read  # type: ignore[attr-defined]
        if kind == 0:  # SetPixelFormat
            assert read(19)[3:13] == FORMAT[:10]
        elif kind == 2:  # SetEncodings
            (count,) = struct.unpack("!xH", read(3))
            read(4 * count)
        elif kind == 3:  # FramebufferUpdateRequest
            if not read(9)[0]:  # a whole picture; later ones would be the same
                connection.sendall(struct.pack("!BxHHHHHi", 0, 1, 0, 0, WIDTH, HEIGHT, 0) + PIXELS)
        elif kind == 4:  # KeyEvent
            self.keys.append(struct.unpack("!BxxI", read(7))[1])
        else:
            read({5: 5, 6: 7}[kind])

    def close(self) -> None:
        self.listener.close()


@pytest.fixture
def vnc() -> Iterator[VNCServer]:
    server = VNCServer()
    yield server
    server.close()


def test_novnc_shows_the_screen_and_sends_keys(browser: Chrome, vnc: VNCServer) -> None:
    arguments = (f"127.0.0.1:{vnc.port}", "--port", "0", "--npm", str(npm_modules()))
    with example_running("bridge.py", *arguments) as address, open_page(browser, f"{address}/") as page:
        page.wait_for("#status", "connected")
        page.wait_for("#name", "A desk behind the bridge")
        pixel = (
            "const pen = document.querySelector('canvas').getContext('2d');"
            "return [...pen.getImageData(1, 399, 1, 1).data].slice(0, 3)"
        )
        page.wait(lambda: page.run(pixel) == [*DESK])
        keep_picture("bridge", page.picture())
        page.run("rfb.sendKey(0x61, 'KeyA')")
        page.wait(lambda: 0x61 in vnc.keys)
