package auth_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"postrider/inbound/auth"
)

func TestGuessing(t *testing.T) {
	t.Parallel()
	const network, user, wrong = "421 4.7.0", "454 4.7.0", "535 5.7.8"
	address := netip.MustParseAddr
	type step struct {
		from           string
		user, password string
		times          int
		want           string
	}
	for _, test := range []struct {
		name  string
		steps []step
	}{
		{"a network that guesses is not heard, others are", []step{
			{"192.0.2.1", "ann", "x", 3, wrong}, {"192.0.2.1", "ann", "secret", 1, network}, {"192.0.2.2", "bob", "secret", 1, "bob"},
		}},
		{"names in turn do not help", []step{
			{"192.0.2.1", "u1", "x", 1, wrong}, {"192.0.2.1", "u2", "x", 1, wrong}, {"192.0.2.1", "u3", "x", 1, wrong}, {"192.0.2.1", "bob", "secret", 1, network},
		}},
		{"networks in turn do not help", []step{
			{"192.0.2.1", "ann", "x", 1, wrong}, {"192.0.2.2", "ann", "x", 1, wrong}, {"192.0.2.3", "ann", "x", 1, wrong},
			{"192.0.2.4", " ANN", "x", 1, user}, {"192.0.2.4", "ann", "secret", 1, user}, {"192.0.2.4", "bob", "secret", 1, "bob"},
		}},
		{"names that do not exist are limited alike", []step{
			{"192.0.2.1", "eve", "x", 1, wrong}, {"192.0.2.2", "eve", "x", 1, wrong}, {"192.0.2.3", "eve", "x", 1, wrong}, {"192.0.2.4", "eve", "x", 1, user},
		}},
		{"an IPv6 network is one client", []step{
			{"2001:db8::1", "ann", "x", 1, wrong}, {"2001:db8::2", "eve", "x", 1, wrong}, {"2001:db8::3", "u1", "x", 1, wrong},
			{"2001:db8::4", "bob", "secret", 1, network}, {"2001:db8:0:1::1", "bob", "secret", 1, "bob"},
		}},
		{"who has got in before is not locked out by others", []step{
			{"192.0.2.1", "ann", "secret", 1, "ann"}, {"192.0.2.1", "bob", "x", 3, wrong}, {"192.0.2.1", "eve", "x", 1, network},
			{"192.0.2.1", "ann", "secret", 1, "ann"}, {"192.0.2.7", "ann", "x", 3, wrong}, {"192.0.2.1", "ann", "secret", 1, "ann"},
			{"192.0.2.1", "ann", "x", 3, wrong}, {"192.0.2.1", "ann", "x", 1, user},
		}},
		{"success forgives", []step{
			{"192.0.2.1", "ann", "x", 2, wrong}, {"192.0.2.1", "ann", "secret", 1, "ann"}, {"192.0.2.1", "bob", "x", 2, wrong}, {"192.0.2.1", "bob", "secret", 1, "bob"},
		}},
		{"a good account does not buy guesses at others", []step{
			{"192.0.2.1", "bob", "secret", 1, "bob"}, {"192.0.2.1", "ann", "x", 2, wrong}, {"192.0.2.1", "bob", "secret", 1, "bob"},
			{"192.0.2.1", "ann", "x", 1, wrong}, {"192.0.2.1", "ann", "x", 1, network},
		}},
		{"empty passwords are guesses", []step{{"192.0.2.1", "ann", "", 3, wrong}, {"192.0.2.1", "ann", "", 1, network}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newRoom(t, "ann:"+cheap(t, "secret"), "bob:"+cheap(t, "secret"))
			r.options.Failures = auth.Rate{N: 3, Per: time.Hour}
			now := time.Now()
			r.options.Now = func() time.Time { return now }
			r.open()
			for i, s := range test.steps {
				for range s.times {
					if got := r.loginFrom(address(s.from), s.user, s.password); got != s.want {
						t.Fatalf("step %d: got %s, want %s", i, got, s.want)
					}
				}
			}
		})
	}
}

// Time lets guessers try again, and SCRAM counts like everything else.
func TestGuessingSlows(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRoom(t, "ann:"+made(t, auth.SchemeSCRAM, "secret"))
		r.options.Failures = auth.Rate{N: 9, Per: 9 * time.Hour}
		r.options.Delay = 100 * time.Millisecond
		r.open()
		began := time.Now()
		var waits []time.Duration
		for i := range 9 {
			at, try := time.Now(), r.login
			if i%2 == 1 {
				try = func(user, password string) string { return r.scramWith(user, "", password) }
			}
			if got := try("ann", "x"); got != "535 5.7.8" {
				t.Fatalf("try %d: got %s", i, got)
			}
			waits = append(waits, time.Since(at).Round(time.Millisecond))
		}
		if got, want := fmt.Sprint(waits), "[100ms 200ms 400ms 800ms 1.6s 3.2s 6.4s 10s 10s]"; got != want {
			t.Errorf("waits %s, want %s", got, want)
		}
		for _, try := range []string{r.login("ann", "secret"), r.scramWith("ann", "", "secret")} {
			if try != "421 4.7.0" {
				t.Errorf("after too many: got %s", try)
			}
		}
		time.Sleep(2*time.Hour - time.Since(began))
		if got := r.login("ann", "secret"); got != "ann" {
			t.Errorf("two hours later: got %s", got)
		}
	})
}

// A client that goes away does not keep us waiting.
func TestDelayEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRoom(t, "ann:"+cheap(t, "secret"))
		r.options.Delay = time.Hour
		r.open()
		ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
		defer cancel()
		began := time.Now()
		x, _ := r.Begin(auth.Plain, home, "main")
		x.Next(ctx, []byte("\x00ann\x00x"))
		if waited := time.Since(began); waited != time.Millisecond {
			t.Errorf("waited %v", waited)
		}
	})
}

// Many attempts at once get few more guesses than one after the other.
func TestGuessingAtOnce(t *testing.T) {
	t.Parallel()
	r := newRoom(t, "ann:"+cheap(t, "secret"))
	r.options.Failures = auth.Rate{N: 5, Per: 1000 * time.Hour}
	r.open()
	var mu sync.Mutex
	var wg sync.WaitGroup
	answers := map[string]int{}
	for i := range 200 {
		wg.Go(func() {
			got := r.login("ann", fmt.Sprint("guess", i))
			mu.Lock()
			defer mu.Unlock()
			answers[got]++
		})
	}
	wg.Wait()
	// Each of the slots, of which there is one a processor, may have one more under way.
	if n := answers["535 5.7.8"]; n < 5 || n > 5+64 || n+answers["421 4.7.0"] != 200 {
		t.Errorf("answers %v", answers)
	}
}

// The memory of failures is bounded, whatever names are tried.
func TestFailuresBounded(t *testing.T) {
	t.Parallel()
	r := newRoom(t) // nobody, so that an attempt costs nothing
	r.open()
	for i := range 21_000 { // each has a network, a user and both
		client := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		if got := r.loginFrom(client, fmt.Sprint(i)+strings.Repeat("x", 240), "x"); got != "535 5.7.8" {
			t.Fatalf("got %s", got)
		}
	}
	if n := auth.Counted(r.Authority); n > 60_000 || n < 59_000 {
		t.Errorf("%d are remembered", n)
	}
}
