package inbound_test

import (
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"postrider/inbound"
	"postrider/relay"
)

// walkVariable has the seed of the only walk to be made, to repeat one that failed.
const walkVariable = "POSTRIDER_WALK"

// randomCommands walks at random, one command at a time and in pipelined groups, and
// compares every reply and every message with the model's. One walk is another each time.
func randomCommands(t *testing.T) {
	h, config := withTLS(t, inbound.TLSStartTLS)
	h.options.Limits = inbound.Limits{
		ConnectionsPerClient: 500, Errors: 1 << 20, Commands: 1 << 20, Recipients: modelRecipients, MessageSize: modelSize,
	}
	h.options.Users.Delay, h.options.Users.Failures.N = -1, -1
	h.policy.OnMail = func(_ *relay.Origin, e *relay.Envelope) *relay.Reply {
		return refusedIf(e.Sender.Local == "never", relay.NewReply(550, relay.EnhancedCode{5, 7, 1}, "Not you"))
	}
	h.policy.OnRcpt = func(_ *relay.Origin, _ *relay.Envelope, r relay.Recipient) *relay.Reply {
		return refusedIf(r.Address.Local == "later", relay.NewReply(450, relay.EnhancedCode{4, 2, 0}, "Not now"))
	}
	h.open().run()
	if seed, err := strconv.ParseUint(os.Getenv(walkVariable), 10, 64); err == nil {
		h.walk(seed, config)
		return
	}
	for seed := range uint64(40) {
		h.walk(seed, config)
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("the walk that is new has the seed %d: repeat it with %s=%[1]d", seed, walkVariable)
	h.walk(seed, config)
}

func (h *house) walk(seed uint64, config *tls.Config) {
	h.t.Helper()
	before := len(h.spool.all())
	w := &walker{h: h, config: config, seed: seed, m: &model{chance: rand.New(rand.NewPCG(seed, 0))}}
	most := 1 + int(seed%2)*7
	for n := 0; n < 400; {
		n += w.group(most)
	}
	if w.c != nil {
		w.c.conn.Close()
	}
	stored := h.spool.all()[before:]
	if got, want := len(stored), len(w.m.committed); got != want {
		h.t.Fatalf("seed %d: %d messages, want %d", seed, got, want)
	}
	for i, want := range w.m.committed {
		w.compare(stored[i], want)
	}
}

// walker is a client on a random walk.
type walker struct {
	h      *house
	config *tls.Config
	seed   uint64
	m      *model
	c      *client // nil between sessions
	said   strings.Builder
}

// group sends at once what a client may, and returns the number of its steps.
func (w *walker) group(most int) (n int) {
	w.h.t.Helper()
	w.meet()
	inClear := !w.m.tls
	var all step
	for range 1 + w.m.chance.IntN(most) {
		s := w.m.next()
		n++
		all.send, all.codes, all.then, all.thenCodes = all.send+s.send, all.codes+" "+s.codes, s.then, s.thenCodes
		if s.waits {
			break
		}
	}
	w.exchange(all.send, all.codes)
	if all.then != "" {
		w.exchange(all.then, all.thenCodes)
	}
	if inClear && w.m.tls {
		w.c.startTLS(w.config)
	}
	if w.m.over {
		if got := w.c.line(); got != "EOF" {
			w.h.t.Fatalf("seed %d: got %q after\n%s", w.seed, got, &w.said)
		}
		w.c.conn.Close()
		w.c = nil
	}
	return n
}

// meet begins a session where there is none. The model has no more of the last one than what was
// accepted.
func (w *walker) meet() {
	w.h.t.Helper()
	if w.c == nil {
		w.m = &model{chance: w.m.chance, letters: w.m.letters, committed: w.m.committed}
		w.c = w.h.dial()
		w.c.codes("220")
	}
}

func (w *walker) exchange(send, codes string) {
	w.h.t.Helper()
	fmt.Fprintf(&w.said, "%q -> %s\n", send, codes)
	w.c.send(send)
	for want := range strings.FieldsSeq(codes) {
		if got := w.c.reply(); !strings.HasPrefix(got, want) {
			w.h.t.Fatalf("seed %d: got %q after\n%s", w.seed, got, &w.said)
		}
	}
}

// compare holds a message that arrived to that which was sent.
func (w *walker) compare(got stored, want letter) {
	w.h.t.Helper()
	if !reflect.DeepEqual(got.Envelope, want.envelope) {
		w.h.t.Errorf("seed %d: %q has the envelope\n%+v, want\n%+v", w.seed, want.header, got.Envelope, want.envelope)
	}
	if o := got.Origin; o.User != want.user || o.Protocol != want.protocol || (o.TLS != "") != want.encrypted {
		w.h.t.Errorf("seed %d: %q is from user %q by %s, TLS %q; want %q by %s, TLS %t",
			w.seed, want.header, o.User, o.Protocol, o.TLS, want.user, want.protocol, want.encrypted)
	}
	if !strings.HasSuffix(string(got.Header), "\r\n"+want.header) || got.body != want.body {
		w.h.t.Errorf("seed %d: the message is %q%q, want %q%q", w.seed, got.Header, got.body, want.header, want.body)
	}
}

func refusedIf(refused bool, reply *relay.Reply) *relay.Reply {
	if refused {
		return reply
	}
	return nil
}
