package milter_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"net/textproto"
	"strings"
	"testing"
	"time"

	gomilter "github.com/emersion/go-milter"

	"postrider/inbound/milter"
	"postrider/relay"
)

// filter is a milter of the test's making.
type filter struct {
	gomilter.NoOpMilter
	rcpt func(to string) gomilter.Response
	end  func(m *gomilter.Modifier) (gomilter.Response, error)
	// seen is what it was told.
	seen *strings.Builder
}

func (f filter) MailFrom(from string, _ *gomilter.Modifier) (gomilter.Response, error) {
	f.seen.WriteString("from " + from + "\n")
	return gomilter.RespContinue, nil
}

func (f filter) RcptTo(to string, _ *gomilter.Modifier) (gomilter.Response, error) {
	f.seen.WriteString("to " + to + "\n")
	if f.rcpt != nil {
		return f.rcpt(to), nil
	}
	return gomilter.RespContinue, nil
}

func (f filter) Header(name, value string, _ *gomilter.Modifier) (gomilter.Response, error) {
	f.seen.WriteString(name + ": " + value + "\n")
	return gomilter.RespContinue, nil
}

func (f filter) Headers(textproto.MIMEHeader, *gomilter.Modifier) (gomilter.Response, error) {
	return gomilter.RespContinue, nil
}

func (f filter) BodyChunk(chunk []byte, _ *gomilter.Modifier) (gomilter.Response, error) {
	f.seen.Write(chunk)
	return gomilter.RespContinue, nil
}

func (f filter) Body(m *gomilter.Modifier) (gomilter.Response, error) { return f.end(m) }

// serve runs the filter and gives its address.
func serve(t *testing.T, f filter) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := gomilter.Server{
		NewMilter: func() gomilter.Milter { return f },
		Actions:   gomilter.OptAddHeader | gomilter.OptChangeHeader | gomilter.OptAddRcpt | gomilter.OptRemoveRcpt | gomilter.OptQuarantine,
	}
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	return l.Addr().String()
}

const header = "Received: from us\r\nSubject: one\r\n two\r\nX-Spam: no\r\nX-Spam: maybe\r\n\r\n"

func message() *relay.Message {
	m := &relay.Message{Header: []byte(header)}
	m.Origin = relay.Origin{Listener: "in", Client: netip.MustParseAddr("192.0.2.7"), Greeting: "client.test"}
	m.Envelope.Sender = relay.Address{Local: "a", Domain: "example.com"}
	for _, local := range []string{"b", "c"} {
		m.Envelope.Recipients = append(m.Envelope.Recipients, relay.Recipient{Address: relay.Address{Local: local, Domain: "example.net"}})
	}
	return m
}

func judge(t *testing.T, o milter.Options) relay.Judgement {
	t.Helper()
	o.Name = "test"
	f, err := milter.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return f.Judge(t.Context(), message(), strings.NewReader("body\r\n"))
}

// Each decision of a milter has its consequence, and the milter was told all of the message.
func TestDecisions(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		rcpt func(string) gomilter.Response
		end  func(m *gomilter.Modifier) (gomilter.Response, error)
		// reply, said and header are what comes of it.
		reply, said, header string
		check               func(e *relay.Edits) bool
	}{
		{name: "accept", said: "pass"},
		{name: "reject", end: answer(gomilter.RespReject), reply: "550 5.7.1 Message rejected", said: "reject"},
		{name: "tempfail", end: answer(gomilter.RespTempFail), reply: "451 4.7.1 Service unavailable, try again later", said: "tempfail"},
		{name: "a reply of its own", end: answer(gomilter.NewResponseStr(byte(gomilter.ActReplyCode), "554 5.7.9 not here")), reply: "554 5.7.9 not here", said: "reply 554 5.7.9 not here"},
		{name: "a reply that would end the session", end: answer(gomilter.NewResponseStr(byte(gomilter.ActReplyCode), "421 later")), reply: "451 4.7.1 later", said: "reply 451 4.7.1 later"},
		{name: "a recipient refused", rcpt: func(to string) gomilter.Response {
			if strings.HasPrefix(to, "c@") {
				return gomilter.RespTempFail
			}
			return gomilter.RespContinue
		}, reply: "451 4.7.1 Service unavailable, try again later", said: "tempfail"},
		{name: "discard", end: answer(gomilter.RespDiscard), said: "discard", check: func(e *relay.Edits) bool { return e.Discard }},
		{name: "quarantine", end: change(func(m *gomilter.Modifier) error { return m.Quarantine("looks odd") }),
			said: "quarantine: looks odd", check: func(e *relay.Edits) bool { return e.Held == "milter test: looks odd" }},
		{name: "a header added", end: change(func(m *gomilter.Modifier) error { return m.AddHeader("X-New", "a\n b") }),
			said: "header X-New added", header: strings.Replace(header, "maybe\r\n", "maybe\r\nX-New: a\r\n b\r\n", 1)},
		{name: "a header that would end the section", end: change(func(m *gomilter.Modifier) error { return m.AddHeader("X-New", "a\r\n\r\nbody\nX-Forged: b") }),
			said: "header X-New added", header: strings.Replace(header, "maybe\r\n", "maybe\r\nX-New: a\r\n\tbody\r\n\tX-Forged: b\r\n", 1)},
		{name: "a header inserted", end: change(func(m *gomilter.Modifier) error { return m.InsertHeader(0, "X-New", "a") }),
			said: "header X-New added", header: strings.Replace(header, "Subject", "X-New: a\r\nSubject", 1)},
		{name: "a header changed", end: change(func(m *gomilter.Modifier) error { return m.ChangeHeader(2, "x-spam", "yes") }),
			said: "header x-spam changed", header: strings.Replace(header, "X-Spam: maybe", "x-spam: yes", 1)},
		{name: "a header removed", end: change(func(m *gomilter.Modifier) error { return m.ChangeHeader(1, "X-Spam", "") }),
			said: "header X-Spam removed", header: strings.Replace(header, "X-Spam: no\r\n", "", 1)},
		{name: "recipients", end: change(func(m *gomilter.Modifier) error {
			return errors.Join(m.DeleteRecipient("b@example.net"), m.AddRecipient("d@example.net"))
		}), said: "recipient <b@example.net> removed, recipient <d@example.net> added", check: func(e *relay.Edits) bool {
			return len(e.Recipients) == 2 && e.Recipients[0].Address.Local == "c" && e.Recipients[1].Address.Local == "d" && len(e.Removed) == 1
		}},
		{name: "the body, which is not to be had", end: change(func(m *gomilter.Modifier) error { return m.ReplaceBody([]byte("other")) }),
			reply: "451 4.3.0", said: "cannot be asked, and defers"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := filter{rcpt: tt.rcpt, end: tt.end, seen: &strings.Builder{}}
			if f.end == nil {
				f.end = answer(gomilter.RespAccept)
			}
			got := judge(t, milter.Options{Address: serve(t, f)})
			if reply := text(got.Reply); !strings.HasPrefix(reply, tt.reply) || tt.reply == "" && reply != "" {
				t.Errorf("reply %q, want %q", reply, tt.reply)
			}
			if len(got.Trace) != 1 || got.Trace[0].Rule != "milter test" || got.Trace[0].Said != tt.said {
				t.Errorf("trace %+v, want %q", got.Trace, tt.said)
			}
			if string(got.Header) != tt.header {
				t.Errorf("header %q, want %q", got.Header, tt.header)
			}
			if (got.Edits != nil) != (tt.check != nil) || tt.check != nil && !tt.check(got.Edits) {
				t.Errorf("edits %+v", got.Edits)
			}
			if want := "from a@example.com\nto b@example.net\nto c@example.net\nSubject: one\n two\nX-Spam: no\nX-Spam: maybe\nbody\r\n"; tt.rcpt == nil && f.seen.String() != want {
				t.Errorf("it was told %q, want %q", f.seen.String(), want)
			}
		})
	}
}

