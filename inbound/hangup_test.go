package inbound

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"
)

// Last words come whole, before the end and in time, when they are more than the connection holds.
func TestLastWordsComeWhole(t *testing.T) {
	t.Parallel()
	bound, err := listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer bound.Close()
	client, err := net.Dial("tcp", bound.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	conn, err := bound.Accept()
	if err != nil {
		t.Fatal(err)
	}
	words := bytes.Repeat([]byte("221 2.0.0 Bye\r\n"), 1<<20)
	sent := make(chan error, 1)
	go func() {
		w := newWire(conn, Limits{Idle: time.Minute}, time.Now)
		w.parting = true
		n, err := w.send(words)
		if err == nil && n != len(words) {
			err = io.ErrShortWrite
		}
		w.conn.Close()
		sent <- err
	}()
	time.Sleep(10 * time.Millisecond) // both buffers are full
	got, err := io.ReadAll(client)
	if err != nil || !bytes.Equal(got, words) {
		t.Errorf("got %d bytes, %v, want %d", len(got), err, len(words))
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
}

// A client that does not read is not waited for longer than a moment.
func TestLastWordsHaveAnEnd(t *testing.T) {
	t.Parallel()
	bound, err := listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer bound.Close()
	client, err := net.Dial("tcp", bound.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	conn, err := bound.Accept()
	if err != nil {
		t.Fatal(err)
	}
	w := newWire(conn, Limits{Idle: time.Hour}, time.Now)
	w.conn.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
	w.parting = true
	if n, err := w.send(make([]byte, 64<<20)); err == nil {
		t.Errorf("sent %d bytes to a client that does not read", n)
	}
	if err := w.hangUp(); err != nil {
		t.Errorf("hang up: %v", err)
	}
}
