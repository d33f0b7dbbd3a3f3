package hook

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"postrider/relay"
)

// Answer is what comes back with a 2xx. A 204 without it accepts.
type Answer struct {
	// Action is accept, reject, defer, hold or discard.
	Action string `json:"action"`
	// Code is that of a refusal, of 550 and its like for reject and of 451 and its like for defer,
	// which are the defaults. Reason is what the client reads, in front of it an enhanced code or
	// not; of hold, what operators read.
	Code   int    `json:"code"`
	Reason string `json:"reason"`
	// Tags mark the message, and Headers are fields to be added, with accept and hold.
	Tags    []string `json:"tags"`
	Headers []Field  `json:"headers"`
}

// The bounds of an answer: its size in bytes, and how many tags and fields it may have.
const (
	maxAnswer = 64 << 10
	maxMarks  = 100
)

// parse reads an answer and says what it comes to. What it does not understand is an error, so that
// a misspelt refusal never is a pass.
func parse(text []byte) (relay.Ruling, string, error) {
	var a Answer
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&a); err != nil {
		return relay.Ruling{}, "", fmt.Errorf("read its answer: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return relay.Ruling{}, "", errors.New("read its answer: there is more behind it")
	}
	switch a.Action {
	case "accept":
		return a.mark(&relay.Edits{}, "pass")
	case "hold":
		why := "to be looked at"
		if a.Reason != "" {
			why = relay.JudgeText(a.Reason)
		}
		return a.mark(&relay.Edits{Held: why}, "hold: "+why)
	case "discard":
		return relay.Ruling{Edits: &relay.Edits{Discard: true}}, "discard", nil
	case "reject":
		return a.refuse(5, 550, "Message rejected")
	case "defer":
		return a.refuse(4, 451, "Try again later")
	}
	return relay.Ruling{}, "", fmt.Errorf("its action is %.40q", a.Action)
}

func (a *Answer) refuse(class, code int, text string) (relay.Ruling, string, error) {
	if a.Code != 0 {
		code = a.Code
	}
	if a.Reason != "" {
		text = a.Reason
	}
	if code/100 != class {
		return relay.Ruling{}, "", fmt.Errorf("its code %d does not go with %s", code, a.Action)
	}
	reply, err := relay.JudgeReply(code, text)
	if err != nil {
		return relay.Ruling{}, "", err
	}
	return relay.Refusal(reply), "reply " + reply.String(), nil
}

// mark adds the tags and the fields to what is to be done.
func (a *Answer) mark(e *relay.Edits, words string) (relay.Ruling, string, error) {
	if len(a.Tags) > maxMarks || len(a.Headers) > maxMarks {
		return relay.Ruling{}, "", fmt.Errorf("it has more than %d tags or header fields", maxMarks)
	}
	for _, tag := range a.Tags {
		if tag == "" || len(tag) > maxMarks || strings.ContainsFunc(tag, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
			return relay.Ruling{}, "", fmt.Errorf("it has the tag %.100q", tag)
		}
		words += ", tag " + tag
	}
	for _, f := range a.Headers {
		// Received is how hops are counted, and ours to write.
		if f.Name == "" || f.Value == "" || strings.EqualFold(f.Name, "Received") ||
			strings.ContainsFunc(f.Name, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == ':' }) ||
			strings.ContainsFunc(f.Value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
			return relay.Ruling{}, "", fmt.Errorf("it wants the header field %.100q: %.100q", f.Name, f.Value)
		}
		e.Header = append(e.Header, relay.HeaderEdit{Name: f.Name, Value: f.Value})
		words += ", header " + f.Name + " added"
	}
	e.Tags = a.Tags
	if e.Held == "" && len(e.Tags) == 0 && len(e.Header) == 0 {
		e = nil
	}
	return relay.Ruling{Edits: e}, words, nil
}
