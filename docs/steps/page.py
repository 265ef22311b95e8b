"""Step 4: a page on the same port."""

import wsframe
from wsframe import Client, Limits, Request, Resource, Response, register_global_resource, register_global_route

PAGE = """<!doctype html>
<meta charset="utf-8">
<title>Chat</title>
<ol id="log"></ol>
<form id="say"><input id="text" autofocus><button>Send</button></form>
<script type="module">
  const [log, say, text] = ["log", "say", "text"].map(id => document.getElementById(id));
  const socket = new WebSocket("chat");
  socket.onmessage = event => {
    const line = document.createElement("li");
    line.textContent = event.data;  // never innerHTML: what others say must not run here
    log.append(line);
  };
  say.onsubmit = event => {
    event.preventDefault();
    socket.send(text.value);
    text.value = "";
  };
</script>
"""


class Room(Resource):
    limits = Limits(max_message=4096)

    async def received_text(self, client: Client, message: str) -> None:
        self.broadcast_text(message)


@register_global_route("/")
async def page(request: Request) -> Response:
    return Response(PAGE, content_type="text/html; charset=utf-8")


register_global_resource("/chat", Room())

if __name__ == "__main__":
    wsframe.run(port=8000)
