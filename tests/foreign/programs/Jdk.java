// The client of the JDK, java.net.http.WebSocket.
import java.io.ByteArrayOutputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.WebSocket;
import java.net.http.WebSocketHandshakeException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.CompletionStage;

public class Jdk {
    static class Conversation implements WebSocket.Listener {
        final CompletableFuture<String> end = new CompletableFuture<>();
        final StringBuilder text = new StringBuilder();
        final ByteArrayOutputStream binary = new ByteArrayOutputStream();

        public CompletionStage<?> onText(WebSocket socket, CharSequence part, boolean last) {
            text.append(part);
            CompletionStage<?> done = null;
            if (last) {
                String message = text.toString();
                text.setLength(0);
                done = answer(socket, message);
            }
            socket.request(1);
            return done;
        }

        CompletionStage<?> answer(WebSocket socket, String message) {
            String[] words = message.split(" ", 3);
            if (message.startsWith("!close")) return socket.sendClose(Integer.parseInt(words[1]), words[2]);
            if (message.equals("!ping")) return socket.sendPing(ByteBuffer.wrap("there?".getBytes(StandardCharsets.UTF_8)));
            if (message.equals("!fragments"))
                return socket.sendText("in ", false)
                    .thenCompose(sent -> socket.sendText("three ", false))
                    .thenCompose(sent -> socket.sendText("parts", true));
            return socket.sendText(message, true);
        }

        public CompletionStage<?> onBinary(WebSocket socket, ByteBuffer part, boolean last) {
            byte[] bytes = new byte[part.remaining()];
            part.get(bytes);
            binary.writeBytes(bytes);
            CompletionStage<?> done = null;
            if (last) {
                done = socket.sendBinary(ByteBuffer.wrap(binary.toByteArray()), true);
                binary.reset();
            }
            socket.request(1);
            return done;
        }

        public CompletionStage<?> onPong(WebSocket socket, ByteBuffer payload) {
            socket.request(1);
            return socket.sendText("pong " + StandardCharsets.UTF_8.decode(payload), true);
        }

        public CompletionStage<?> onClose(WebSocket socket, int code, String reason) {
            end.complete("closed " + code + " " + reason);
            return null;
        }

        public void onError(WebSocket socket, Throwable error) {
            end.complete("error " + error);
        }
    }

    public static void main(String[] arguments) throws Exception {
        System.setOut(new java.io.PrintStream(System.out, true, "UTF-8"));
        HttpClient client = HttpClient.newHttpClient();
        for (int at = 1; at < arguments.length; at++) {
            Conversation conversation = new Conversation();
            try {
                client.newWebSocketBuilder().buildAsync(URI.create(arguments[at]), conversation).join();
                System.out.println(conversation.end.get());
            } catch (CompletionException error) {
                if (error.getCause() instanceof WebSocketHandshakeException refusal)
                    System.out.println("refused " + refusal.getResponse().statusCode());
                else System.out.println("error " + error.getCause());
            }
        }
        System.exit(0);
    }
}
