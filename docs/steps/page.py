"""Step 4: a page on the same port."""

from itertools import count

import wsframe
from wsframe import Client, Limits, Request, Resource, Response, register_global_resource, register_global_route

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Chat</title>
<style>
  :root { color-scheme: light dark; font: 1rem/1.6 system-ui, sans-serif }
  body { max-width: 36rem; margin: 1rem auto; padding: 0 1rem }
  ol { list-style: none; padding: 0 }
  input { font: inherit; width: 100%; box-sizing: border-box; padding: .5rem .8rem }
</style>
<h1>Chat</h1>
<form id="say"><input id="text" placeholder="Say something, or /nick NAME" autocomplete="off" autofocus></form>
<ol id="log"></ol>
<script type="module">
  const [log, say, text] = ["log", "say", "text"].map(id => document.getElementById(id));
  const socket = new WebSocket("chat");
  socket.onmessage = event => {
    const line = document.createElement("li");
    line.textContent = event.data;  // never innerHTML: the words of others must not run here
    log.append(line);
  };
  say.onsubmit = event => {
    event.preventDefault();
    socket.send(text.value);
    text.value = "";
  };
</script>
</html>
"""


class Room(Resource[str]):
    limits = Limits(max_message=4096)

    def __init__(self) -> None:
        self.numbers = count(1)

    async def client_connected(self, client: Client[str]) -> None:
        client.data = f"user-{next(self.numbers)}"
        self.broadcast_text(f"{client.data} joined")

    async def received_text(self, client: Client[str], message: str) -> None:
        if message.startswith("/nick "):
            self.rename(client, message.removeprefix("/nick ").strip())
        else:
            self.broadcast_text(f"{client.data}: {message}")

    async def disconnected(self, client: Client[str]) -> None:
        self.broadcast_text(f"{client.data} left")

    def rename(self, client: Client[str], nickname: str) -> None:
        if not nickname or any(other.data == nickname for other in self.clients):
            client.send_text(f"you cannot be called {nickname!r}")
            return
        self.broadcast_text(f"{client.data} is now {nickname}")
        client.data = nickname


@register_global_route("/")
async def page(request: Request) -> Response:
    return Response(PAGE, content_type="text/html; charset=utf-8")


register_global_resource("/chat", Room())

if __name__ == "__main__":
    wsframe.run(port=8000)
