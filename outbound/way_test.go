package outbound_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"postrider/outbound"
	"postrider/outbound/outboundtest"
	"postrider/relay"
)

// diversions records what a Transport tells of them.
type diversions struct {
	mu  sync.Mutex
	all []string
}

func (d *diversions) add(v outbound.Diversion) {
	d.mu.Lock()
	defer d.mu.Unlock()
	what := "back"
	if !v.Until.IsZero() {
		what = "left " + v.Reply.Class.String()
	}
	d.all = append(d.all, strings.TrimSpace(v.From.String()+" "+what))
}

func (d *diversions) String() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return strings.Join(d.all, ", ")
}

// twoWays is a route to the first peer that falls back to a route to the second.
func twoWays(t *testing.T, c *clock, first, second *outboundtest.Peer) (*outbound.Transport, *diversions) {
	t.Helper()
	var told diversions
	return newTransport(t, outbound.Options{
		Hostname: "relay.test", Now: c.time, Diverted: told.add,
		Routes: []outbound.Route{
			{Name: routeSmart, Hosts: []string{first.Addr()}, TLS: outbound.TLSNone, Fallback: []string{"spare"},
				Auth: &outbound.Credentials{User: "u", Password: "p"}, PlainAuth: true},
			{Name: "spare", Hosts: []string{second.Addr()}, TLS: outbound.TLSNone},
		},
	}, nil), &told
}

// users is a script with the user that twoWays authenticates as.
func users(s outboundtest.Script) outboundtest.Script {
	s.Users = map[string]string{"u": "p"}
	return s
}

// siteNow says where mail of the route goes now.
func siteNow(t *testing.T, tr *outbound.Transport, first *outboundtest.Peer) string {
	t.Helper()
	if strings.HasPrefix(resolve(t, tr, relay.Destination{Route: routeSmart}).Key, first.Addr()) {
		return "first"
	}
	return "second"
}

// A first way that gives no session is led around, and tried again when its time is up.
func TestFallbackDial(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		first outboundtest.Script
		class string
		// before and after are times at which the first is left alone, and is tried again.
		before, after time.Duration
	}{
		{"421", answers("greeting", "421 4.3.2 busy"), "host", 29 * time.Second, 30 * time.Second},
		{"login", users(answers("AUTH", "535 5.7.8 no")), "auth", 59 * time.Second, time.Minute},
		{"login later", users(answers("AUTH", "454 4.7.0 later")), "", 29 * time.Second, 30 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := newClock()
			first, second := outboundtest.NewPeer(t, tt.first), outboundtest.NewPeer(t, outboundtest.Script{})
			tr, told := twoWays(t, c, first, second)
			site := resolve(t, tr, relay.Destination{Route: routeSmart})
			if site.Moved() {
				t.Error("moved before anything happened")
			}
			dialFault(t, tr)
			if !site.Moved() || siteNow(t, tr, first) != "second" {
				t.Error("the first is not led around")
			}
			wantCodes(t, deliver(t, dial(t, tr), transfer("x\r\n", "a@to.test")), "250")
			if got := recipients(second); got != "a@to.test" {
				t.Errorf("the second took mail for %q", got)
			}
			if want := "smart left " + tt.class; !strings.HasPrefix(told.String(), strings.TrimSpace(want)) {
				t.Errorf("told %q, want %q", told, want)
			}
			spare := resolve(t, tr, relay.Destination{Route: routeSmart})
			c.pass(tt.before)
			if spare.Moved() {
				t.Errorf("the first is tried again after %s", tt.before)
			}
			c.pass(tt.after - tt.before)
			first.SetScript(users(outboundtest.Script{}))
			if !spare.Moved() || siteNow(t, tr, first) != "first" {
				t.Errorf("the first is not tried again after %s", tt.after)
			}
			wantCodes(t, deliver(t, dial(t, tr), transfer("x\r\n", "b@to.test")), "250")
			if got := recipients(first); got != "b@to.test" || !strings.HasSuffix(told.String(), "smart back") {
				t.Errorf("the first took mail for %q; told %q", got, told)
			}
		})
	}
}

