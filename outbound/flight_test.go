package outbound_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"postrider/outbound"
	"postrider/outbound/outboundtest"
	"postrider/relay"
)

// chunking is what a peer with BDAT offers.
var chunking = append(slices.Clone(outboundtest.DefaultExtensions), "CHUNKING")

func withChunking(s outboundtest.Script) outboundtest.Script {
	s.Extensions = chunking
	return s
}

// stream delivers the transfers over one connection as a courier does: what was announced is
// delivered whatever happens, anything else only while the connection is usable. It gives the
// codes of the attempts.
func stream(t testing.TB, c relay.Conn, list ...relay.Transfer) []string {
	t.Helper()
	var got []string
	announced := true
	for i := 0; i < len(list) && (announced || c.Usable()); i++ {
		announced = false
		asked := 0
		a := c.Deliver(t.Context(), list[i], func() (relay.Transfer, bool) {
			if asked++; asked > 1 {
				t.Error("asked twice for what is next")
			}
			announced = i+1 < len(list)
			if !announced {
				return relay.Transfer{}, false
			}
			return list[i+1], true
		})
		got = append(got, codes(a))
	}
	return got
}

// letters makes transfers with the bodies "0", "1" and so on, to the recipients.
func letters(n int, recipients ...string) []relay.Transfer {
	var list []relay.Transfer
	for i := range n {
		list = append(list, transfer(fmt.Sprintf("%d\r\n", i), recipients...))
	}
	return list
}

// turns counts round trips as the client has them: reading after having written.
type turns struct {
	net.Conn
	wrote bool
	n     int
}

func (c *turns) Write(p []byte) (int, error) {
	c.wrote = true
	return c.Conn.Write(p)
}

func (c *turns) Read(p []byte) (int, error) {
	if c.wrote {
		c.wrote = false
		c.n++
	}
	return c.Conn.Read(p)
}

// SyscallConn implements syscall.Conn.
func (c *turns) SyscallConn() (syscall.RawConn, error) {
	return c.Conn.(syscall.Conn).SyscallConn()
}

// counted dials the peer over a connection that counts.
func counted(t testing.TB, p *outboundtest.Peer) (relay.Conn, *turns) {
	t.Helper()
	n := &turns{}
	c := dial(t, smart(t, func(o *outbound.Options) {
		o.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			var err error
			n.Conn, err = new(net.Dialer).DialContext(ctx, network, address)
			return n, err
		}
	}, p))
	return c, n
}

// A warm connection costs one round trip for a message or less, and a cold one two, with BDAT
// one, besides those that open the session.
func TestRoundTrips(t *testing.T) {
	t.Parallel()
	var twenty []string
	for i := range 20 {
		twenty = append(twenty, fmt.Sprintf("r%d@to.test", i))
	}
	big := strings.Repeat("0123456789abcdef\r\n", 10_000)
	const n = 10
	for _, tt := range []struct {
		name       string
		extensions []string
		body       string
		recipients []string
		cold, warm int
	}{
		{"PIPELINING", nil, "x\r\n", twenty[:1], 2, n},
		{"PIPELINING, 20 recipients", nil, "x\r\n", twenty, 2, n},
		{"PIPELINING, large", nil, big, twenty[:1], 2, n},
		{"CHUNKING", chunking, "x\r\n", twenty[:1], 1, n},
		{"CHUNKING, 20 recipients", chunking, "x\r\n", twenty, 1, n},
		{"CHUNKING, large", chunking, big, twenty[:1], 2, n},
		{"neither", []string{"SIZE"}, "x\r\n", twenty[:1], 4, 4 * n},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := outboundtest.NewPeer(t, outboundtest.Script{Extensions: tt.extensions})
			c, round := counted(t, p)
			before := round.n
			stream(t, c, transfer(tt.body, tt.recipients...))
			if cold := round.n - before; cold != tt.cold {
				t.Errorf("%d round trips for the first message, want %d", cold, tt.cold)
			}
			var list []relay.Transfer
			for range n + 1 {
				list = append(list, transfer(tt.body, tt.recipients...))
			}
			before = round.n
			stream(t, c, list...)
			// The first of them has nothing before it that its commands could follow.
			warm := round.n - before - tt.cold
			if warm > tt.warm {
				t.Errorf("%d round trips for %d messages, want %d", warm, n, tt.warm)
			}
			t.Logf("cold %d, warm %.1f round trips for a message", tt.cold, float64(warm)/n)
			if p.Count() != n+2 || p.Sessions()[0].Early {
				t.Errorf("%d messages, want %d; early: %v", p.Count(), n+2, p.Sessions()[0].Early)
			}
		})
	}
}

