package admin

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"postrider/relay"
)

// Selection says which deliveries are meant: those that meet all conditions. In patterns *
// stands for any characters, and case does not matter.
type Selection struct {
	IDs []string `json:"ids,omitempty"`
	// Sender, Recipient, Destination, Route, User and Tag are patterns. A null sender is "<>".
	Sender      string `json:"sender,omitempty"`
	Recipient   string `json:"recipient,omitempty"`
	Destination string `json:"destination,omitempty"`
	Route       string `json:"route,omitempty"`
	User        string `json:"user,omitempty"`
	Tag         string `json:"tag,omitempty"`
	// OlderSeconds and YoungerSeconds bound the time since arrival, LargerBytes and
	// SmallerBytes the size.
	OlderSeconds   int64 `json:"older_seconds,omitempty"`
	YoungerSeconds int64 `json:"younger_seconds,omitempty"`
	LargerBytes    int64 `json:"larger_bytes,omitempty"`
	SmallerBytes   int64 `json:"smaller_bytes,omitempty"`
	// States are held, active, paused, blocked, deferred or due; Classes those of replies.
	States  []string `json:"states,omitempty"`
	Classes []string `json:"classes,omitempty"`
}

// query is the selection as the parameters of a request.
func (s *Selection) query() url.Values {
	q := url.Values{"id": s.IDs, "state": s.States, "class": s.Classes}
	for name, value := range s.texts() {
		if *value != "" {
			q.Set(name, *value)
		}
	}
	for name, value := range s.numbers() {
		if *value != 0 {
			q.Set(name, strconv.FormatInt(*value, 10))
		}
	}
	return q
}

func (s *Selection) texts() map[string]*string {
	return map[string]*string{
		"sender": &s.Sender, "recipient": &s.Recipient, "destination": &s.Destination,
		"route": &s.Route, "user": &s.User, "tag": &s.Tag,
	}
}

func (s *Selection) numbers() map[string]*int64 {
	return map[string]*int64{
		"older_seconds": &s.OlderSeconds, "younger_seconds": &s.YoungerSeconds,
		"larger_bytes": &s.LargerBytes, "smaller_bytes": &s.SmallerBytes,
	}
}

// parseSelection reads what query wrote.
func parseSelection(q url.Values) (s Selection, err error) {
	s.IDs, s.States, s.Classes = split(q["id"]), split(q["state"]), split(q["class"])
	for name, value := range s.texts() {
		*value = q.Get(name)
	}
	for name, value := range s.numbers() {
		text := q.Get(name)
		if text == "" {
			continue
		}
		if *value, err = strconv.ParseInt(text, 10, 64); err != nil {
			return s, fmt.Errorf("%s %q: want a whole number", name, text)
		}
	}
	return s, nil
}

// split takes lists apart that stand between commas.
func split(lists []string) (all []string) {
	for _, list := range lists {
		for word := range strings.SplitSeq(list, ",") {
			if word != "" {
				all = append(all, word)
			}
		}
	}
	return all
}

// selector is the selection in the relay's own terms.
func (s *Selection) selector() (relay.Selector, error) {
	sel := relay.Selector{
		Sender: s.Sender, Recipient: s.Recipient, Destination: s.Destination, Route: s.Route, User: s.User, Tag: s.Tag,
		Older: time.Duration(s.OlderSeconds) * time.Second, Younger: time.Duration(s.YoungerSeconds) * time.Second,
		Larger: s.LargerBytes, Smaller: s.SmallerBytes,
	}
	for _, n := range s.numbers() {
		if *n < 0 || *n > 1<<53 {
			return sel, fmt.Errorf("%d is out of range", *n)
		}
	}
	for _, text := range s.IDs {
		id, err := relay.ParseID(text)
		if err != nil {
			return sel, err
		}
		sel.IDs = append(sel.IDs, id)
	}
	for _, text := range s.States {
		var state relay.State
		if err := state.UnmarshalText([]byte(text)); err != nil {
			return sel, err
		}
		sel.States = append(sel.States, state)
	}
	for _, text := range s.Classes {
		var class relay.Class
		if err := class.UnmarshalText([]byte(text)); err != nil {
			return sel, err
		}
		sel.Classes = append(sel.Classes, class)
	}
	return sel, nil
}

// selection is what selector makes a selector of.
func selection(sel *relay.Selector) *Selection {
	s := &Selection{
		Sender: sel.Sender, Recipient: sel.Recipient, Destination: sel.Destination, Route: sel.Route, User: sel.User, Tag: sel.Tag,
		OlderSeconds: int64(sel.Older / time.Second), YoungerSeconds: int64(sel.Younger / time.Second),
		LargerBytes: sel.Larger, SmallerBytes: sel.Smaller,
	}
	for _, id := range sel.IDs {
		s.IDs = append(s.IDs, id.String())
	}
	for _, state := range sel.States {
		s.States = append(s.States, state.String())
	}
	for _, class := range sel.Classes {
		s.Classes = append(s.Classes, class.String())
	}
	return s
}

// exact is the destination, where the selection names one and no pattern.
func (s *Selection) exact() (relay.Destination, bool) {
	to := relay.ParseDestination(s.Destination)
	to.Domain = strings.ToLower(to.Domain)
	return to, s.Destination != "" && !strings.Contains(s.Destination, "*")
}

// IsEmpty says that no condition is set.
func (s *Selection) IsEmpty() bool { return s.query().Encode() == "" }
