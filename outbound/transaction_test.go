package outbound_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"postrider/outbound"
	"postrider/outbound/outboundtest"
	"postrider/relay"
)

const two = "a@to.test b@to.test"

// dialogue is a transaction against a scripted peer.
type dialogue struct {
	name   string
	script outboundtest.Script
	// warm sends a message first, so that the connection is a reused one.
	warm       bool
	recipients string
	// want is as codes shows it, verbs as the function does, for the last session, without
	// EHLO and QUIT.
	want, verbs string
	usable      bool
	messages    int
}

// answers is a script of replies.
func answers(pairs ...string) outboundtest.Script {
	replies := make(map[string]string)
	for i := 0; i < len(pairs); i += 2 {
		replies[pairs[i]] = pairs[i+1]
	}
	return outboundtest.Script{On: outboundtest.Answer(replies)}
}

func plain(s outboundtest.Script) outboundtest.Script {
	s.Extensions = []string{"8BITMIME"}
	return s
}

// nth acts at the n-th event of a phase.
func nth(phase outboundtest.Phase, n int, a outboundtest.Action) outboundtest.Script {
	return outboundtest.Script{On: func(e outboundtest.Event) outboundtest.Action {
		if e.Phase == phase && e.N == n {
			return a
		}
		return outboundtest.Action{}
	}}
}

func dialogues(list ...dialogue) func(*testing.T) {
	return func(t *testing.T) {
		for _, d := range list {
			t.Run(d.name, func(t *testing.T) {
				t.Parallel()
				d.run(t)
			})
		}
	}
}

func (d dialogue) run(t *testing.T) {
	p := outboundtest.NewPeer(t, d.script)
	c := dial(t, smart(t, nil, p))
	if d.warm {
		wantCodes(t, deliver(t, c, transfer("warm\r\n", "w@to.test")), "250")
	}
	if d.recipients == "" {
		d.recipients = two
	}
	wantCodes(t, deliver(t, c, transfer("body\r\n", strings.Fields(d.recipients)...)), d.want)
	if c.Usable() != d.usable {
		t.Errorf("usable = %v, want %v", c.Usable(), d.usable)
	}
	c.Close()
	p.Wait("the end", func() bool { return p.Sessions()[0].Closed })
	got := strings.TrimSuffix(strings.TrimPrefix(verbs(p.Sessions()[0]), "EHLO "), " QUIT")
	got = strings.TrimPrefix(got, "EHLO")
	if d.verbs != "" && got != d.verbs {
		t.Errorf("commands = %q, want %q", got, d.verbs)
	}
	if n := p.Count(); n != d.messages {
		t.Errorf("messages = %d, want %d", n, d.messages)
	}
	if p.Sessions()[0].Early {
		t.Error("sent something before the reply that it must wait for")
	}
}

