// What Go's net/http makes of the inputs of the tests: the other side of support/go_peer.hpp.
//
// Reads lines "kind hex" and writes a line of hex for each, the outcome in words that the C++ side
// uses too. Works with Go 1.19, which Debian 12 has, and with newer ones.
package main

import (
	"bufio"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"time"
)

// A connection that says its text whatever it is told, and then ends; keeps what it is told.
type script struct {
	net.Conn
	in   io.Reader
	sent *strings.Builder
	told chan struct{} // closed when a head has come: answers follow requests
	open bool
}

func (s *script) Read(p []byte) (int, error) {
	<-s.told
	return s.in.Read(p)
}
func (s *script) Write(p []byte) (int, error) {
	s.sent.Write(p)
	if s.open && strings.Contains(s.sent.String(), "\r\n\r\n") {
		s.open = false
		close(s.told)
	}
	return len(p), nil
}
func (s *script) Close() error {
	if s.open {
		s.open = false
		close(s.told)
	}
	return nil
}
func (s *script) LocalAddr() net.Addr                { return &net.TCPAddr{} }
func (s *script) RemoteAddr() net.Addr               { return &net.TCPAddr{} }
func (s *script) SetDeadline(t time.Time) error      { return nil }
func (s *script) SetReadDeadline(t time.Time) error  { return nil }
func (s *script) SetWriteDeadline(t time.Time) error { return nil }

type attempt struct {
	address string
	sent    *strings.Builder
}

// A client whose connections say these texts in turn, the last one again and again.
func scripted(answers ...string) (*http.Client, *[]attempt) {
	var made []attempt
	dial := func(_ context.Context, _, address string) (net.Conn, error) {
		text := answers[min(len(made), len(answers)-1)]
		a := attempt{address, new(strings.Builder)}
		made = append(made, a)
		return &script{in: strings.NewReader(text), sent: a.sent, told: make(chan struct{}), open: true}, nil
	}
	t := &http.Transport{DialContext: dial, DisableCompression: true, DisableKeepAlives: true}
	return &http.Client{Transport: t}, &made
}

func min(a, b int) int {
	if a < b {
		return a
	}
	return b
}

// Where the last request went, its first line and its host.
func outcome(made []attempt, err error) string {
	if err != nil || len(made) == 0 {
		return "refused"
	}
	last := made[len(made)-1]
	lines := strings.Split(last.sent.String(), "\r\n")
	host := ""
	for _, l := range lines {
		if strings.HasPrefix(l, "Host: ") {
			host = l[len("Host: "):]
		}
	}
	return last.address + " | " + lines[0] + " | " + host
}

const empty = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

func ofURL(in string) string {
	c, made := scripted(empty)
	r, err := c.Get(in)
	if err == nil {
		r.Body.Close()
	}
	return outcome(*made, err)
}

func ofReference(in string) string {
	redirect := "HTTP/1.1 302 Found\r\nLocation: " + in + "\r\nContent-Length: 0\r\n\r\n"
	c, made := scripted(redirect, empty)
	q, _ := http.NewRequest("GET", "http://a/b/c/d;p?q", nil)
	q.Host = "own.example"
	r, err := c.Do(q)
	if err == nil {
		r.Body.Close()
	}
	return outcome(*made, err)
}

func ofResponse(method, in string) string {
	c, _ := scripted(in)
	q, _ := http.NewRequest(method, "http://h/", nil)
	r, err := c.Do(q)
	if err != nil {
		return "refused"
	}
	body, err := io.ReadAll(r.Body)
	end := "end"
	if err != nil {
		end = "broken"
		body = nil
	}
	return fmt.Sprintf("%d %q %s A=%q", r.StatusCode, body, end, r.Header.Get("A"))
}

// One connection to a server that sends bodies back: the statuses of its answers.
func ofRequest(in string) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err.Error()
	}
	defer l.Close()
	s := &http.Server{
		MaxHeaderBytes: 1 << 20,
		ErrorLog:       log.New(io.Discard, "", 0),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1000))
			if err != nil {
				if strings.Contains(err.Error(), "request body too large") {
					w.WriteHeader(413)
				} else {
					w.WriteHeader(400)
				}
				return
			}
			w.Write(body)
		}),
	}
	go s.Serve(l)
	defer s.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	io.WriteString(c, in)
	c.(*net.TCPConn).CloseWrite()
	c.SetReadDeadline(time.Now().Add(5 * time.Second))
	var statuses []string
	answers := bufio.NewReader(c)
	for {
		r, err := http.ReadResponse(answers, nil)
		if err != nil {
			break
		}
		io.Copy(io.Discard, r.Body)
		statuses = append(statuses, fmt.Sprint(r.StatusCode))
	}
	return strings.Join(statuses, " ")
}

func main() {
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	fmt.Fprintln(out, strings.TrimPrefix(runtime.Version(), "go"))
	lines := bufio.NewReader(os.Stdin)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return
		}
		parts := strings.Split(strings.TrimSuffix(line, "\n"), " ")
		raw, _ := hex.DecodeString(parts[1])
		var result string
		switch parts[0] {
		case "url":
			result = ofURL(string(raw))
		case "reference":
			result = ofReference(string(raw))
		case "response":
			result = ofResponse("GET", string(raw))
		case "head-response":
			result = ofResponse("HEAD", string(raw))
		case "request":
			result = ofRequest(string(raw))
		}
		fmt.Fprintln(out, hex.EncodeToString([]byte(result)))
	}
}