// What the first refuses for now before the end of the message, the second is given in the same
// attempt; of what comes after it, nobody else hears.
func TestFallbackInAttempt(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name           string
		first          outboundtest.Script
		want           string
		second, moveTo string
	}{
		{"T06 MAIL 4xx", answers("MAIL", "451 4.3.0 later"), "250", "a@to.test", "first"},
		{"T06 RCPT 4xx", answers("RCPT", "450 4.2.0 later"), "250", "a@to.test", "first"},
		{"T06 DATA 4xx", answers("DATA", "451 4.3.0 later"), "250", "a@to.test", "first"},
		{"T06 RCPT 4xx with BDAT", withChunking(answers("RCPT", "450 4.2.0 later")), "250", "a@to.test", "first"},
		{"BDAT 4xx", withChunking(answers("BDAT", "451 4.3.0 later")), "451", "", "first"},
		{"T07 MAIL 421", answers("MAIL", "421 4.3.2 bye"), "250 setback", "a@to.test", "second"},
		{"T07 RCPT 421", answers("RCPT", "421 4.3.2 bye"), "250 setback", "a@to.test", "second"},
		{"T08 drop at DATA", outboundtest.Script{On: outboundtest.At(outboundtest.DATA, outboundtest.Action{Drop: true})}, "250 setback", "a@to.test", "second"},
		{"rate", answers("MAIL", "450 4.7.28 rate limit exceeded"), "250 setback", "a@to.test", "second"},
		{"MAIL 5xx", answers("MAIL", "550 5.7.1 no"), "550", "", "first"},
		{"dot 4xx", answers("dot", "451 4.3.0 later"), "451", "", "first"},
		{"dot 421", answers("dot", "421 4.3.0 later"), "421 setback", "", "second"},
		{"dot lost", outboundtest.Script{On: outboundtest.At(outboundtest.Dot, outboundtest.Action{Drop: true})}, "451 ambiguous", "", "first"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			first, second := outboundtest.NewPeer(t, users(tt.first)), outboundtest.NewPeer(t, outboundtest.Script{})
			tr, _ := twoWays(t, newClock(), first, second)
			wantCodes(t, deliver(t, dial(t, tr), transfer("x\r\n", "a@to.test")), tt.want)
			if got := recipients(second); got != tt.second {
				t.Errorf("the second took mail for %q, want %q", got, tt.second)
			}
			if got := siteNow(t, tr, first); got != tt.moveTo {
				t.Errorf("mail goes to the %s now, want the %s", got, tt.moveTo)
			}
		})
	}
}

// A first way that refuses again and again is left after the second time, and longer each time;
// that it is good for sessions does not count, that it takes a message does.
func TestFallbackRefusals(t *testing.T) {
	t.Parallel()
	c := newClock()
	first, second := outboundtest.NewPeer(t, users(answers("MAIL", "451 4.3.0 later"))), outboundtest.NewPeer(t, outboundtest.Script{})
	tr, told := twoWays(t, c, first, second)
	for i, want := range []struct {
		wait time.Duration
		site string
	}{{0, "first"}, {0, "second"}, {30 * time.Second, "first"}, {0, "second"}, {30 * time.Second, "second"}, {30 * time.Second, "first"}} {
		c.pass(want.wait)
		if siteNow(t, tr, first) == "first" {
			wantCodes(t, deliver(t, dial(t, tr), transfer("x\r\n", "a@to.test")), "250")
		}
		if i != 2 && i != 5 {
			if got := siteNow(t, tr, first); got != want.site {
				t.Errorf("step %d: the %s, want the %s (%s)", i, got, want.site, told)
			}
		}
	}
	c.pass(time.Hour)
	first.SetScript(users(outboundtest.Script{}))
	wantCodes(t, deliver(t, dial(t, tr), transfer("x\r\n", "b@to.test")), "250")
	if got := recipients(first); got != "b@to.test" || !strings.HasSuffix(told.String(), "smart back") {
		t.Errorf("the first took mail for %q; told %q", got, told)
	}
}

// While all ways are left alone, a try of one finds out about the others, and credentials that were
// refused are not tried out of turn.
func TestFallbackNowhere(t *testing.T) {
	t.Parallel()
	c := newClock()
	busy := answers("greeting", "421 4.3.2 busy")
	first, second := outboundtest.NewPeer(t, users(answers("AUTH", "535 5.7.8 no"))), outboundtest.NewPeer(t, busy)
	tr, _ := twoWays(t, c, first, second)
	dialFault(t, tr)
	for range 5 {
		dialFault(t, tr)
	}
	if n := len(first.Sessions()); n != 1 {
		t.Errorf("%d sessions with a host that refuses the credentials, want 1", n)
	}
	if got := siteNow(t, tr, first); got != "second" {
		t.Errorf("the %s is tried, want the second, which is left for less", got)
	}
	second.SetScript(outboundtest.Script{})
	wantCodes(t, deliver(t, dial(t, tr), transfer("x\r\n", "a@to.test")), "250")

	first, second = outboundtest.NewPeer(t, busy), outboundtest.NewPeer(t, busy)
	tr, _ = twoWays(t, c, first, second)
	site := resolve(t, tr, relay.Destination{Route: routeSmart})
	dialFault(t, tr)
	dialFault(t, tr)
	second.SetScript(outboundtest.Script{})
	if _, err := tr.Dial(t.Context(), site); err == nil {
		t.Error("the first answers")
	}
	if got := siteNow(t, tr, first); got != "second" || !site.Moved() {
		t.Errorf("the %s is tried, want the second, which is good again", got)
	}
}

