package suppression_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"postrider/relay"
	"postrider/relay/relaytest"
	"postrider/relay/suppression"
)

const day = 24 * time.Hour

// open makes a list on notes, with terms that keep for 90 days if they say nothing else.
func open(t *testing.T, notes relay.Notes, terms suppression.Terms) *suppression.List {
	t.Helper()
	if terms.Keep == 0 {
		terms.Keep = 90 * day
	}
	l, err := suppression.New(context.Background(), suppression.Options{Terms: terms, Notes: notes, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func address(t *testing.T, text string) relay.Address {
	t.Helper()
	a, err := relay.ParseAddress(text)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// message is one from a sender, of a user.
func message(t *testing.T, from, user string) *relay.Message {
	m := &relay.Message{}
	m.Envelope.Sender, m.Origin.User = address(t, from), user
	return m
}

// refused is what became of a recipient whom a next hop refused.
func refused(t *testing.T, to string, reply relay.Reply) relay.Outcome {
	return relay.Outcome{Recipient: relay.Recipient{Address: address(t, to)}, Status: relay.Bounced, Reply: reply, Host: "mx.two.test"}
}

// noUser is the reply that suppresses.
func noUser() relay.Reply {
	return relay.Reply{Code: 550, Enhanced: relay.EnhancedCode{5, 1, 1}, Text: "No such user", Class: relay.ClassUser}
}

func bounce(t *testing.T, l *suppression.List, from, to string) {
	t.Helper()
	l.Feeder().Attempted(relay.Attempted{Message: message(t, from, ""), Outcomes: []relay.Outcome{refused(t, to, noUser())}})
}

// answer is what a client is told.
func answer(t *testing.T, l *suppression.List, from, user, to string) string {
	t.Helper()
	reply := l.Suppressed(message(t, from, user), address(t, to))
	if reply == nil {
		return ""
	}
	return reply.String()
}

// What a next hop says of a recipient for good suppresses that one, and nothing else does.
func TestFeeder(t *testing.T) {
	t.Parallel()
	base := func(change func(*relay.Outcome)) []relay.Outcome {
		o := refused(t, "Bob@Two.test", noUser())
		change(&o)
		return []relay.Outcome{o}
	}
	tests := []struct {
		name     string
		from     string
		outcomes []relay.Outcome
		want     bool
	}{
		{"no such user", "ann@one.test", base(func(*relay.Outcome) {}), true},
		{"by text alone", "ann@one.test", base(func(o *relay.Outcome) { o.Reply.Enhanced, o.Reply.Text = relay.EnhancedCode{}, "User unknown" }), true},
		{"a notice", "", base(func(*relay.Outcome) {}), false},
		{"deferred", "ann@one.test", base(func(o *relay.Outcome) { o.Status = relay.Deferred }), false},
		{"expired", "ann@one.test", base(func(o *relay.Outcome) { o.Status, o.Reply.Code = relay.Expired, 450 }), false},
		{"delivered", "ann@one.test", base(func(o *relay.Outcome) { o.Status, o.Reply.Code = relay.Delivered, 250 }), false},
		{"an operator's bounce", "ann@one.test", base(func(o *relay.Outcome) { o.Host = "" }), false},
		{"the sender's address", "ann@one.test", base(func(o *relay.Outcome) { o.Reply.Text = "Sender address unknown" }), false},
		{"the sender's address by code", "ann@one.test", base(func(o *relay.Outcome) { o.Reply.Enhanced = relay.EnhancedCode{5, 1, 8} }), false},
		{"too long for this mailbox", "ann@one.test", base(func(o *relay.Outcome) { o.Reply.Enhanced = relay.EnhancedCode{5, 2, 3} }), false},
		{"the postmaster", "ann@one.test", base(func(o *relay.Outcome) { o.Recipient.Address.Local = "PostMaster" }), false},
		{"one reply for two", "ann@one.test", []relay.Outcome{refused(t, "bob@two.test", noUser()), refused(t, "cid@two.test", noUser())}, false},
		{"one of two", "ann@one.test", []relay.Outcome{refused(t, "bob@two.test", noUser()), {Status: relay.Delivered, Reply: relay.Reply{Code: 250}}}, true},
	}
	for _, word := range append(relay.ClassWords(), "") {
		var class relay.Class
		if err := class.UnmarshalText([]byte(word)); err != nil {
			t.Fatal(err)
		}
		if class != relay.ClassUser {
			tests = append(tests, tests[0])
			last := &tests[len(tests)-1]
			last.name, last.outcomes, last.want = "class "+word, base(func(o *relay.Outcome) { o.Reply.Class = class }), false
		}
	}
	for _, tt := range tests {
		l := open(t, &relaytest.Notes{}, suppression.Terms{})
		l.Feeder().Attempted(relay.Attempted{Message: message(t, tt.from, ""), Outcomes: tt.outcomes})
		if got := len(l.Entries("")) == 1; got != tt.want {
			t.Errorf("%s: suppressed %v, want %v", tt.name, got, tt.want)
		}
	}
}

// A client is told why and since when; notices and other letter case make no difference; in the end
// mail goes through again, unless there was another refusal.
func TestSuppressed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := open(t, &relaytest.Notes{}, suppression.Terms{Keep: 10 * day})
		bounce(t, l, "ann@one.test", "bob@two.test")
		since := time.Now().UTC().Format(time.DateOnly)
		want := "550 5.1.1 Recipient suppressed here since " + since + ", because mx.two.test said: 550 5.1.1 No such user"
		for _, tt := range []struct{ from, to, want string }{
			{"ann@one.test", "bob@two.test", want},
			{"eve@three.test", "BOB@Two.test", want},
			{"ann@one.test", "cid@two.test", ""},
			{"", "bob@two.test", ""},
		} {
			if got := answer(t, l, tt.from, "", tt.to); got != tt.want {
				t.Errorf("from %q to %q: %q, want %q", tt.from, tt.to, got, tt.want)
			}
		}
		time.Sleep(9 * day)
		bounce(t, l, "ann@one.test", "bob@two.test") // of what was queued before
		time.Sleep(9 * day)
		if got := answer(t, l, "ann@one.test", "", "bob@two.test"); got != want {
			t.Errorf("after another refusal: %q, want %q", got, want)
		}
		time.Sleep(day)
		if got := answer(t, l, "ann@one.test", "", "bob@two.test"); got != "" {
			t.Errorf("at the end: %q", got)
		}
	})
}

func TestScopes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ scope, user, want string }{
		{"", "shop", "global"},
		{suppression.ScopeGlobal, "shop", "global"},
		{suppression.ScopeDomain, "shop", "domain:one.test"},
		{suppression.ScopeUser, "shop", "user:shop"},
		{suppression.ScopeUser, "", "domain:one.test"},
	} {
		l := open(t, &relaytest.Notes{}, suppression.Terms{Scope: tt.scope})
		l.Feeder().Attempted(relay.Attempted{Message: message(t, "ann@one.test", tt.user), Outcomes: []relay.Outcome{refused(t, "bob@two.test", noUser())}})
		got := l.Entries("*@two.test")
		if len(got) != 1 || got[0].Scope != tt.want {
			t.Fatalf("scope %q, user %q: %v, want %s", tt.scope, tt.user, got, tt.want)
		}
		if answer(t, l, "zoe@one.test", tt.user, "bob@two.test") == "" {
			t.Errorf("%s: mail of the same sender is let through", tt.want)
		}
		if others := answer(t, l, "eve@three.test", "eve", "bob@two.test"); (others != "") != (tt.want == "global") {
			t.Errorf("%s: others are answered %q", tt.want, others)
		}
	}
}

