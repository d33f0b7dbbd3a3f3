package admin

import (
	"net/url"
	"reflect"
	"testing"
	"time"

	"postrider/relay"
)

// What is read of a request's parameters is what a client writes into them again, and no
// text is too odd to be refused.
func FuzzSelection(f *testing.F) {
	f.Add("sender=a@*&state=held,due&older_seconds=60")
	f.Add("id=01K9ZJ6V3S6C0X6M4E5T1B2N3P&class=quota&larger_bytes=-1")
	f.Add("older_seconds=99999999999999999999")
	f.Fuzz(func(t *testing.T, text string) {
		q, err := url.ParseQuery(text)
		if err != nil {
			return
		}
		s, err := parseSelection(q)
		if err != nil {
			return
		}
		again, err := parseSelection(s.query())
		if err != nil || !reflect.DeepEqual(again, s) {
			t.Errorf("%+v became %+v, %v", s, again, err)
		}
		_, _ = s.selector() // must not panic
	})
}

// A cursor leads back to its place.
func FuzzCursor(f *testing.F) {
	place := relay.Place{To: relay.Destination{Route: "internet", Domain: "one.test"}, Flow: "shop", Due: time.Unix(1, 2).UTC()}
	f.Add(cursorOf(place))
	f.Add("e30")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := parseCursor(text)
		if err != nil {
			return
		}
		again, err := parseCursor(cursorOf(p))
		if cursorOf(p) != "" && (err != nil || again.Compare(p) != 0) {
			t.Errorf("%+v became %+v, %v", p, again, err)
		}
	})
}
