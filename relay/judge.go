package relay

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// Judge decides about whole messages outside of our own rules, such as a milter. A listener has
// those that its configuration names.
type Judge interface {
	// Judge says what is to become of the message, which is stamped and neither looked at by the
	// rules nor signed yet. It takes bounded time; what it makes of a failure is its own
	// decision, and part of the judgement. The body is opened by the first read. m is not changed.
	Judge(ctx context.Context, m *Message, body io.Reader) Judgement
}

// Judgement is a Ruling, and the header section as it is to be, where that changes; nil where not.
type Judgement struct {
	Ruling
	Header []byte
}

// judge asks the handling's judges, one after the other: each sees what those before it have made
// of the message. The first that refuses has the last word.
func (t *Transaction) judge(ctx context.Context, m *Message, draft Draft) *Reply {
	for _, j := range t.handling.Judges {
		body := &lazyBody{open: draft.Body}
		said := j.Judge(ctx, m, body)
		body.close()
		t.record(m, said.Trace)
		if said.Reply != nil {
			t.message.Trace = m.Trace
			return said.Reply
		}
		if said.Header != nil {
			m.Size += int64(len(said.Header) - len(m.Header))
			m.Header = said.Header
		}
		if said.Edits == nil {
			continue
		}
		if reply := t.amend(m, said.Edits); reply != nil {
			return reply
		}
		if t.edits.Discard {
			return nil
		}
	}
	return nil
}

// RecipientJudge decides about single recipients outside of our own rules, such as a Postfix policy
// service.
type RecipientJudge interface {
	// JudgeRcpt says what is to become of a recipient that may be relayed to, which it cannot
	// grant. It takes bounded time; what it makes of a failure is part of the ruling. The ID of
	// m is the same for all recipients and becomes nobody's; the size is what the client
	// announced, 0 for unknown. m is not changed.
	JudgeRcpt(ctx context.Context, m *Message, rcpt Recipient) Ruling
}

// judgeRcpt asks the handling's judges of recipients, one after the other, and adds what they want
// done to what the rules want. The first that refuses has the last word.
func (t *Transaction) judgeRcpt(ctx context.Context, rcpt Recipient, wanted *Edits) (*Edits, *Reply) {
	for _, j := range t.handling.RecipientJudges {
		if wanted != nil && wanted.Discard || t.edits.Discard {
			break
		}
		if t.trial == (ID{}) {
			t.trial = t.o.IDs.Next()
		}
		m := t.message
		m.ID, m.Size = t.trial, t.announced
		said := j.JudgeRcpt(ctx, &m, rcpt)
		t.recordAbout(&t.message, said.Trace, rcpt.Address)
		if said.Reply != nil {
			return nil, said.Reply
		}
		wanted = wanted.with(said.Edits)
	}
	return wanted, nil
}

// with are the edits and what a judge of a recipient wants done besides. Neither is changed.
func (e *Edits) with(more *Edits) *Edits {
	if more == nil || e == nil {
		return cmp.Or(e, more)
	}
	sum := *e
	sum.Held, sum.Discard = cmp.Or(e.Held, more.Held), e.Discard || more.Discard
	sum.Header, sum.Tags = slices.Concat(e.Header, more.Header), slices.Concat(e.Tags, more.Tags)
	if more.Recipients != nil {
		sum.Recipients, sum.Removed, sum.Ends = more.Recipients, more.Removed, more.Ends
	}
	return &sum
}

// JudgeReply reads the reply that a judge has for the client, the enhanced code in front of its text
// where there is one. It refuses, and never ends the session: 421 is 451.
func JudgeReply(code int, text string) (*Reply, error) {
	if code < 400 || code > 599 {
		return nil, fmt.Errorf("its reply %d %q refuses nothing", code, text)
	}
	if code == 421 {
		code = 451
	}
	enhanced := EnhancedCode{code / 100, 7, 1}
	if word, rest, _ := strings.Cut(strings.TrimSpace(text), " "); strings.Count(word, ".") == 2 {
		var read EnhancedCode
		ok := true
		for i, p := range strings.Split(word, ".") {
			n, err := strconv.ParseUint(p, 10, 10)
			ok = ok && err == nil && n < 1000
			read[i] = int(n)
		}
		if ok && read[0] == code/100 {
			enhanced, text = read, rest
		}
	}
	return NewReply(code, enhanced, JudgeText(text)).For(ReasonPolicy), nil
}

// JudgeText is what a judge says on one line of ASCII, as replies are, up to 400 bytes.
func JudgeText(text string) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return ' '
		}
		return r
	}, text)
	if text = strings.TrimSpace(text); text == "" {
		return "Refused"
	}
	return text[:min(len(text), 400)]
}