// Terms hold from their change on; a list that is off keeps what it has, and takes nothing.
func TestReload(t *testing.T) {
	t.Parallel()
	l := open(t, &relaytest.Notes{}, suppression.Terms{})
	bounce(t, l, "ann@one.test", "bob@two.test")
	l.Reload(suppression.Terms{})
	bounce(t, l, "ann@one.test", "cid@two.test")
	if got := answer(t, l, "ann@one.test", "", "bob@two.test"); got != "" || len(l.Entries("")) != 1 {
		t.Errorf("off: answered %q, %d entries", got, len(l.Entries("")))
	}
	if _, err := l.Add(t.Context(), []suppression.Entry{{Address: "d@two.test", Author: "op", Reason: "r"}}, false); !errors.Is(err, suppression.ErrOff) {
		t.Errorf("off: added with the error %v", err)
	}
	l.Reload(suppression.Terms{Keep: day})
	if answer(t, l, "ann@one.test", "", "bob@two.test") == "" {
		t.Error("on again: let through")
	}
}

// A list that is full drops what next hops have said, the oldest of it, and never what operators have.
func TestFull(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := open(t, &relaytest.Notes{}, suppression.Terms{Most: 3})
		add := func(to string) error {
			_, err := l.Add(context.Background(), []suppression.Entry{{Address: to, Author: "op", Reason: "asked for it"}}, false)
			return err
		}
		if err := add("op1@two.test"); err != nil {
			t.Fatal(err)
		}
		for i := range 5 {
			bounce(t, l, "ann@one.test", fmt.Sprintf("b%d@two.test", i))
			time.Sleep(time.Second)
		}
		if got, want := addresses(l), []string{"b3@two.test", "b4@two.test", "op1@two.test"}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		for _, to := range []string{"op2@two.test", "op3@two.test"} {
			if err := add(to); err != nil {
				t.Fatal(err)
			}
		}
		if err := add("op4@two.test"); !errors.Is(err, suppression.ErrFull) {
			t.Errorf("full: %v", err)
		}
		bounce(t, l, "ann@one.test", "b9@two.test")
		if got := len(addresses(l)); got != 3 || slices.Contains(addresses(l), "b9@two.test") {
			t.Errorf("full of operators' entries: %q", addresses(l))
		}
	})
}

