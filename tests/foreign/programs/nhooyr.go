// nhooyr.io/websocket, as client and as server, compressing with its context kept.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"

	"nhooyr.io/websocket"
)

var background = context.Background()

func converse(connection *websocket.Conn) string {
	connection.SetReadLimit(1 << 24)
	for {
		kind, message, err := connection.Read(background)
		var closed websocket.CloseError
		if errors.As(err, &closed) {
			return fmt.Sprintf("closed %d %s", closed.Code, closed.Reason)
		}
		if err != nil {
			return fmt.Sprintf("error %v", err)
		}
		words := strings.SplitN(string(message), " ", 3)
		switch {
		case kind == websocket.MessageText && words[0] == "!close":
			var code int
			fmt.Sscan(words[1], &code)
			if err := connection.Close(websocket.StatusCode(code), words[2]); err != nil {
				return fmt.Sprintf("error %v", err)
			}
			return fmt.Sprintf("closed %d %s", code, words[2])
		case kind == websocket.MessageText && words[0] == "!ping":
			// Its pings wait for their pong, which comes while a read is under way.
			go func() {
				if connection.Ping(background) == nil {
					connection.Write(background, websocket.MessageText, []byte("pong there?"))
				}
			}()
		case kind == websocket.MessageText && words[0] == "!fragments":
			writer, _ := connection.Writer(background, websocket.MessageText)
			for _, part := range []string{"in ", "three ", "parts"} {
				fmt.Fprint(writer, part)
			}
			writer.Close()
		default:
			connection.Write(background, kind, message)
		}
	}
}

func talk(url string) string {
	options := websocket.DialOptions{CompressionMode: websocket.CompressionContextTakeover, CompressionThreshold: 1}
	connection, response, err := websocket.Dial(background, url, &options)
	if err != nil && response != nil && response.StatusCode != 101 {
		return fmt.Sprintf("refused %d", response.StatusCode)
	}
	if err != nil {
		return fmt.Sprintf("error %v", err)
	}
	return converse(connection)
}

func main() {
	if os.Args[1] == "client" {
		for _, url := range os.Args[2:] {
			fmt.Println(talk(url))
		}
		return
	}
	options := websocket.AcceptOptions{CompressionMode: websocket.CompressionContextTakeover, CompressionThreshold: 1}
	listener, _ := net.Listen("tcp", "127.0.0.1:0")
	fmt.Println("listening", listener.Addr().(*net.TCPAddr).Port)
	http.Serve(listener, http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {
		if request.URL.Path != "/echo" {
			http.Error(answer, "no", 403)
			return
		}
		connection, err := websocket.Accept(answer, request, &options)
		if err != nil {
			fmt.Println("error", err)
			return
		}
		fmt.Println(converse(connection))
	}))
}