// ahead is three messages in a row to a scripted peer.
type ahead struct {
	name   string
	script outboundtest.Script
	// want are the codes of the attempts; fewer than three where the connection ended.
	want []string
	// taken are the bodies of the messages that the peer took.
	taken string
}

func aheads(list ...ahead) func(*testing.T) {
	return func(t *testing.T) {
		for _, a := range list {
			t.Run(a.name, func(t *testing.T) {
				t.Parallel()
				p := outboundtest.NewPeer(t, a.script)
				c := dial(t, smart(t, impatient(a.name), p))
				got := stream(t, c, letters(3, "a@to.test", "b@to.test")...)
				if !slices.Equal(got, a.want) {
					t.Errorf("attempts = %q, want %q", got, a.want)
				}
				c.Close()
				p.Close()
				wantTaken(t, p, a.taken)
			})
		}
	}
}

// impatient shortens the wait for the end of a message in the cases whose peer is silent there, and
// in no others: a peer that answers can be slow on a busy machine.
func impatient(name string) func(*outbound.Options) {
	return func(o *outbound.Options) {
		if strings.HasPrefix(name, "silent") {
			o.Timeouts.Dot = 100 * time.Millisecond
		}
	}
}

func wantTaken(t *testing.T, p *outboundtest.Peer, want string) {
	t.Helper()
	var bodies string
	for _, m := range p.Messages() {
		_, body, _ := bytes.Cut(m.Body, []byte("\r\n\r\n"))
		bodies += strings.TrimSpace(string(body))
		if m.From != "sender@from.test" {
			t.Errorf("message from %q", m.From)
		}
	}
	if bodies != want {
		t.Errorf("taken: %q, want %q", bodies, want)
	}
	if p.Sessions()[0].Early {
		t.Error("sent something before the reply that it must wait for")
	}
}

// aheadRows are the rows of the list for a transaction whose commands went out behind the
// message before.
func aheadRows() []row {
	const ok = "250,250"
	return []row{
		{"T01/ahead", aheads(
			ahead{"all well", outboundtest.Script{}, []string{ok, ok, ok}, "012"},
			ahead{"not offered", plain(outboundtest.Script{}), []string{ok, ok, ok}, "012"},
			ahead{"message refused", nth(outboundtest.Dot, 1, outboundtest.Action{Reply: "554 5.7.1 spam"}), []string{"554,554", ok, ok}, "12"},
		)},
		{"T02/ahead", aheads(
			ahead{"503", nth(outboundtest.MAIL, 2, outboundtest.Action{Reply: "550 5.7.1 not you"}), []string{ok, "550,550", ok}, "02"},
			ahead{"354", both(nth(outboundtest.MAIL, 2, outboundtest.Action{Reply: "451 later"}), nth(outboundtest.DATA, 2, outboundtest.Action{Reply: "354 go on"}), nth(outboundtest.Dot, 2, outboundtest.Action{Reply: "554 nothing"})), []string{ok, "451,451", ok}, "02"},
		)},
		{"T03/ahead", aheads(
			ahead{"all refused", both(nth(outboundtest.RCPT, 3, outboundtest.Action{Reply: "550 no"}), nth(outboundtest.RCPT, 4, outboundtest.Action{Reply: "450 no"}), nth(outboundtest.DATA, 2, outboundtest.Action{Reply: "354 go on"}), nth(outboundtest.Dot, 2, outboundtest.Action{Reply: "554 nothing"})), []string{ok, "550,450", ok}, "02"},
		)},
		{"T05/ahead", aheads(
			ahead{"452", atMost(1, "452 4.5.3 too many"), []string{ok, ok, ok}, "001122"},
			ahead{"452 with BDAT", withChunking(atMost(1, "452 4.5.3 too many")), []string{ok, ok, ok}, "001122"},
		)},
		{"T07/ahead", aheads(
			ahead{"421 to the dot", nth(outboundtest.Dot, 2, outboundtest.Action{Reply: "421 closing", Drop: true}), []string{ok, "421,421 setback", "451,451 untried"}, "0"},
			ahead{"421 to MAIL", nth(outboundtest.MAIL, 2, outboundtest.Action{Reply: "421 enough", Drop: true}), []string{ok, "421,421 untried"}, "0"},
			ahead{"421 to RCPT", nth(outboundtest.RCPT, 3, outboundtest.Action{Reply: "421 closing", Drop: true}), []string{ok, "421,421 setback"}, "0"},
		)},
		{"T08/ahead", aheads(
			ahead{"lost after the dot", nth(outboundtest.Dot, 2, outboundtest.Action{Drop: true}), []string{ok, "451,451 ambiguous", "451,451 untried"}, "0"},
			ahead{"silent after the dot", nth(outboundtest.Dot, 2, outboundtest.Action{Hang: true}), []string{ok, "451,451 ambiguous", "451,451 untried"}, "0"},
			ahead{"lost at DATA", nth(outboundtest.DATA, 2, outboundtest.Action{Drop: true}), []string{ok, "451,451 setback"}, "0"},
		)},
		{"T09/ahead", aheads(
			ahead{"lost at MAIL", nth(outboundtest.MAIL, 2, outboundtest.Action{Drop: true}), []string{ok, "451,451 untried"}, "0"},
		)},
		{"T10/ahead", aheads(
			ahead{"garbage to the dot", nth(outboundtest.Dot, 1, outboundtest.Action{Reply: "what?"}), []string{"451,451 ambiguous", "451,451 untried"}, ""},
			ahead{"mixed codes", nth(outboundtest.Dot, 1, outboundtest.Action{Reply: "250-fine\r\n554 not"}), []string{"554,554", "451,451 untried"}, "0"},
			ahead{"garbage to RCPT", nth(outboundtest.RCPT, 3, outboundtest.Action{Reply: "what?"}), []string{ok, "451,451 setback"}, "0"},
		)},
	}
}

