package delegation_test

import (
	"bufio"
	"context"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"postrider/inbound/delegation"
	"postrider/relay"
)

// server answers each question with what answer makes of its attributes; "" hangs up.
func server(t *testing.T, answer func(map[string]string) string) (address string, connections *atomic.Int32) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	connections = new(atomic.Int32)
	go serve(l, answer, connections)
	return l.Addr().String(), connections
}

func serve(l net.Listener, answer func(map[string]string) string, connections *atomic.Int32) {
	for c, err := l.Accept(); err == nil; c, err = l.Accept() {
		connections.Add(1)
		go func() {
			defer c.Close()
			attributes := make(map[string]string)
			for s := bufio.NewScanner(c); s.Scan(); {
				if s.Text() != "" {
					name, value, _ := strings.Cut(s.Text(), "=")
					attributes[name] = value
					continue
				}
				text := answer(attributes)
				if text == "" {
					return
				}
				c.Write([]byte(text))
			}
		}()
	}
}

func says(action string) func(map[string]string) string {
	return func(map[string]string) string { return "action=" + action + "\n\n" }
}

func message() *relay.Message {
	m := &relay.Message{ID: relay.ID{1}, Size: 42}
	m.Origin = relay.Origin{
		Listener: "in", Client: netip.MustParseAddr("192.0.2.7"), Greeting: "client.test\nrecipient=forged@example.com",
		User: "ann", Protocol: "ESMTPSA", TLS: "TLSv1.3, TLS_AES_128_GCM_SHA256",
	}
	m.Envelope.Sender = relay.Address{Local: "a", Domain: "example.com"}
	return m
}

func rcpt() relay.Recipient {
	return relay.Recipient{Address: relay.Address{Local: "b", Domain: "example.net"}}
}

func service(t *testing.T, o delegation.Options) *delegation.Service {
	t.Helper()
	o.Name = "test"
	s, err := delegation.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Each action has its consequence, and those that make no sense are failures.
func TestActions(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		action, reply, said string
		faults              int
		check               func(e *relay.Edits) bool
	}{
		{action: "DUNNO", said: "pass"},
		{action: "dunno", said: "pass"},
		{action: "OK whatever", said: "pass"},
		{action: "1234", said: "pass"},
		{action: "DEFER_IF_REJECT later", said: "pass"},
		{action: "WARN look here", said: "pass: look here"},
		{action: "REJECT", reply: "554 5.7.1 Access denied", said: "reply 554 5.7.1 Access denied"},
		{action: "REJECT 5.7.23 SPF fails", reply: "554 5.7.23 SPF fails", said: "reply 554 5.7.23 SPF fails"},
		{action: "550 no", reply: "550 5.7.1 no", said: "reply 550 5.7.1 no"},
		{action: "550", reply: "550 5.7.1 Access denied", said: "reply 550 5.7.1 Access denied"},
		{action: "421 4.3.2 later", reply: "451 4.3.2 later", said: "reply 451 4.3.2 later"},
		{action: "450 5.1.1 odd", reply: "450 4.7.1 5.1.1 odd", said: "reply 450 4.7.1 5.1.1 odd"},
		{action: "DEFER", reply: "450 4.7.1 Try again later", said: "reply 450 4.7.1 Try again later"},
		{action: "DEFER_IF_PERMIT 4.2.0 Greylisted", reply: "450 4.2.0 Greylisted", said: "reply 450 4.2.0 Greylisted"},
		{action: "HOLD odd", said: "hold", check: func(e *relay.Edits) bool { return e.Held == "policy service test: odd" }},
		{action: "DISCARD", said: "discard", check: func(e *relay.Edits) bool { return e.Discard }},
		{action: "PREPEND X-A: b: c", said: "header X-A added", check: func(e *relay.Edits) bool {
			return len(e.Header) == 1 && e.Header[0] == relay.HeaderEdit{Name: "X-A", Value: "b: c"}
		}},
		{action: "REDIRECT trap@example.org", said: "redirect to <trap@example.org>", check: func(e *relay.Edits) bool {
			return len(e.Recipients) == 1 && e.Recipients[0].Address.String() == "trap@example.org"
		}},
		{action: "FILTER smtp:[127.0.0.1]:10025", said: "pass: FILTER is not heeded", faults: 1},
		{action: "PREPEND Received: from afar", reply: "451 4.3.0", said: "cannot be asked, and defers", faults: 1},
		{action: "PREPEND no field", reply: "451 4.3.0", said: "cannot be asked, and defers", faults: 1},
		{action: "REDIRECT", reply: "451 4.3.0", said: "cannot be asked, and defers", faults: 1},
		{action: "reject_unverified_sender", reply: "451 4.3.0", said: "cannot be asked, and defers", faults: 1},
		{action: "250 fine", reply: "451 4.3.0", said: "cannot be asked, and defers", faults: 1},
		{action: "", reply: "451 4.3.0", said: "cannot be asked, and defers", faults: 1},
	} {
		address, _ := server(t, says(tt.action))
		faults := 0
		got := service(t, delegation.Options{Address: address, Fault: func(relay.Fault) { faults++ }}).JudgeRcpt(t.Context(), message(), rcpt())
		reply := ""
		if got.Reply != nil {
			reply = got.Reply.String()
		}
		if !strings.HasPrefix(reply, tt.reply) || tt.reply == "" && reply != "" || faults != tt.faults {
			t.Errorf("%s: reply %q and %d faults, want %q and %d", tt.action, reply, faults, tt.reply, tt.faults)
		}
		if len(got.Trace) != 1 || got.Trace[0].Said != tt.said || got.Trace[0].Rule != "policy service test" || got.Trace[0].Stage != "rcpt" {
			t.Errorf("%s: trace %+v, want %q", tt.action, got.Trace, tt.said)
		}
		if (got.Edits != nil) != (tt.check != nil) || tt.check != nil && !tt.check(got.Edits) {
			t.Errorf("%s: edits %+v", tt.action, got.Edits)
		}
	}
}