// Domains that cannot be reached by MX go to the fallback, others do not; what DNS is certain of bounces.
func TestFallbackMX(t *testing.T) {
	t.Parallel()
	d := outboundtest.NewDNS(t, "dead.test. 60 IN MX 10 mx.dead.test.", "mx.dead.test. 60 IN A 127.0.0.9",
		"alive.test. 60 IN MX 10 mx.alive.test.", "mx.alive.test. 60 IN A 127.0.0.1", "null.test. 60 IN MX 0 .")
	d.Fail("broken.test", outboundtest.Fault{Rcode: outboundtest.ServFail})
	alive, spare := outboundtest.NewPeer(t, outboundtest.Script{}), outboundtest.NewPeer(t, outboundtest.Script{})
	tr := internet(t, d, func(o *outbound.Options) {
		o.MXPort = alive.Port()
		o.Routes[0].Fallback = []string{"spare"}
		o.Routes = append(o.Routes, outbound.Route{Name: "spare", Hosts: []string{spare.Addr()}, TLS: outbound.TLSNone})
	})
	for _, tt := range []struct{ domain, want string }{{"dead.test", "spare"}, {"broken.test", "spare"}, {"alive.test", "alive"}, {"null.test", "556"}} {
		to := relay.Destination{Route: routeMX, Domain: tt.domain}
		site, err := tr.Resolve(t.Context(), to)
		if err == nil && tt.domain == "dead.test" {
			if _, err := tr.Dial(t.Context(), site); err == nil {
				t.Fatal("the dead one answers")
			}
			site, err = tr.Resolve(t.Context(), to)
		}
		got := ""
		switch {
		case err != nil:
			got = fmt.Sprint(asReply(t, err).Code)
		case strings.HasPrefix(site.Key, spare.Addr()):
			got = "spare"
		case strings.HasPrefix(site.Key, "mx.alive.test"):
			got = "alive"
		}
		if got != tt.want {
			t.Errorf("%s goes to %q, want %q", tt.domain, got, tt.want)
		}
	}
}

// A host of several that says nothing is known for it, though it was not its own deadline that
// ended the wait: the next session is with another one.
func TestFallbackSilentHost(t *testing.T) {
	t.Parallel()
	silent := outboundtest.NewPeer(t, outboundtest.Script{On: outboundtest.At(outboundtest.Greeting, outboundtest.Action{Hang: true})})
	good, spare := outboundtest.NewPeer(t, outboundtest.Script{}), outboundtest.NewPeer(t, outboundtest.Script{})
	tr := newTransport(t, outbound.Options{Hostname: "relay.test", Routes: []outbound.Route{
		{Name: routeSmart, Hosts: []string{silent.Addr(), good.Addr()}, TLS: outbound.TLSNone, Fallback: []string{"spare"}},
		{Name: "spare", Hosts: []string{spare.Addr()}, TLS: outbound.TLSNone},
	}}, nil)
	site := resolve(t, tr, relay.Destination{Route: routeSmart})
	within, cancel := context.WithTimeout(t.Context(), faultTimeout)
	defer cancel()
	if _, err := tr.Dial(within, site); err == nil {
		t.Fatal("the silent one answers")
	}
	c, err := tr.Dial(t.Context(), site)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	wantCodes(t, deliver(t, c, transfer("x\r\n", "a@to.test")), "250")
	if got := recipients(good); got != "a@to.test" {
		t.Errorf("the good one took mail for %q", got)
	}
}

func TestFallbackOptions(t *testing.T) {
	t.Parallel()
	for fallback, want := range map[string]string{"a": "to itself", "gone": "which there is not", "mx": "no hosts of its own"} {
		_, err := outbound.New(outbound.Options{Hostname: "relay.test", Routes: []outbound.Route{
			{Name: "a", Hosts: []string{"192.0.2.1"}, Fallback: []string{fallback}}, {Name: "mx", MX: true},
		}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", fallback, err, want)
		}
	}
}
