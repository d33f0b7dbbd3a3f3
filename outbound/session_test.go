package outbound_test

import (
	"strings"
	"testing"
	"time"

	"postrider/outbound"
	"postrider/outbound/outboundtest"
	"postrider/relay"
)

func sessionRows() []row {
	return []row{
		{"S01", greetings},
		{"S02", hellos},
		{"S03", oddReplies},
		{"S04", enhancedCodes},
		{"S06", helloName},
		{"S07", limits},
		{"S08", deadlines},
		{"T18", authentication},
	}
}

func greetings(t *testing.T) {
	for _, greeting := range []string{"421 4.7.0 busy", "554 5.7.1 go away", "garbage", "250 what"} {
		t.Run(greeting, func(t *testing.T) {
			t.Parallel()
			bad := outboundtest.NewPeer(t, answers("greeting", greeting))
			good := outboundtest.NewPeer(t, outboundtest.Script{})
			c := dial(t, smart(t, nil, bad, good))
			if _, addr := c.Remote(); addr != good.Addr() {
				t.Errorf("connected to %s, want the next host %s", addr, good.Addr())
			}
			r := dialFault(t, smart(t, nil, bad))
			if !r.Temporary() {
				t.Errorf("reply = %s, want temporary", r)
			}
			if !strings.Contains(r.Text, "127.0.0.1") {
				t.Errorf("reply %q does not name the host", r)
			}
		})
	}
	t.Run("refused", func(t *testing.T) {
		t.Parallel()
		gone := outboundtest.NewPeer(t, outboundtest.Script{})
		gone.Close()
		r := dialFault(t, smart(t, nil, gone))
		want := "Connect to [127.0.0.1]:" + gone.Addr()[len("127.0.0.1:"):] + ": connection refused"
		if r.Text != want || r.Enhanced != (relay.EnhancedCode{4, 4, 1}) {
			t.Errorf("reply = %s, want %s", r, want)
		}
		good := outboundtest.NewPeer(t, outboundtest.Script{})
		dial(t, smart(t, nil, gone, good))
	})
}

func hellos(t *testing.T) {
	for _, tt := range []struct {
		name   string
		script outboundtest.Script
		verbs  string
		ok     bool
	}{
		{"EHLO refused", answers("EHLO", "500 what?"), "EHLO HELO", true},
		{"EHLO refused for now", answers("EHLO", "451 what?"), "EHLO HELO", true},
		{"EHLO 421", answers("EHLO", "421 closing"), "EHLO", false},
		{"both refused", answers("EHLO", "500 what?", "HELO", "550 what?"), "EHLO HELO", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := outboundtest.NewPeer(t, tt.script)
			tr := smart(t, nil, p)
			if tt.ok {
				c := dial(t, tr)
				wantCodes(t, deliver(t, c, transfer("x\r\n", "a@to.test")), "250")
				tt.verbs += " MAIL RCPT DATA"
			} else if r := dialFault(t, tr); !r.Temporary() {
				t.Errorf("reply = %s, want temporary", r)
			}
			if got := verbs(p.Sessions()[0]); got != tt.verbs {
				t.Errorf("commands = %q, want %q", got, tt.verbs)
			}
		})
	}
}

func oddReplies(t *testing.T) {
	for _, tt := range []struct {
		name, reply, want string
		usable            bool
	}{
		{"bare code", "250", "250", true},
		{"many lines", strings.Repeat("250-line\r\n", 50) + "250 end", "250", true},
		{"line feeds", "250-a\n250 b\n", "250", true},
		{"mixed codes", "250-fine\r\n554 not fine", "554", false},
		{"mixed codes, good end", "554-not fine\r\n250 fine", "250", false},
		{"too many lines", strings.Repeat("250-line\r\n", 1000) + "250 end", "451 ambiguous", false},
		{"too long a line", "250 " + strings.Repeat("x", 10_000), "451 ambiguous", false},
		{"no code", "OK", "451 ambiguous", false},
		{"bad code", "999 x", "451 ambiguous", false},
		{"354", "354 again", "451 setback", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := outboundtest.NewPeer(t, answers("dot", tt.reply))
			c := dial(t, smart(t, nil, p))
			wantCodes(t, deliver(t, c, transfer("x\r\n", "a@to.test")), tt.want)
			if c.Usable() != tt.usable {
				t.Errorf("usable = %v, want %v", c.Usable(), tt.usable)
			}
		})
	}
	t.Run("keywords in any case", func(t *testing.T) {
		t.Parallel()
		p := outboundtest.NewPeer(t, outboundtest.Script{Extensions: []string{"size 2000", "", "x-odd = 1", "8bitmime", "Dsn"}})
		x := transfer("x\r\n", "a@to.test")
		x.Message.Envelope.EightBit = true
		x.Message.Envelope.Return = relay.ReturnFull
		deliver(t, dial(t, smart(t, nil, p)), x)
		if got := p.Messages()[0].Mail; !strings.HasSuffix(got, " BODY=8BITMIME RET=FULL") || !strings.Contains(got, " SIZE=") {
			t.Errorf("command = %q", got)
		}
	})
}