func text(r *relay.Reply) string {
	if r == nil {
		return ""
	}
	return r.String()
}

func answer(r gomilter.Response) func(*gomilter.Modifier) (gomilter.Response, error) {
	return func(*gomilter.Modifier) (gomilter.Response, error) { return r, nil }
}

func change(do func(*gomilter.Modifier) error) func(*gomilter.Modifier) (gomilter.Response, error) {
	return func(m *gomilter.Modifier) (gomilter.Response, error) { return gomilter.RespAccept, do(m) }
}

// A milter that is not there, hangs, talks nonsense or hangs up is a failure within its time: the
// mail waits at the client, or passes where that is configured. It is never lost.
func TestFailures(t *testing.T) {
	t.Parallel()
	for name, session := range map[string]func(net.Conn){
		"not there": nil,
		"hangs":     func(c net.Conn) { io.Copy(io.Discard, c) },
		"nonsense":  func(c net.Conn) { c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")); c.Close() },
		"hangs up":  func(c net.Conn) { c.Close() },
		"progress for ever": func(c net.Conn) {
			for {
				if _, err := c.Write([]byte{0, 0, 0, 1, 'p'}); err != nil {
					return
				}
			}
		},
	} {
		for _, accept := range []bool{false, true} {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			if session == nil {
				l.Close()
			} else {
				go func() {
					for c, err := l.Accept(); err == nil; c, err = l.Accept() {
						go session(c)
					}
				}()
			}
			faults := 0
			got := judge(t, milter.Options{
				Address: l.Addr().String(), Timeout: 200 * time.Millisecond, Accept: accept, Fault: func(relay.Fault) { faults++ },
			})
			if passes := got.Reply == nil; passes != accept || faults != 1 || len(got.Trace) != 1 {
				t.Errorf("%s: reply %v with accept %v, %d faults, trace %v", name, got.Reply, accept, faults, got.Trace)
			}
			if got.Reply != nil && got.Reply.Permanent() {
				t.Errorf("%s: %v is permanent", name, got.Reply)
			}
		}
	}
}

// No more messages are with the milter at once than it may have, and who waits for a turn in vain
// fails in time.
func TestTurns(t *testing.T) {
	t.Parallel()
	inside, leave := make(chan struct{}), make(chan struct{})
	address := serve(t, filter{seen: &strings.Builder{}, end: func(*gomilter.Modifier) (gomilter.Response, error) {
		inside <- struct{}{}
		<-leave
		return gomilter.RespAccept, nil
	}})
	f, err := milter.New(milter.Options{Name: "test", Address: address, Connections: 1})
	if err != nil {
		t.Fatal(err)
	}
	first := make(chan relay.Judgement)
	go func() { first <- f.Judge(context.Background(), message(), strings.NewReader("x")) }()
	<-inside
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if got := f.Judge(ctx, message(), strings.NewReader("x")); got.Reply == nil {
		t.Error("a second message did not have to wait")
	}
	close(leave)
	if got := <-first; got.Reply != nil {
		t.Errorf("the first was refused: %v", got.Reply)
	}
}