// both does what the first of the scripts does that does something.
func both(scripts ...outboundtest.Script) outboundtest.Script {
	return outboundtest.Script{On: func(e outboundtest.Event) outboundtest.Action {
		for _, s := range scripts {
			if a := s.On(e); a != (outboundtest.Action{}) {
				return a
			}
		}
		return outboundtest.Action{}
	}}
}

// chunkRows are T16: messages by BDAT (RFC 3030).
func chunkRows() []row {
	const ok = "250,250"
	bdat := func(n int, a outboundtest.Action) outboundtest.Script {
		return withChunking(nth(outboundtest.BDAT, n, a))
	}
	return []row{
		{"T16", chunksExact},
		{"T16/failure", aheads(
			ahead{"refused", bdat(1, outboundtest.Action{Reply: "554 5.7.1 spam"}), []string{"554,554", ok, ok}, "12"},
			ahead{"refused for now", bdat(2, outboundtest.Action{Reply: "451 4.3.0 later"}), []string{ok, "451,451", ok}, "02"},
			ahead{"not known", bdat(1, outboundtest.Action{Reply: "502 5.5.1 what?"}), []string{"451,451", ok, ok}, "12"},
			ahead{"421", bdat(2, outboundtest.Action{Reply: "421 closing", Drop: true}), []string{ok, "421,421 setback"}, "0"},
			ahead{"lost", bdat(2, outboundtest.Action{Drop: true}), []string{ok, "451,451 ambiguous"}, "0"},
			ahead{"silent", bdat(2, outboundtest.Action{Hang: true}), []string{ok, "451,451 ambiguous"}, "0"},
			ahead{"MAIL refused", withChunking(nth(outboundtest.MAIL, 2, outboundtest.Action{Reply: "550 no"})), []string{ok, "550,550", ok}, "02"},
			ahead{"all refused", withChunking(answers("RCPT", "550 no")), []string{"550,550", "550,550", "550,550"}, ""},
			ahead{"lost at MAIL", withChunking(nth(outboundtest.MAIL, 2, outboundtest.Action{Drop: true})), []string{ok, "451,451 ambiguous"}, "0"},
		)},
		{"T16/ahead", chunksAhead},
	}
}

