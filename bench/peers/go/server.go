// Servers for wrk, in Go: the twins of bench/gort/server.cpp.
package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"
)

const hello = "Hello, World!\n"

func serveHTTP(listener net.Listener) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /hello", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, hello)
	})
	// The limits that gort::http has by default.
	server := http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout: 120 * time.Second}
	server.Serve(listener)
}

func answer(c net.Conn) {
	reply := []byte("HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Length: 14\r\n" +
		"Content-Type: text/plain; charset=utf-8\r\n\r\n" + hello)
	defer c.Close()
	buffer := make([]byte, 4096)
	for {
		if n, err := c.Read(buffer); n == 0 || err != nil {
			return
		}
		if _, err := c.Write(reply); err != nil {
			return
		}
	}
}

func serveTCP(listener net.Listener) {
	for {
		c, err := listener.Accept()
		if err != nil {
			return
		}
		go answer(c)
	}
}

// serve prints the port and never returns.
func serve(kind string) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	if kind == "http" {
		serveHTTP(listener)
	} else {
		serveTCP(listener)
	}
}
