package inbound_test

import (
	"context"
	"errors"
	"io"
	"iter"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"postrider/inbound"
	"postrider/relay"
)

// replyLine is what each line of a reply must look like.
var replyLine = regexp.MustCompile(`^[2345][0-9][0-9][ -][^\r\n]*$`)

// sessionSeeds are sessions that get far, each with what must be said in it where every line is sent
// by itself.
var sessionSeeds = []struct{ input, said string }{
	{"EHLO x\r\nAUTH LOGIN\r\nYW5u\r\n*\r\nAUTH PLAIN AGFubgBzZWNyZXQ=\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n..\r\n.\r\nQUIT\r\n", "queued as"},
	{"EHLO x\r\nAUTH LOGIN\r\nYm9i\r\nc2VjcmV0\r\nMAIL FROM:<bob@example.com> SMTPUTF8\r\nRCPT TO:<c@d>\r\nBDAT 2 LAST\r\n\r\n", "queued as"},
	{"EHLO x\r\nAUTH LOGIN Ym9i\r\nc2VjcmV0\r\nMAIL FROM:<ann@example.com>\r\nMAIL FROM:<x@shop.example>\r\nRCPT TO:<c@d>\r\nDATA\r\nFrom: ann@example.com\r\n\r\n.\r\n", "550 5.7.1 "},
	{"EHLO x\r\nAUTH PLAIN\r\nAGFubgB3cm9uZw==\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nRCPT TO:<c@ours.example>\r\nBDAT 0 LAST\r\nRSET\r\n", "554 5.7.1 Relay access denied"},
	{"EHLO x\r\nAUTH SCRAM-SHA-256 biwsbj1zdWUscj1hYmM=\r\nYz1iaXdzLHI9YWJjLHA9QUFBQQ==\r\nAUTH SCRAM-SHA-256\r\nbiwsbj1hbm4scj1hYmM\r\n*\r\n", "501 5.0.0 Negotiation cancelled"},
	{"EHLO x\r\nAUTH SCRAM-SHA-256 biwsbj1zdWUscj1hYmM=\r\nYz1iaXdzLHI9YWJjLHA9QUFBQQ==\r\nAUTH PLAIN AHN1ZQBwZW5jaWw=\r\nMAIL FROM:<>\r\nRCPT TO:<c@d>\r\nBDAT 0 LAST\r\n", "queued as"},
	{"HELO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@ours.example>\r\nBDAT 3\r\nabcBDAT 2 LAST\r\ndeBDAT 99999999 LAST\r\nx", "250 2.0.0 Ok, more"},
	{"EHLO x\r\nXCLIENT ADDR=192.0.2.1 LOGIN=bob\r\nEHLO x\r\nMAIL FROM:<bob@example.com> SIZE=99999999999999999999\r\nBDAT 0 LAST\r\nSTARTTLS\r\nVRFY x\r\n", "552 5.3.4"},
	{"XCLIENT ADDR=192.0.2.1 LOGIN=bob HELO=spike\r\nEHLO x\r\nMAIL FROM:<bob@example.com>\r\nRCPT TO:<c@d>\r\nBDAT 0 LAST\r\nAUTH LOGIN\r\nXCLIENT LOGIN=[UNAVAILABLE]\r\n", "queued as"},
	{"XCLIENT ADDR=IPV6:2001:db8::9 LOGIN=bob\r\nEHLO x\r\nMAIL FROM:<ann@example.com>\r\nXCLIENT LOGIN=ann\r\nHELO x\r\nMAIL FROM:<bob@example.com>\r\n", "553 5.7.1 "},
	{"EHLO x\r\nAUTH PLAIN AGFubgBzZWNyZXQ=\r\nXCLIENT ADDR=127.0.0.1\r\nEHLO x\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n", "554 5.7.1 Relay access denied"},
}

// FuzzSession sends anything to a session, of a client that may authenticate and speak for others. It
// must end, without a panic, and every line it says must be one of a reply. What it takes is what it
// says it took, and comes from nobody who may not send it.
func FuzzSession(f *testing.F) {
	for _, d := range dialogues {
		var send strings.Builder
		send.WriteString("EHLO client.example\r\n")
		for line := range strings.SplitSeq(d.script, "\n") {
			if text, ok := strings.CutPrefix(strings.TrimLeft(line, "\t"), "C:"); ok {
				send.WriteString(strings.TrimPrefix(text, " ") + "\r\n")
			}
		}
		f.Add([]byte(send.String()))
	}
	for _, seed := range sessionSeeds {
		f.Add([]byte(seed.input))
	}
	o := openToAll(f)
	f.Fuzz(func(t *testing.T, input []byte) {
		o.judge(t, string(input), o.converse(t, strings.SplitAfterSeq(string(input), "\n")))
		o.judge(t, string(input), o.converse(t, slices.Values([]string{string(input)})))
	})
}

// TestSessionSeeds: what is fuzzed begins behind the doors that it is to be about.
func TestSessionSeeds(t *testing.T) {
	t.Parallel()
	o := openToAll(t)
	for _, seed := range sessionSeeds {
		said := o.converse(t, strings.SplitAfterSeq(seed.input, "\n"))
		o.judge(t, seed.input, said)
		if !strings.Contains(said, seed.said) {
			t.Errorf("%q: said was\n%s, want %q", seed.input, said, seed.said)
		}
	}
}

// opened is a house whose clients may authenticate and use XCLIENT, at pipes. Who is nobody may send
// to ours.example only.
type opened struct {
	*house
	at *pipes
}

// withSue is the line of a user whose password is "pencil", and who can use SCRAM (RFC 7677 section 3).
const withSue = "sue:SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=\n"

