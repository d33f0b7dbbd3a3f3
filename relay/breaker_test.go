package relay_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postrider/relay"
)

// A service that fails is left alone after some failures in a row, then asked by one for all, and by
// everybody once it answers. What happens is told once.
func TestBreaker(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var told []string
		b := relay.NewBreaker(relay.BreakerOptions{Name: "svc", Failures: 3, First: time.Second, Most: 3 * time.Second, Changed: func(name string, cause error) {
			told = append(told, name+": "+map[bool]string{true: "back", false: "away"}[cause == nil])
		}})
		dead, asked := errors.New("dead"), 0
		ask := func(down bool, err error) error {
			return b.Do(func() (bool, error) { asked++; return down, err })
		}
		expect := func(what string, err, want error, n int) {
			t.Helper()
			if !errors.Is(err, want) || err != nil && want == nil || asked != n {
				t.Errorf("%s: got %v, asked %d times, want %v, %d times", what, err, asked, want, n)
			}
			asked = 0
		}
		expect("a failure", ask(true, dead), dead, 1)
		expect("a failure", ask(true, dead), dead, 1)
		expect("an answer", ask(false, nil), nil, 1)
		for range 4 {
			expect("an answer that makes no sense", ask(false, dead), dead, 1)
		}
		for range 3 {
			expect("three in a row", ask(true, dead), dead, 1)
		}
		err := ask(false, nil)
		expect("left alone", err, relay.ErrLeftAlone, 0)
		if !errors.Is(err, dead) {
			t.Errorf("%v does not say why", err)
		}
		time.Sleep(time.Second)
		// One asks for all, and the others do not wait for it.
		answer := make(chan error)
		go func() { _ = b.Do(func() (bool, error) { return true, <-answer }) }()
		synctest.Wait()
		expect("beside the probe", ask(false, nil), relay.ErrLeftAlone, 0)
		answer <- dead
		synctest.Wait()
		time.Sleep(1900 * time.Millisecond)
		expect("left alone for longer", ask(false, nil), relay.ErrLeftAlone, 0)
		time.Sleep(100 * time.Millisecond)
		expect("a probe that shows nothing", ask(false, dead), dead, 1)
		expect("the next probe", ask(true, dead), dead, 1)
		time.Sleep(2900 * time.Millisecond)
		expect("at most so long", ask(false, nil), relay.ErrLeftAlone, 0)
		if f := b.Figures(); f[0].Value != 1 || f[1].Value != 4 || !slices.Equal(f[1].Labels, []string{"service", "svc"}) {
			t.Errorf("figures %+v, want it left alone and 4 skipped", f)
		}
		time.Sleep(100 * time.Millisecond)
		func() {
			defer func() { recover() }()
			_ = b.Do(func() (bool, error) { panic("a probe") })
		}()
		expect("after a panic", ask(false, nil), nil, 1)
		expect("well", ask(true, dead), dead, 1)
		if want := "svc: away, svc: back"; strings.Join(told, ", ") != want || b.Figures()[0].Value != 0 {
			t.Errorf("told %q, want %s", told, want)
		}
		if err := (*relay.Breaker)(nil).Do(func() (bool, error) { return true, dead }); !errors.Is(err, dead) {
			t.Errorf("without a breaker: %v", err)
		}
	})
}