func enhancedCodes(t *testing.T) {
	for _, tt := range []struct {
		reply string
		want  relay.Reply
	}{
		{"550 5.1.1 no such user", relay.Reply{Code: 550, Enhanced: relay.EnhancedCode{5, 1, 1}, Text: "no such user"}},
		{"550-5.1.1 no\r\n550 5.1.1 such user", relay.Reply{Code: 550, Enhanced: relay.EnhancedCode{5, 1, 1}, Text: "no such user"}},
		{"450 5.1.1 later", relay.Reply{Code: 450, Text: "5.1.1 later"}},
		{"550 1.2.3.4 is listed", relay.Reply{Code: 550, Text: "1.2.3.4 is listed"}},
		{"550 \x1b[31mred\x07", relay.Reply{Code: 550, Text: "?[31mred?"}},
	} {
		p := outboundtest.NewPeer(t, answers("RCPT", tt.reply))
		a := deliver(t, dial(t, smart(t, nil, p)), transfer("x\r\n", "a@to.test"))
		a.Replies[0].Class = relay.ClassNone
		if a.Replies[0] != tt.want {
			t.Errorf("%q: got %+v, want %+v", tt.reply, a.Replies[0], tt.want)
		}
	}
}

func helloName(t *testing.T) {
	p := outboundtest.NewPeer(t, outboundtest.Script{})
	dial(t, smart(t, nil, p))
	if got := p.Sessions()[0].Commands[0]; got != "EHLO relay.test" {
		t.Errorf("first command = %q", got)
	}
	for _, name := range []string{"", "localhost", "relay", "localhost.localdomain"} {
		_, err := outbound.New(outbound.Options{Hostname: name, Routes: []outbound.Route{{Name: routeMX, MX: true}}})
		if err == nil {
			t.Errorf("hostname %q is taken for mail to the Internet", name)
		}
	}
}

func limits(t *testing.T) {
	p := outboundtest.NewPeer(t, outboundtest.Script{Extensions: []string{"LIMITS MAILMAX=2 RCPTMAX=x"}})
	c := dial(t, smart(t, nil, p))
	for i := range 2 {
		if !c.Usable() {
			t.Fatalf("not usable before message %d", i+1)
		}
		wantCodes(t, deliver(t, c, transfer("x\r\n", "a@to.test")), "250")
	}
	if c.Usable() {
		t.Error("usable for a third message where two are allowed")
	}
}

func deadlines(t *testing.T) {
	const short = 50 * time.Millisecond
	hang, trickle := outboundtest.Action{Hang: true}, outboundtest.Action{Trickle: short / 4}
	big := strings.Repeat("0123456789abcdef\r\n", 1<<19) // more than the sockets hold
	for _, tt := range []struct {
		phase   outboundtest.Phase
		timeout func(*outbound.Timeouts) *time.Duration
		body    string
		want    string // "" where Dial fails
		actions []outboundtest.Action
	}{
		{outboundtest.Greeting, func(t *outbound.Timeouts) *time.Duration { return &t.Greeting }, "", "", []outboundtest.Action{hang, trickle}},
		{outboundtest.EHLO, func(t *outbound.Timeouts) *time.Duration { return &t.Hello }, "", "", []outboundtest.Action{hang, trickle}},
		{outboundtest.MAIL, func(t *outbound.Timeouts) *time.Duration { return &t.Mail }, "x\r\n", "451 setback", []outboundtest.Action{hang, trickle}},
		{outboundtest.RCPT, func(t *outbound.Timeouts) *time.Duration { return &t.Rcpt }, "x\r\n", "451 setback", []outboundtest.Action{hang, trickle}},
		{outboundtest.DATA, func(t *outbound.Timeouts) *time.Duration { return &t.Data }, "x\r\n", "451 setback", []outboundtest.Action{hang, trickle}},
		{outboundtest.Body, func(t *outbound.Timeouts) *time.Duration { return &t.Block }, big, "451 setback", []outboundtest.Action{hang}},
		{outboundtest.Dot, func(t *outbound.Timeouts) *time.Duration { return &t.Dot }, "x\r\n", "451 ambiguous", []outboundtest.Action{hang, trickle}},
	} {
		t.Run(string(tt.phase), func(t *testing.T) {
			t.Parallel()
			for _, a := range tt.actions {
				p := outboundtest.NewPeer(t, outboundtest.Script{On: outboundtest.At(tt.phase, a)})
				tr := smart(t, func(o *outbound.Options) { o.Timeouts.Quit, *tt.timeout(&o.Timeouts) = short, short }, p)
				if tt.want != "" {
					wantCodes(t, deliver(t, dial(t, tr), transfer(tt.body, "a@to.test")), tt.want)
				} else if r := dialFault(t, tr); r.Enhanced != (relay.EnhancedCode{4, 4, 2}) {
					t.Errorf("reply = %s, want 4.4.2", r)
				}
			}
		})
	}
}

