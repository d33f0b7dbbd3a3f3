package inbound

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

const lastWords = "221 2.0.0 Bye\r\n"

// connect gives both ends of a connection over TCP.
func connect(t *testing.T) (client, server net.Conn) {
	t.Helper()
	bound, err := listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer bound.Close()
	if client, err = net.Dial("tcp", bound.Addr().String()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	if server, err = bound.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	client.SetDeadline(time.Now().Add(time.Minute))
	return client, server
}

// parting is a session's wire with last words to say.
func parting(server net.Conn, words []byte) *wire {
	w := newWire(server, Limits{Idle: time.Hour}, time.Now)
	w.out.Write(words)
	return w
}

// Where there is no patience last words are said all the same: they may have the 250 of a message.
func TestLastWordsInHaste(t *testing.T) {
	t.Parallel()
	client, server := connect(t)
	if err := parting(server, []byte(lastWords)).hangUp(false); err != nil {
		t.Error(err)
	}
	if got, err := io.ReadAll(client); string(got) != lastWords || err != nil {
		t.Errorf("got %q, %v, want %q", got, err, lastWords)
	}
}

// Last words come whole, before the end, when they are more than the connection holds.
func TestLastWordsComeWhole(t *testing.T) {
	t.Parallel()
	client, server := connect(t)
	words := bytes.Repeat([]byte(lastWords), 1<<20)
	sent := make(chan error, 1)
	go func() {
		w := newWire(server, Limits{Idle: time.Minute}, time.Now)
		w.parting = true
		n, err := w.send(words)
		if err == nil && n != len(words) {
			err = io.ErrShortWrite
		}
		sent <- errors.Join(err, w.hangUp(true))
	}()
	got, err := io.ReadAll(client)
	if err != nil || !bytes.Equal(got, words) {
		t.Errorf("got %d bytes, %v, want %d", len(got), err, len(words))
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
}

// Last words wait in the kernel for the end of the connection. It does not hold them back for long: one
// that is late does not count.
func TestLastWordsWaitForTheEnd(t *testing.T) {
	t.Parallel()
	for range 5 {
		client, server := connect(t)
		w := newWire(server, Limits{Idle: time.Minute}, time.Now)
		w.parting = true
		if _, err := w.send([]byte(lastWords)); err != nil {
			t.Fatal(err)
		}
		waited := !newWire(client, Limits{}, time.Now).hasInput()
		if err := w.hangUp(true); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(client); err != nil || string(got) != lastWords {
			t.Fatalf("got %q, %v, want %q", got, err, lastWords)
		}
		if waited {
			return
		}
	}
	t.Error("they were sent before the end")
}

// A client that has said more than was read gets the last words all the same, also where the session ended
// with a deadline that had passed, as it has where the server shuts down.
func TestLastWordsBeforeAReset(t *testing.T) {
	t.Parallel()
	for _, late := range []bool{false, true} {
		client, server := connect(t)
		if _, err := client.Write(make([]byte, 4*bufferSize)); err != nil {
			t.Fatal(err)
		}
		w := parting(server, []byte(lastWords))
		if late {
			server.SetReadDeadline(time.Unix(1, 0))
		}
		hung := make(chan error, 1)
		go func() { hung <- w.hangUp(true) }()
		got := make([]byte, len(lastWords))
		if _, err := io.ReadFull(client, got); err != nil || string(got) != lastWords {
			t.Errorf("deadline passed %t: got %q, %v, want %q", late, got, err, lastWords)
		}
		client.Close()
		if err := <-hung; err != nil {
			t.Errorf("deadline passed %t: hang up: %v", late, err)
		}
	}
}

// A client that does not read is not waited for longer than a moment, however long a session may be idle.
func TestLastWordsHaveAnEnd(t *testing.T) {
	t.Parallel()
	_, server := connect(t)
	words := make([]byte, 4000)
	server.(*net.TCPConn).SetWriteBuffer(len(words))
	for failed := 0; failed < 5; { // the system finds room now and then
		server.SetWriteDeadline(time.Now().Add(20 * time.Millisecond))
		if _, err := server.Write(words); err != nil {
			failed++
		} else {
			failed = 0
		}
	}
	w := parting(server, words)
	hung := make(chan error, 1)
	go func() { hung <- w.hangUp(true) }()
	select {
	case err := <-hung:
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("hang up: %v, want a deadline that has passed", err)
		}
	case <-time.After(time.Minute):
		t.Error("the client was waited for")
	}
}