func transactionRows() []row {
	const all = "MAIL RCPT RCPT DATA"
	return []row{
		{"T01", dialogues(
			dialogue{name: "pipelined", want: "250,250", verbs: all, usable: true, messages: 1},
			dialogue{name: "not offered", script: plain(outboundtest.Script{}), want: "250,250", verbs: all, usable: true, messages: 1},
			dialogue{name: "attribution", script: answers("RCPT TO:<b@", "550-5.1.1 no\r\n550 5.1.1 body here"), recipients: "a@to.test b@to.test c@to.test", want: "250,550,250", verbs: "MAIL RCPT RCPT RCPT DATA", usable: true, messages: 1},
		)},
		{"T02", dialogues(
			dialogue{name: "permanent", script: answers("MAIL", "550 5.7.1 not you", "DATA", "503 no"), want: "550,550", verbs: all, usable: true},
			dialogue{name: "temporary", script: answers("MAIL", "451 4.3.0 later", "DATA", "503 no"), want: "451,451", verbs: all, usable: true},
			dialogue{name: "354", script: answers("MAIL", "550 5.7.1 not you", "DATA", "354 go on", "dot", "554 nothing"), want: "550,550", verbs: all, usable: true},
			dialogue{name: "354 and 250", script: answers("MAIL", "451 later", "DATA", "354 go on"), want: "451,451", usable: true, messages: 1},
			dialogue{name: "not pipelined", script: plain(answers("MAIL", "550 5.7.1 not you")), want: "550,550", verbs: "MAIL", usable: true},
		)},
		{"T03", dialogues(
			dialogue{name: "354 and 250", script: answers("RCPT", "550 5.1.1 no", "DATA", "354 go on"), want: "550,550", verbs: all, usable: true, messages: 1},
			dialogue{name: "503", script: answers("RCPT", "450 4.2.1 no"), want: "450,450", verbs: all, usable: true},
			dialogue{name: "not pipelined", script: plain(answers("RCPT", "550 5.1.1 no")), want: "550,550", verbs: "MAIL RCPT RCPT", usable: true},
		)},
		{"T04", dialogues(
			dialogue{name: "mixed", script: answers("RCPT TO:<a", "450 4.2.0 grey", "RCPT TO:<c", "550 5.1.1 no"), recipients: "a@to.test b@to.test c@to.test", want: "450,250,550", usable: true, messages: 1},
		)},
		{"T05", dialogues(
			dialogue{name: "452", script: atMost(2, "452 4.5.3 too many"), recipients: "a@t.test b@t.test c@t.test d@t.test e@t.test", want: "250,250,250,250,250", usable: true, messages: 3},
			dialogue{name: "552", script: atMost(1, "552 too many"), want: "250,250", verbs: all + " MAIL RCPT DATA", usable: true, messages: 2},
			dialogue{name: "not pipelined", script: plain(atMost(2, "452 4.5.3 too many")), recipients: "a@t.test b@t.test c@t.test", want: "250,250,250", usable: true, messages: 2},
			dialogue{name: "of the mailbox", script: answers("RCPT TO:<b", "552 5.2.2 mailbox full"), want: "250,552", verbs: all + " MAIL RCPT DATA", usable: true, messages: 1},
			dialogue{name: "none accepted", script: answers("RCPT", "452 4.2.2 mailbox full"), want: "452,452", verbs: all, usable: true},
			dialogue{name: "552 and the message refused", script: withDot(atMost(1, "552 too many"), "554 5.7.1 spam"), want: "554,452", verbs: all, usable: true},
		)},
		{"T06", dialogues(
			dialogue{name: "DATA 4xx", script: answers("DATA", "451 4.3.0 later"), want: "451,451", verbs: all, usable: true},
			dialogue{name: "DATA 5xx", script: answers("DATA", "554 5.7.1 no"), want: "554,554", verbs: all, usable: true},
			dialogue{name: "dot 4xx", script: answers("dot", "451 4.3.0 later"), want: "451,451", verbs: all, usable: true},
			dialogue{name: "dot 5xx", script: answers("dot", "554 5.7.1 spam"), want: "554,554", verbs: all, usable: true},
		)},
		{"T07", dialogues(
			dialogue{name: "MAIL", script: answers("MAIL", "421 4.3.2 closing"), want: "421,421 setback"},
			dialogue{name: "RCPT", script: answers("RCPT TO:<b", "421 4.3.2 closing", "RCPT TO:<a", "550 no"), want: "550,421 setback"},
			dialogue{name: "DATA", script: answers("DATA", "421 4.3.2 closing", "RCPT TO:<a", "550 no"), want: "550,421 setback"},
			dialogue{name: "dot", script: answers("dot", "421 4.3.2 closing", "RCPT TO:<a", "550 no"), want: "550,421 setback"},
			dialogue{name: "drain", script: answers("MAIL", "451 later", "RCPT", "421 closing"), want: "451,451 setback"},
		)},
		{"T08", lostConnections},
		{"T09", dialogues(
			dialogue{name: "dead", script: nth(outboundtest.MAIL, 2, outboundtest.Action{Drop: true}), warm: true, want: "451,451 untried", messages: 1},
			dialogue{name: "421", script: nth(outboundtest.MAIL, 2, outboundtest.Action{Reply: "421 idle", Drop: true}), warm: true, want: "421,421 untried", messages: 1},
			dialogue{name: "503", script: nth(outboundtest.MAIL, 2, outboundtest.Action{Reply: "503 nested"}), warm: true, want: "451,451 untried", messages: 1},
			dialogue{name: "first", script: nth(outboundtest.MAIL, 1, outboundtest.Action{Drop: true}), want: "451,451 setback"},
			dialogue{name: "second transaction", script: nth(outboundtest.RCPT, 3, outboundtest.Action{Drop: true}), warm: true, want: "451,451 setback", messages: 1},
		)},
		{"T09/closed at rest", closedAtRest},
		{"T10", garbageWhilePipelining},
		{"T11", parameters},
		{"T12", smtpUTF8},
		{"T13", eightBit},
		{"T14", longLines},
		{"T15", byteExact},
		{"T17", dialogues(
			dialogue{name: "no RSET", warm: true, want: "250,250", verbs: "MAIL RCPT DATA MAIL RCPT RCPT DATA", usable: true, messages: 2},
			dialogue{name: "RSET", script: nth(outboundtest.DATA, 1, outboundtest.Action{Reply: "451 4.3.0 later"}), recipients: "a@to.test", want: "451", usable: true, verbs: "MAIL RCPT DATA"},
		)},
		{"T17/RSET before the next", resetAfterFailure},
	}
}