func authentication(t *testing.T) {
	users := map[string]string{"u": "p"}
	for _, tt := range []struct {
		name     string
		script   outboundtest.Script
		password string
		ok       bool
		enhanced relay.EnhancedCode
	}{
		{"PLAIN", outboundtest.Script{Users: users}, "p", true, relay.EnhancedCode{}},
		{"wrong", outboundtest.Script{Users: users}, "x", false, relay.EnhancedCode{4, 7, 8}},
		{"454", outboundtest.Script{Users: users, On: outboundtest.Answer(map[string]string{"AUTH": "454 4.7.0 store down"})}, "p", false, relay.EnhancedCode{4, 7, 0}},
		{"LOGIN", outboundtest.Script{Extensions: []string{"AUTH=LOGIN"}, On: loginOnly()}, "p", true, relay.EnhancedCode{}},
		{"not offered", outboundtest.Script{}, "p", false, relay.EnhancedCode{4, 7, 8}},
		{"endless", outboundtest.Script{Users: users, On: outboundtest.Answer(map[string]string{"AUTH": "334 ", "unknown": "334 "})}, "p", false, relay.EnhancedCode{4, 7, 8}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := outboundtest.NewPeer(t, tt.script)
			tr := smart(t, func(o *outbound.Options) {
				o.Routes[0].Auth = &outbound.Credentials{User: "u", Password: tt.password}
			}, p)
			if tt.ok {
				wantCodes(t, deliver(t, dial(t, tr), transfer("x\r\n", "a@to.test")), "250")
				return
			}
			r := dialFault(t, tr)
			if !r.Temporary() || r.Enhanced != tt.enhanced {
				t.Errorf("reply = %s, want a temporary %s", r, tt.enhanced)
			}
			if strings.Contains(r.Error(), tt.password+" ") {
				t.Errorf("reply %q shows the password", r)
			}
		})
	}
}

// loginOnly asks for user and password with odd prompts.
func loginOnly() func(outboundtest.Event) outboundtest.Action {
	return outboundtest.Answer(map[string]string{
		"AUTH LOGIN": "334 VXNlciBOYW1lAA==", "dQ==": "334 UGFzc3dvcmQA", "cA==": "235 2.7.0 fine",
	})
}

// A host that DNS led us to and that greets with our name is us.
func TestLoop(t *testing.T) {
	t.Parallel()
	p := outboundtest.NewPeer(t, outboundtest.Script{Hostname: "RELAY.test"})
	d := outboundtest.NewDNS(t, "to.test. 60 IN MX 10 mx.to.test.", "mx.to.test. 60 IN A 127.0.0.1")
	tr := internet(t, d, func(o *outbound.Options) { o.MXPort = p.Port() })
	_, err := tr.Dial(t.Context(), resolve(t, tr, relay.Destination{Route: routeMX, Domain: "to.test"}))
	if r := asReply(t, err); r.Enhanced != (relay.EnhancedCode{4, 4, 6}) {
		t.Errorf("reply = %s, want 4.4.6", r)
	}
	dial(t, smart(t, nil, p)) // a smart host may have our name
}

// A connection is not for ever: it has its messages and its rest.
func TestUsable(t *testing.T) {
	t.Parallel()
	p := outboundtest.NewPeer(t, outboundtest.Script{})
	now := time.Now()
	tr := smart(t, func(o *outbound.Options) {
		o.MessagesPerConnection, o.IdleTimeout = 2, time.Minute
		o.Now = func() time.Time { return now }
	}, p)
	c := dial(t, tr)
	deliver(t, c, transfer("x\r\n", "a@to.test"))
	now = now.Add(time.Minute - 1)
	if !c.Usable() {
		t.Error("not usable within the idle timeout")
	}
	now = now.Add(1)
	if c.Usable() {
		t.Error("usable after the idle timeout")
	}
	c = dial(t, tr)
	deliver(t, c, transfer("x\r\n", "a@to.test"))
	deliver(t, c, transfer("x\r\n", "a@to.test"))
	if c.Usable() {
		t.Error("usable after its last message")
	}
	c.Close()
	p.Wait("QUIT", func() bool { return p.Sessions()[1].Quit })
}