// A service is told what Postfix would tell it, and nothing that a client could have forged.
func TestAttributes(t *testing.T) {
	t.Parallel()
	var seen map[string]string
	address, _ := server(t, func(a map[string]string) string { seen = a; return "action=DUNNO\n\n" })
	s := service(t, delegation.Options{Address: "inet:" + address})
	s.JudgeRcpt(t.Context(), message(), rcpt())
	id := message().ID.String()
	for name, want := range map[string]string{
		"request": "smtpd_access_policy", "protocol_state": "RCPT", "protocol_name": "ESMTP", "client_address": "192.0.2.7",
		"helo_name": "client.test?recipient=forged@example.com", "sender": "a@example.com", "recipient": "b@example.net",
		"recipient_count": "0", "queue_id": "", "instance": id, "size": "42", "sasl_username": "ann",
		"encryption_protocol": "TLSv1.3", "encryption_cipher": "TLS_AES_128_GCM_SHA256", "policy_context": "in",
	} {
		if got, ok := seen[name]; !ok || got != want {
			t.Errorf("at RCPT %s is %q, want %q", name, got, want)
		}
	}
	m := message()
	m.Envelope.Recipients = []relay.Recipient{rcpt(), rcpt()}
	said := s.Judge(t.Context(), m, nil)
	if seen["protocol_state"] != "END-OF-MESSAGE" || seen["recipient"] != "" || seen["recipient_count"] != "2" || seen["queue_id"] != id {
		t.Errorf("at the end it was told %v", seen)
	}
	if len(said.Trace) != 1 || said.Trace[0].Stage != "data" {
		t.Errorf("trace %+v", said.Trace)
	}
}

// A connection serves many questions, and one that has ended meanwhile is not missed.
func TestConnections(t *testing.T) {
	t.Parallel()
	var questions atomic.Int32
	address, connections := server(t, func(map[string]string) string {
		if questions.Add(1) == 4 {
			return ""
		}
		return "action=DUNNO\n\n"
	})
	s := service(t, delegation.Options{Address: address, Fault: func(f relay.Fault) { t.Error(f.Err) }})
	for range 6 {
		s.JudgeRcpt(t.Context(), message(), rcpt())
	}
	if got := connections.Load(); got != 2 {
		t.Errorf("%d connections for 6 questions, of which one broke off, want 2", got)
	}
}

// A service that is not there, hangs, talks nonsense or too much is a failure within its time: mail
// waits at the client, or passes where that is configured.
func TestFailures(t *testing.T) {
	t.Parallel()
	hang := make(chan struct{})
	t.Cleanup(func() { close(hang) })
	for name, answer := range map[string]func(map[string]string) string{
		"hangs":     func(map[string]string) string { <-hang; return "" },
		"hangs up":  func(map[string]string) string { return "" },
		"nonsense":  func(map[string]string) string { return "HTTP/1.1 400 Bad Request\r\n\r\n" },
		"no action": func(map[string]string) string { return "reason=none\n\n" },
		"too much":  func(map[string]string) string { return strings.Repeat("a=b\n", 1<<16) },
		"one line":  func(map[string]string) string { return "action=" + strings.Repeat("x", 1<<16) },
	} {
		for _, accept := range []bool{false, true} {
			address, _ := server(t, answer)
			faults := 0
			got := service(t, delegation.Options{
				Address: address, Timeout: 100 * time.Millisecond, Accept: accept, Fault: func(relay.Fault) { faults++ },
			}).JudgeRcpt(t.Context(), message(), rcpt())
			if got.Reply == nil != accept || faults != 1 || len(got.Trace) != 1 {
				t.Errorf("%s: reply %v with accept %v, %d faults", name, got.Reply, accept, faults)
			}
			if got.Reply != nil && got.Reply.Permanent() {
				t.Errorf("%s: %v is permanent", name, got.Reply)
			}
		}
	}
	s := service(t, delegation.Options{Address: "unix:" + filepath.Join(t.TempDir(), "none")})
	if got := s.JudgeRcpt(t.Context(), message(), rcpt()); got.Reply == nil || got.Reply.Permanent() {
		t.Errorf("not there: %v", got.Reply)
	}
}

// No more questions are asked at once than there may be connections, and who waits for a turn in
// vain fails in time. A Unix socket is an address.
func TestTurns(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	inside, leave := make(chan struct{}), make(chan struct{})
	go serve(l, func(map[string]string) string { inside <- struct{}{}; <-leave; return "action=OK\n\n" }, new(atomic.Int32))
	s := service(t, delegation.Options{Address: "unix:" + path, Connections: 1})
	first := make(chan relay.Ruling)
	go func() { first <- s.JudgeRcpt(context.Background(), message(), rcpt()) }()
	<-inside
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if got := s.JudgeRcpt(ctx, message(), rcpt()); got.Reply == nil {
		t.Error("a second question did not have to wait")
	}
	close(leave)
	if got := <-first; got.Reply != nil {
		t.Errorf("the first was refused: %v", got.Reply)
	}
}