func addresses(l *suppression.List) []string {
	var all []string
	for _, e := range l.Entries("") {
		all = append(all, e.Address)
	}
	return all
}

// What is on the list is there after a restart, and what was taken off is not.
func TestKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		notes := &relaytest.Notes{}
		l := open(t, notes, suppression.Terms{})
		ctx, stop := context.WithCancel(context.Background())
		ended := make(chan error)
		go func() { ended <- l.Run(ctx) }()
		bounce(t, l, "ann@one.test", "bob@two.test")
		synctest.Wait()
		if got := addresses(open(t, notes, suppression.Terms{})); !slices.Equal(got, []string{"bob@two.test"}) {
			t.Errorf("after a crash: %q", got)
		}
		entries := []suppression.Entry{{Address: "cid@two.test", Scope: "user:shop", Author: "op", Reason: "left", Until: time.Now().Add(time.Hour)}, {Address: "dan@two.test", Author: "op", Reason: "left"}}
		if tally, err := l.Add(ctx, entries, false); err != nil || tally != (suppression.Tally{Changed: 2}) {
			t.Errorf("add: %+v, %v", tally, err)
		}
		if tally, err := l.Remove(ctx, []string{"BOB@two.test", "nobody@two.test"}, "", false); err != nil || tally != (suppression.Tally{Changed: 1, Unchanged: 1}) {
			t.Errorf("remove: %+v, %v", tally, err)
		}
		if got, want := open(t, notes, suppression.Terms{}).Entries(""), l.Entries(""); len(got) != 2 || !slices.Equal(got, want) {
			t.Errorf("after a crash: %+v, want %+v", got, want)
		}
		time.Sleep(3 * time.Hour)
		if got := addresses(open(t, notes, suppression.Terms{})); !slices.Equal(got, []string{"dan@two.test"}) {
			t.Errorf("after the end of one: %q", got)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// failing are notes that cannot be written while they are broken.
type failing struct {
	relaytest.Notes
	broken atomic.Bool
}

func (f *failing) Remember(ctx context.Context, notes ...relay.Note) error {
	if f.broken.Load() {
		return errors.New("the disk is broken")
	}
	return f.Notes.Remember(ctx, notes...)
}

// What cannot be written is in force all the same, is told of, and is written later.
func TestWrittenLater(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		notes := &failing{}
		notes.broken.Store(true)
		observer := &relaytest.Observer{}
		l, err := suppression.New(context.Background(), suppression.Options{Terms: suppression.Terms{Keep: day}, Notes: notes, Now: time.Now, Fault: observer.Faulted})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(context.Background())
		go l.Run(ctx)
		bounce(t, l, "ann@one.test", "bob@two.test")
		synctest.Wait()
		if answer(t, l, "ann@one.test", "", "bob@two.test") == "" || len(observer.AllFaults()) != 1 {
			t.Errorf("let through, or %d faults, want 1", len(observer.AllFaults()))
		}
		notes.broken.Store(false)
		time.Sleep(time.Minute)
		if got := len(open(t, notes, suppression.Terms{}).Entries("")); got != 1 {
			t.Errorf("%d written, want 1", got)
		}
		stop()
		synctest.Wait()
	})
}

