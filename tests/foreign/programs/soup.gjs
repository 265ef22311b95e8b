// libsoup 3, as client and as server, in GNOME's JavaScript.
imports.gi.versions.Soup = "3.0";
const { Gio, GLib, Soup } = imports.gi;
const loop = GLib.MainLoop.new(null, false);
const encoder = new TextEncoder();
const decoder = new TextDecoder();

function converse(connection, ended) {
  connection.max_incoming_payload_size = 2 ** 24;
  connection.connect("message", (_, kind, bytes) => {
    if (kind !== Soup.WebsocketDataType.TEXT) return connection.send_message(kind, bytes);
    const text = decoder.decode(bytes.toArray());
    const [, command, code, reason] = /^!(\w+) ?(\d*) ?(.*)$/s.exec(text) || [];
    if (command === "close") connection.close(Number(code), reason);
    else connection.send_message(kind, command ? new GLib.Bytes(encoder.encode("cannot")) : bytes);
  });
  connection.connect("closed", () => ended(`closed ${connection.get_close_code()} ${connection.get_close_data() ?? ""}`));
}

function talk(session, url) {
  return new Promise((resolve) => {
    const message = Soup.Message.new("GET", url);
    session.websocket_connect_async(message, null, [], 0, null, (_, result) => {
      try {
        converse(session.websocket_connect_finish(result), resolve);
      } catch (error) {
        resolve(message.status_code === 101 ? `error ${error.message}` : `refused ${message.status_code}`);
      }
    });
  });
}

if (ARGV[0] === "server") {
  const server = new Soup.Server();
  const open = [];
  server.add_websocket_handler("/echo", null, null, (_server, _message, _path, connection) => {
    open.push(connection);
    converse(connection, print);
  });
  server.add_handler("/", (_server, message) => message.set_status(403, null));
  server.listen(Gio.InetSocketAddress.new_from_string("127.0.0.1", 0), 0);
  print(`listening ${server.get_uris()[0].get_port()}`);
} else {
  const session = new Soup.Session();
  session.add_feature_by_type(Soup.WebsocketExtensionManager.$gtype);
  (async () => {
    for (const url of ARGV.slice(1)) print(await talk(session, url));
    loop.quit();
  })();
}
loop.run();