// Messages to one recipient go out two at a time; what becomes of the first is nothing to the second.
func chunksAhead(t *testing.T) {
	for _, tt := range []struct {
		name   string
		script outboundtest.Script
		want   []string
		taken  string
	}{
		{"all well", outboundtest.Script{}, []string{"250", "250", "250"}, "012"},
		{"refused", nth(outboundtest.BDAT, 1, outboundtest.Action{Reply: "554 5.7.1 spam"}), []string{"554", "250", "250"}, "12"},
		{"RCPT refused", nth(outboundtest.RCPT, 1, outboundtest.Action{Reply: "550 no"}), []string{"550", "250", "250"}, "12"},
		{"MAIL refused", nth(outboundtest.MAIL, 2, outboundtest.Action{Reply: "450 later"}), []string{"250", "450", "250"}, "02"},
		{"421", nth(outboundtest.BDAT, 1, outboundtest.Action{Reply: "421 closing", Drop: true}), []string{"421 setback", "451 untried"}, ""},
		{"refused, then 421", both(nth(outboundtest.MAIL, 1, outboundtest.Action{Reply: "550 no"}), nth(outboundtest.RCPT, 1, outboundtest.Action{Reply: "421 closing", Drop: true})), []string{"550 setback", "451 untried"}, ""},
		{"silent", nth(outboundtest.BDAT, 1, outboundtest.Action{Hang: true}), []string{"451 ambiguous", "451 ambiguous"}, ""},
		{"lost at RSET", nth(outboundtest.RSET, 1, outboundtest.Action{Drop: true}), []string{"250", "451 ambiguous", "451 ambiguous"}, "0"},
		{"lost at RCPT", nth(outboundtest.RCPT, 2, outboundtest.Action{Drop: true}), []string{"250", "451 ambiguous", "451 ambiguous"}, "0"},
		{"LIMITS", withLimit(2), []string{"250", "250"}, "01"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if tt.script.Extensions == nil {
				tt.script = withChunking(tt.script)
			}
			p := outboundtest.NewPeer(t, tt.script)
			c := dial(t, smart(t, func(o *outbound.Options) {
				impatient(tt.name)(o)
				farAway(o)
			}, p))
			if got := stream(t, c, letters(3, "a@to.test")...); !slices.Equal(got, tt.want) {
				t.Errorf("attempts = %q, want %q", got, tt.want)
			}
			c.Close()
			p.Close()
			wantTaken(t, p, tt.taken)
		})
	}
}

func withLimit(n int) outboundtest.Script {
	return outboundtest.Script{Extensions: append(slices.Clone(chunking), fmt.Sprintf("LIMITS MAILMAX=%d", n))}
}

func chunksExact(t *testing.T) {
	for _, extensions := range [][]string{chunking, {"CHUNKING"}} {
		for _, body := range []string{
			"hello\r\n", "", "hello", ".\r\n..\r\n", "bare\nfeeds\r", "\xff\xfe 8-bit \x00\r\n",
			strings.Repeat("x", 200_000) + "\r\n", strings.Repeat(".\r\n", 100_000),
		} {
			p := outboundtest.NewPeer(t, outboundtest.Script{Extensions: extensions})
			c := dial(t, smart(t, nil, p))
			got := stream(t, c, transfer(body, "a@to.test"), transfer(body, "a@to.test"), transfer(body, "a@to.test"))
			if want := []string{"250", "250", "250"}; !slices.Equal(got, want) {
				t.Errorf("attempts = %q, want %q", got, want)
			}
			for _, m := range p.Messages() {
				if string(m.Body) != header+body {
					t.Errorf("body differs: %d bytes, want %d", len(m.Body), len(header+body))
				}
			}
			if got := verbs(p.Sessions()[0]); strings.Contains(got, "DATA") {
				t.Errorf("commands = %q", got)
			}
		}
	}
}

// A peer with which the connection broke behind an end of a message is not hurried again.
func TestNoLookAheadAfterLoss(t *testing.T) {
	t.Parallel()
	p := outboundtest.NewPeer(t, nth(outboundtest.Dot, 1, outboundtest.Action{Drop: true}))
	tr := smart(t, nil, p)
	stream(t, dial(t, tr), letters(2, "a@to.test")...)
	p.SetScript(outboundtest.Script{})
	c := dial(t, tr)
	opened := p.Sessions()[1].Turns
	stream(t, c, letters(3, "a@to.test")...)
	if turns := p.Sessions()[1].Turns - opened; turns < 6 {
		t.Errorf("%d round trips, want 6: two for each message", turns)
	}
}

// A connection that is given another message than it was told is of no more use.
func TestUnexpectedTransfer(t *testing.T) {
	t.Parallel()
	p := outboundtest.NewPeer(t, outboundtest.Script{})
	c := dial(t, smart(t, nil, p))
	list := letters(3, "a@to.test")
	c.Deliver(t.Context(), list[0], func() (relay.Transfer, bool) { return list[1], true })
	wantCodes(t, c.Deliver(t.Context(), list[2], nil), "451 untried")
	p.Wait("the end", func() bool { return p.Sessions()[0].Closed })
	wantTaken(t, p, "0")
}