func openToAll(t testing.TB) *opened {
	o := &opened{house: newHouse(t), at: newPipes()}
	o.options.Limits.Errors, o.options.Limits.MessageSize = 1000, 1000
	o.options.Listeners[0].Auth = inbound.AuthOptional
	o.options.Listeners[0].XClient = loopback
	o.options.Users.File = usersFile(t)
	appendTo(t, o.options.Users.File, withSue)
	o.options.Users.FromHeader, o.options.Users.Delay, o.options.Users.Failures.N = true, -1, -1
	o.policy.OnRcpt = func(from *relay.Origin, _ *relay.Envelope, r relay.Recipient) *relay.Reply {
		return refusedIf(from.User == "" && r.Address.Domain != "ours.example", relay.NewReply(554, relay.EnhancedCode{5, 7, 1}, "Relay access denied"))
	}
	o.openAt(o.at).serve(t)
	return o
}

// serve is run for a house whose faults the test looks at itself.
func (h *house) serve(t testing.TB) {
	ctx, cancel := context.WithCancel(context.Background())
	go func() { h.ended <- h.server.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-h.ended })
}

// queuedAs are the names of the messages that were taken.
var queuedAs = regexp.MustCompile(`(?m)^250 2\.0\.0 Ok: queued as (\S+)\r$`)

// judge looks at a whole session: what came, what was said, and what is stored of it.
func (o *opened) judge(t *testing.T, input, said string) {
	t.Helper()
	for _, m := range o.judgeReplies(t, said) {
		if fault := unlawful(m, input, said); fault != "" {
			t.Errorf("%s: from %+v, %+v, and said was\n%s", fault, m.Origin, m.Envelope, said)
		}
	}
}

// judgeReplies takes out what is stored, which is what the replies, and no others, say.
func (o *opened) judgeReplies(t *testing.T, said string) []stored {
	t.Helper()
	for _, fault := range o.observer.AllFaults() {
		t.Errorf("%s: %v", fault.Doing, fault.Err)
	}
	for line := range strings.SplitSeq(strings.TrimSuffix(said, "\r\n"), "\r\n") {
		if said != "" && !replyLine.MatchString(line) {
			t.Errorf("%q was said", line)
		}
	}
	messages, names := o.spool.empty(), queuedAs.FindAllStringSubmatch(said, -1)
	if len(names) != len(messages) {
		t.Fatalf("%d messages are stored, and said was\n%s", len(messages), said)
	}
	for i, m := range messages {
		if names[i][1] != m.ID.String() {
			t.Errorf("message %d is stored as %s, and said was\n%s", i, m.ID, said)
		}
	}
	return messages
}

// unlawful says what is wrong about a message's having been taken, if anything.
func unlawful(m stored, input, said string) string {
	spokenFor := strings.Contains(strings.ToUpper(input), "XCLIENT")
	user, client := m.Origin.User, m.Origin.Client
	switch foreign := func(r relay.Recipient) bool { return r.Address.Domain != "ours.example" }; {
	case client != netip.MustParseAddr("127.0.0.1") && !spokenFor:
		return "a client that nobody named"
	case user != "" && !spokenFor && !(strings.Contains(said, "\r\n235 ") && slices.Contains([]string{"ann", "bob", "sue"}, user)):
		return "a user who has not authenticated"
	case user == "" && slices.ContainsFunc(m.Envelope.Recipients, foreign):
		return "relayed for nobody"
	}
	isBobs := func(a relay.Address) bool {
		return strings.EqualFold(a.String(), "bob@example.com") || a.Domain == "shop.example"
	}
	if sender := m.Envelope.Sender; user == "bob" && !sender.IsNull() && !isBobs(sender) {
		return "bob is somebody else"
	}
	from := strings.ToLower(strings.Join(strings.Fields(strings.Join(m.Fields("From"), "\n")), ""))
	plain := isASCII(from) && !strings.ContainsAny(from, "(\\\"") // and does not write an address in another way
	if user == "bob" && from != "" && plain && !strings.Contains(from, "bob@example.com") && !strings.Contains(from, "@shop.example") {
		return "bob writes as somebody else"
	}
	return ""
}

// converse sends one piece after another, a command each as clients that wait for replies do or all
// at once, and returns all that the server has to say until it hangs up.
func (o *opened) converse(t *testing.T, pieces iter.Seq[string]) string {
	t.Helper()
	said, err := converse(o.at, pieces)
	if err != nil {
		t.Fatalf("the session did not end: %v", err)
	}
	return said
}

func converse(at *pipes, pieces iter.Seq[string]) (string, error) {
	asked, asks := net.Pipe()
	answers, answered := net.Pipe()
	at.conns <- &halves{Conn: asked, out: answered}
	defer asks.Close()
	defer answers.Close()
	type heard struct {
		text string
		err  error
	}
	all := make(chan heard, 1)
	go func() {
		text, err := io.ReadAll(answers)
		all <- heard{string(text), err}
	}()
	for piece := range pieces {
		if _, err := io.WriteString(asks, piece); err != nil {
			break // it has hung up
		}
	}
	asks.Close()
	select {
	case h := <-all:
		return h.text, h.err
	case <-time.After(patience):
		return "", errors.New("it waits for more than there is")
	}
}

// halves is a connection from this host whose client can end what it sends and still listen.
type halves struct {
	net.Conn // what the client sends
	out      net.Conn
}

func (c *halves) Write(p []byte) (int, error)        { return c.out.Write(p) }
func (c *halves) SetWriteDeadline(t time.Time) error { return c.out.SetWriteDeadline(t) }
func (c *halves) Close() error                       { return errors.Join(c.Conn.Close(), c.out.Close()) }
func (c *halves) RemoteAddr() net.Addr               { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1000} }
