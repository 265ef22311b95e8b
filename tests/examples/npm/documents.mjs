// Two unchanged y-websocket clients on one document: they converge, a late one gets it all, awareness goes with a client.
import { WebsocketProvider } from "y-websocket";
import WebSocket from "ws";
import * as Y from "yjs";

const [address] = process.argv.slice(2);

async function until(condition, what) {
  for (const end = Date.now() + 30_000; Date.now() < end; await new Promise(go => setTimeout(go, 10)))
    if (condition()) return;
  console.error(`never: ${what}`);
  process.exit(1);
}

function open(name) {
  const doc = new Y.Doc();
  const provider = new WebsocketProvider(`${address}/documents`, name, doc, { WebSocketPolyfill: WebSocket, disableBc: true });
  return { text: doc.getText("text"), provider, names: () => [...provider.awareness.getStates().values()].map(state => state.name).sort().join() };
}

const ann = open("plan"), bob = open("plan");
ann.provider.awareness.setLocalState({ name: "ann" });
bob.provider.awareness.setLocalState({ name: "bob" });
ann.text.insert(0, "hello");
bob.text.insert(0, "world ");
await until(() => ann.provider.synced && bob.provider.synced, "synced");
await until(() => ann.text.toString() === bob.text.toString() && ann.text.length === 11, "converged");
await until(() => ann.names() === "ann,bob" && bob.names() === "ann,bob", "each sees the other");

const late = open("plan"), other = open("another");
late.provider.awareness.setLocalState({ name: "late" });
await until(() => late.text.toString() === ann.text.toString(), "a late client has all");
await until(() => late.names() === "ann,bob,late", "a late client sees who is there");
await until(() => other.provider.synced, "another document");
if (other.text.length) throw new Error("documents mix");

late.provider.ws.terminate();  // without a word: its cursor goes all the same
late.provider.shouldConnect = false;
await until(() => ann.names() === "ann,bob", "a cursor goes with its client");

bob.provider.disconnect();
ann.text.insert(0, "1");
bob.text.insert(bob.text.length, "2");
bob.provider.connect();
await until(() => ann.text.toString() === bob.text.toString() && ann.text.length === 13, "offline edits merge");
console.log(ann.text.toString());
process.exit(0);