// atMost refuses recipients beyond n in a transaction.
func atMost(n int, reply string) outboundtest.Script {
	return outboundtest.Script{On: func(e outboundtest.Event) outboundtest.Action {
		if e.Phase == outboundtest.RCPT && len(e.Recipients) >= n {
			return outboundtest.Action{Reply: reply}
		}
		return outboundtest.Action{}
	}}
}

func withDot(s outboundtest.Script, reply string) outboundtest.Script {
	on := s.On
	s.On = func(e outboundtest.Event) outboundtest.Action {
		if e.Phase == outboundtest.Dot {
			return outboundtest.Action{Reply: reply}
		}
		return on(e)
	}
	return s
}

func lostConnections(t *testing.T) {
	big := strings.Repeat("0123456789abcdef\r\n", 1<<19) // more than the sockets hold
	for _, tt := range []struct {
		name   string
		script outboundtest.Script
		body   string
		want   string
	}{
		{"before the 354", nth(outboundtest.DATA, 1, outboundtest.Action{Drop: true}), "x\r\n", "451 setback"},
		{"in the body", nth(outboundtest.Body, 1, outboundtest.Action{Drop: true, After: 1000}), big, "451 setback"},
		{"in the body, with a reason", nth(outboundtest.Body, 1, outboundtest.Action{Reply: "552 5.3.4 too large", Drop: true, After: 1000}), big, "552"},
		{"in the body, for now", nth(outboundtest.Body, 1, outboundtest.Action{Reply: "421 4.4.2 closing", Drop: true, After: 1000}), big, "421 setback"},
		{"after the dot", nth(outboundtest.Dot, 1, outboundtest.Action{Drop: true}), "x\r\n", "451 ambiguous"},
		{"no answer to the dot", nth(outboundtest.Dot, 1, outboundtest.Action{Hang: true}), "x\r\n", "451 ambiguous"},
		{"garbage to the dot", nth(outboundtest.Dot, 1, outboundtest.Action{Reply: "what?"}), "x\r\n", "451 ambiguous"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := outboundtest.NewPeer(t, tt.script)
			c := dial(t, smart(t, func(o *outbound.Options) { o.Timeouts.Dot = 50 * time.Millisecond }, p))
			a := deliver(t, c, transfer(tt.body, "a@to.test"))
			wantCodes(t, a, tt.want)
			if c.Usable() {
				t.Error("still usable")
			}
		})
	}
}

// A line over what RFC 5321 allows is sent as it is: to fold it would break its signatures.
func longLines(t *testing.T) {
	body := strings.Repeat("x", 999) + "\r\n" + strings.Repeat("y", 100_000) + "\r\n"
	for _, extensions := range [][]string{nil, chunking, {}} {
		p := outboundtest.NewPeer(t, outboundtest.Script{Extensions: extensions})
		wantCodes(t, deliver(t, dial(t, smart(t, nil, p)), transfer(body, "a@to.test")), "250")
		if got := string(p.Messages()[0].Body); got != header+body {
			t.Errorf("%d bytes arrived, want the %d that were sent", len(got), len(header+body))
		}
	}
}

