package relay

import (
	"context"
	"io"
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
