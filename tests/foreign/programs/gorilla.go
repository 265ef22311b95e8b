// gorilla/websocket, as client and as server.
package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/gorilla/websocket"
)

func converse(connection *websocket.Conn) string {
	connection.SetPongHandler(func(payload string) error {
		return connection.WriteMessage(websocket.TextMessage, []byte("pong "+payload))
	})
	for {
		kind, message, err := connection.ReadMessage()
		if closed, ok := err.(*websocket.CloseError); ok {
			return fmt.Sprintf("closed %d %s", closed.Code, closed.Text)
		}
		if err != nil {
			return fmt.Sprintf("error %v", err)
		}
		words := strings.SplitN(string(message), " ", 3)
		switch {
		case kind == websocket.TextMessage && words[0] == "!close":
			var code int
			fmt.Sscan(words[1], &code)
			connection.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, words[2]), time.Now().Add(time.Minute))
		case kind == websocket.TextMessage && words[0] == "!ping":
			connection.WriteControl(websocket.PingMessage, []byte("there?"), time.Now().Add(time.Minute))
		case kind == websocket.TextMessage && words[0] == "!fragments":
			// The bytes of its writer go out as a frame whenever its buffer is full.
			connection.EnableWriteCompression(false)
			writer, _ := connection.NextWriter(websocket.TextMessage)
			fmt.Fprint(writer, strings.Repeat("in three parts", 3000))
			writer.Close()
			connection.EnableWriteCompression(true)
		default:
			connection.WriteMessage(kind, message)
		}
	}
}

func talk(url string) string {
	dialer := websocket.Dialer{EnableCompression: true}
	connection, response, err := dialer.Dial(url, nil)
	if err != nil && response != nil {
		return fmt.Sprintf("refused %d", response.StatusCode)
	}
	if err != nil {
		return fmt.Sprintf("error %v", err)
	}
	defer connection.Close()
	return converse(connection)
}

func main() {
	if os.Args[1] == "client" {
		for _, url := range os.Args[2:] {
			fmt.Println(talk(url))
		}
		return
	}
	upgrader := websocket.Upgrader{EnableCompression: true}
	listener, _ := net.Listen("tcp", "127.0.0.1:0")
	fmt.Println("listening", listener.Addr().(*net.TCPAddr).Port)
	http.Serve(listener, http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {
		if request.URL.Path != "/echo" {
			http.Error(answer, "no", 403)
			return
		}
		connection, err := upgrader.Upgrade(answer, request, nil)
		if err != nil {
			fmt.Println("error", err)
			return
		}
		defer connection.Close()
		fmt.Println(converse(connection))
	}))
}