func closedAtRest(t *testing.T) {
	for _, extensions := range [][]string{nil, chunking} {
		p := outboundtest.NewPeer(t, outboundtest.Script{Extensions: extensions})
		c := dial(t, smart(t, nil, p))
		wantCodes(t, deliver(t, c, transfer("x\r\n", "a@to.test")), "250")
		p.Close()
		wantCodes(t, deliver(t, c, transfer("x\r\n", "a@to.test")), "451 untried")
		if c.Usable() {
			t.Error("still usable")
		}
		wantCodes(t, deliver(t, c, transfer("x\r\n", "a@to.test")), "451 untried")
	}
}

// A peer that says goodbye at rest has not taken the message that comes then, although small ones go
// out whole; and one that reads it all and hangs up without a word may have.
func TestWholeMessageToClosingPeer(t *testing.T) {
	t.Parallel()
	p := outboundtest.NewPeer(t, withChunking(outboundtest.Script{}))
	c := dial(t, smart(t, nil, p))
	wantCodes(t, deliver(t, c, transfer("x\r\n", "a@to.test")), "250")
	p.SetScript(withChunking(nth(outboundtest.MAIL, 2, outboundtest.Action{Drop: true})))
	wantCodes(t, deliver(t, c, transfer("x\r\n", "a@to.test")), "451 ambiguous")
}

// A peer that answers with garbage is left alone with its thoughts, and not pipelined to again.
func garbageWhilePipelining(t *testing.T) {
	p := outboundtest.NewPeer(t, nth(outboundtest.RCPT, 2, outboundtest.Action{Reply: "** buffer overrun **"}))
	tr := smart(t, nil, p)
	c := dial(t, tr)
	a := deliver(t, c, transfer("x\r\n", "a@to.test", "b@to.test"))
	wantCodes(t, a, "451,451 setback")
	if c.Usable() {
		t.Error("still usable")
	}
	p.SetScript(outboundtest.Script{})
	c = dial(t, tr)
	wantCodes(t, deliver(t, c, transfer("x\r\n", "a@to.test")), "250")
	// One turn each for the greeting, EHLO, MAIL, RCPT, DATA and the dot.
	if turns := p.Sessions()[1].Turns; turns != 6 {
		t.Errorf("turns = %d, want 6: a peer that loses its place is pipelined to again", turns)
	}
}

func byteExact(t *testing.T) {
	long := strings.Repeat(".\r\n..\r\n\r\n.x\r\n", 10_000)
	for _, tt := range []struct{ name, body, want string }{
		{"plain", "hello\r\n", "hello\r\n"},
		{"empty", "", ""},
		{"no final newline", "hello", "hello\r\n"},
		{"dots", ".\r\n..\r\n...\r\n", ".\r\n..\r\n...\r\n"},
		{"one dot", ".", ".\r\n"},
		{"dots at the edges of buffers", long, long},
		{"long lines", strings.Repeat("x", 200_000) + "\r\n", strings.Repeat("x", 200_000) + "\r\n"},
		{"ends in CR", "x\r", "x\r\r\n"},
		{"bare line feeds", "x\n.\ny\r.\r\n", "x\n.\ny\r.\r\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := outboundtest.NewPeer(t, outboundtest.Script{})
			c := dial(t, smart(t, nil, p))
			for range 2 {
				wantCodes(t, deliver(t, c, transfer(tt.body, "a@to.test")), "250")
			}
			for _, m := range p.Messages() {
				if string(m.Body) != header+tt.want {
					t.Errorf("body differs: %d bytes, want %d", len(m.Body), len(header+tt.want))
				}
			}
		})
	}
}

