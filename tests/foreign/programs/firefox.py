"""Firefox: a page that it shows holds the conversations and posts how each of them ended."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread

PAGE = """<!doctype html><meta charset="utf-8"><title>conversations</title>
<script src="/whatwg.js"></script>
<script>
(async () => {
  for (const url of URLS) await fetch("/line", { method: "POST", body: await talk(WebSocket, url) });
  await fetch("/end", { method: "POST" });
})();
</script>"""
# Nothing may go out to the network, and many tries at once must not be slowed down.
SETTINGS = {
    "app.normandy.enabled": False,
    "app.update.auto": False,
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "network.proxy.type": 0,
    "network.websocket.delay-failed-reconnects": False,
    "services.settings.server": "http://127.0.0.1:1/",
    "toolkit.telemetry.enabled": False,
}

done = Event()
firefox = shutil.which("firefox-esr") or shutil.which("firefox") or "firefox"


class Handler(BaseHTTPRequestHandler):
    def reply(self, kind: str, body: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())

    def do_GET(self) -> None:
        if self.path == "/":
            self.reply("text/html", PAGE.replace("URLS", json.dumps(sys.argv[2:])))
        elif self.path == "/whatwg.js":
            self.reply("text/javascript", Path(__file__).with_name("whatwg.js").read_text())
        else:
            self.send_error(404)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        self.reply("text/plain", "")
        if self.path == "/line":
            print(body, flush=True)
        else:
            done.set()

    def log_message(self, *arguments: object) -> None:
        pass


with (
    ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server,
    tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile,
):
    Thread(target=server.serve_forever, daemon=True).start()
    lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in SETTINGS.items()]
    Path(profile, "user.js").write_text("\n".join(lines))
    command = [firefox, "--headless", "--no-remote", "--profile", profile, f"http://127.0.0.1:{server.server_port}/"]
    quiet = subprocess.DEVNULL
    browser = subprocess.Popen(command, stdout=quiet, stderr=quiet, env={**os.environ, "HOME": profile})
    try:
        done.wait(200)
    finally:
        browser.terminate()
        browser.wait(20)
        server.shutdown()