// What makes no sense is refused as a whole, and a dry run changes nothing.
func TestAdd(t *testing.T) {
	t.Parallel()
	l := open(t, &relaytest.Notes{}, suppression.Terms{})
	good := suppression.Entry{Address: "Bob@Two.test", Author: "op", Reason: "asked\r\nfor it"}
	for name, change := range map[string]func(*suppression.Entry){
		"address":    func(e *suppression.Entry) { e.Address = "bob" },
		"null":       func(e *suppression.Entry) { e.Address = "" },
		"postmaster": func(e *suppression.Entry) { e.Address = "Postmaster@two.test" },
		"scope":      func(e *suppression.Entry) { e.Scope = "domain:" },
		"scope word": func(e *suppression.Entry) { e.Scope = "all" },
		"author":     func(e *suppression.Entry) { e.Author = "" },
		"reason":     func(e *suppression.Entry) { e.Reason = " \n" },
	} {
		bad := good
		change(&bad)
		if _, err := l.Add(t.Context(), []suppression.Entry{good, bad}, false); !errors.Is(err, suppression.ErrEntry) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if tally, err := l.Add(t.Context(), []suppression.Entry{good}, true); err != nil || tally.Changed != 1 || len(l.Entries("")) != 0 {
		t.Errorf("dry: %+v, %v, %d entries", tally, err, len(l.Entries("")))
	}
	for i, want := range []suppression.Tally{{Changed: 1}, {Unchanged: 1}} {
		if tally, err := l.Add(t.Context(), []suppression.Entry{good}, false); err != nil || tally != want {
			t.Errorf("%d: %+v, %v, want %+v", i, tally, err, want)
		}
	}
	if got := answer(t, l, "ann@one.test", "", "bob@two.test"); !strings.HasPrefix(got, "550 5.7.1 Recipient suppressed here since ") || !strings.HasSuffix(got, ": asked for it") {
		t.Errorf("answered %q", got)
	}
}

// Whatever a next hop says, the answer to clients is one line of ASCII within bounds.
func FuzzReply(f *testing.F) {
	f.Add("No such user\r\n250 Ok", "bob@two.test")
	f.Add(strings.Repeat("ä", 1000), "\"a|b\"@two.test")
	f.Fuzz(func(t *testing.T, text, to string) {
		a, err := relay.ParseAddress(to)
		if err != nil || a.IsNull() {
			return
		}
		l := open(t, &relaytest.Notes{}, suppression.Terms{})
		reply := noUser()
		reply.Text = text
		m := message(t, "ann@one.test", "")
		l.Feeder().Attempted(relay.Attempted{Message: m, Outcomes: []relay.Outcome{{
			Recipient: relay.Recipient{Address: a}, Status: relay.Bounced, Reply: reply, Host: text,
		}}})
		if said := l.Suppressed(m, a); said != nil {
			if got := said.String(); len(got) > 500 || strings.ContainsFunc(got, func(r rune) bool { return r < ' ' || r >= 0x7f }) {
				t.Errorf("answered %q", got)
			}
		}
	})
}