func resetAfterFailure(t *testing.T) {
	for _, script := range []outboundtest.Script{{}, plain(outboundtest.Script{})} {
		script.On = nth(outboundtest.DATA, 1, outboundtest.Action{Reply: "451 4.3.0 later"}).On
		p := outboundtest.NewPeer(t, script)
		c := dial(t, smart(t, nil, p))
		wantCodes(t, deliver(t, c, transfer("x\r\n", "a@to.test")), "451")
		wantCodes(t, deliver(t, c, transfer("x\r\n", "a@to.test")), "250")
		wantCodes(t, deliver(t, c, transfer("x\r\n", "a@to.test")), "250")
		const want = "EHLO MAIL RCPT DATA RSET MAIL RCPT DATA MAIL RCPT DATA"
		if got := verbs(p.Sessions()[0]); got != want {
			t.Errorf("commands = %q, want %q", got, want)
		}
	}
}

// Many recipients go in transactions of the size that the options, and the peer's LIMITS
// (RFC 9422), allow.
func TestRecipientsPerTransaction(t *testing.T) {
	t.Parallel()
	var recipients []string
	for i := range 250 {
		recipients = append(recipients, fmt.Sprintf("r%d@to.test", i))
	}
	for _, tt := range []struct {
		extensions []string
		want       []int
	}{
		{[]string{"PIPELINING"}, []int{100, 100, 50}},
		{[]string{}, []int{100, 100, 50}},
		{[]string{"PIPELINING", "LIMITS MAILMAX=9 RCPTMAX=80"}, []int{80, 80, 80, 10}},
	} {
		p := outboundtest.NewPeer(t, outboundtest.Script{Extensions: tt.extensions})
		a := deliver(t, dial(t, smart(t, nil, p)), transfer("x\r\n", recipients...))
		var got []int
		for _, m := range p.Messages() {
			got = append(got, len(m.To))
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%q: transactions of %v, want %v", tt.extensions, got, tt.want)
		}
		for i, r := range a.Replies {
			if r.Code != 250 {
				t.Fatalf("recipient %d: %s", i, r)
			}
		}
	}
}

// brokenBody fails after some bytes.
type brokenBody struct {
	io.ReadSeeker
	err error
}

func (b brokenBody) Read(p []byte) (int, error) {
	n, err := b.ReadSeeker.Read(p)
	if errors.Is(err, io.EOF) {
		err = b.err
	}
	return n, err
}

// A message that cannot be read whole is never delivered in part.
func TestBodyFault(t *testing.T) {
	t.Parallel()
	content := bytes.Repeat([]byte("0123456789abcdef\r\n"), 10_000)
	for _, tt := range []struct {
		name string
		err  error
		size int
	}{
		{"read error", fmt.Errorf("chunk 3: %w", relay.ErrCorrupt), len(content)},
		{"short", io.EOF, len(content) + 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := outboundtest.NewPeer(t, outboundtest.Script{})
			c := dial(t, smart(t, nil, p))
			body := brokenBody{bytes.NewReader(content), tt.err}
			a := deliver(t, c, transferFrom(body, int64(tt.size), "a@to.test"))
			wantCodes(t, a, "451 local")
			if !errors.Is(a.Local, relay.ErrCorrupt) {
				t.Errorf("local = %v, want ErrCorrupt", a.Local)
			}
			p.Wait("the end", func() bool { return p.Sessions()[0].Closed })
			if p.Sessions()[0].Messages != 0 || c.Usable() {
				t.Errorf("half a message was delivered, or the connection is kept")
			}
		})
	}
}

// The end of the context ends a transaction wherever it is, and nobody is blamed.
func TestStop(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		phase outboundtest.Phase
		want  string
	}{
		{outboundtest.MAIL, "451 untried"},
		{outboundtest.DATA, "451 untried"},
		{outboundtest.Dot, "451 ambiguous"},
	} {
		t.Run(string(tt.phase), func(t *testing.T) {
			t.Parallel()
			reached := make(chan struct{})
			p := outboundtest.NewPeer(t, outboundtest.Script{On: func(e outboundtest.Event) outboundtest.Action {
				if e.Phase != tt.phase {
					return outboundtest.Action{}
				}
				close(reached)
				return outboundtest.Action{Hang: true}
			}})
			c := dial(t, smart(t, nil, p))
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				<-reached
				cancel()
			}()
			wantCodes(t, c.Deliver(ctx, transfer("x\r\n", "a@to.test"), nil), tt.want)
		})
	}
}
