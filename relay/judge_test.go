package relay_test

import (
	"context"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"postrider/relay"
)

// judge is a Judge, and a RecipientJudge, by functions.
type judge struct {
	data func(*relay.Message, io.Reader) relay.Judgement
	rcpt func(*relay.Message, relay.Recipient) relay.Ruling
}

func (j judge) Judge(_ context.Context, m *relay.Message, body io.Reader) relay.Judgement {
	return j.data(m, body)
}

func (j judge) JudgeRcpt(_ context.Context, m *relay.Message, rcpt relay.Recipient) relay.Ruling {
	return j.rcpt(m, rcpt)
}

func says(r relay.Ruling) judge {
	r.Trace = []relay.Verdict{{Rule: "judge", Stage: "data", Said: "so"}}
	return judge{data: func(*relay.Message, io.Reader) relay.Judgement { return relay.Judgement{Ruling: r} }}
}

// What judges say of a message is done: the first refusal has the last word and its trace is told,
// and what is changed is changed for the judges behind it, for the rules, and before anybody signs.
func TestJudges(t *testing.T) {
	refuses := func(code int) judge {
		return says(relay.Refusal(relay.NewReply(code, relay.EnhancedCode{code / 100, 7, 1}, "judged")))
	}
	never := judge{data: func(*relay.Message, io.Reader) relay.Judgement {
		t.Error("a judge behind the last word is asked")
		return relay.Judgement{}
	}}
	stamps := judge{data: func(m *relay.Message, body io.Reader) relay.Judgement {
		if all, err := io.ReadAll(body); err != nil || len(all) == 0 || !strings.HasSuffix(content, string(all)) {
			t.Errorf("a judge reads %q, %v", all, err)
		}
		return relay.Judgement{Header: append([]byte("X-Judged: yes\r\n"), m.Header...)}
	}}
	sees := judge{data: func(m *relay.Message, _ io.Reader) relay.Judgement {
		if !slices.Equal(m.Fields("X-Judged"), []string{"yes"}) {
			t.Errorf("the second judge sees %q", m.Header)
		}
		return relay.Judgement{}
	}}
	two := []relay.Recipient{{Address: address("c@one.test")}, {Address: address("d@one.test")}}
	for _, tt := range []struct {
		name   string
		judges []relay.Judge
		code   int
		// sent is how many recipients get it, header what their message begins with.
		sent   int
		header string
		held   bool
	}{
		{name: "none", sent: 1, header: "Signature: Received\r\nReceived: "},
		{name: "reject", judges: []relay.Judge{refuses(550), never}, code: 550},
		{name: "tempfail", judges: []relay.Judge{refuses(451), never}, code: 451},
		{name: "discard", judges: []relay.Judge{says(relay.Ruling{Edits: &relay.Edits{Discard: true}}), never}},
		{name: "hold", judges: []relay.Judge{says(relay.Ruling{Edits: &relay.Edits{Held: "odd"}})}, held: true},
		{name: "header", judges: []relay.Judge{stamps, sees}, sent: 1, header: "Signature: X-Judged\r\nX-Judged: yes\r\nReceived: "},
		{name: "recipients", judges: []relay.Judge{says(relay.Ruling{Edits: &relay.Edits{Recipients: two}})}, sent: 2, header: "Signature: Received\r\nReceived: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inTime(t, func(t *testing.T, r *rig) {
				r.signers = []relay.Signer{signer{}}
				r.start(t)
				tx := r.receiver.BeginWith(&relay.Origin{}, relay.Handling{Judges: tt.judges})
				ctx := context.Background()
				wantReply(t, "MAIL", tx.Mail(ctx, relay.Envelope{Sender: address("a@example.com")}, 0), 0)
				wantReply(t, "RCPT", tx.Rcpt(ctx, relay.Recipient{Address: address("b@one.test")}), 0)
				_, reply := tx.Data(ctx, strings.NewReader(content))
				wantReply(t, "DATA", reply, tt.code)
				synctest.Wait()
				sent := r.transport.AllDelivered()
				for _, d := range sent {
					if !strings.HasPrefix(d.Content, tt.header) {
						t.Errorf("delivered %q, want %q in front", d.Content, tt.header)
					}
				}
				if len(sent) != tt.sent {
					t.Errorf("%d recipients got it, want %d", len(sent), tt.sent)
				}
				if held := r.states(t)[relay.StateHeld] == 1; held != tt.held {
					t.Errorf("the mail is held: %v", held)
				}
				for _, refused := range r.observer.AllRefused() {
					if tt.code != 0 && (len(refused.Trace) != 1 || refused.Trace[0].Rule != "judge") {
						t.Errorf("the refusal has the trace %v", refused.Trace)
					}
				}
			})
		})
	}
}

// A judge of recipients is asked about those that the rules take and no others, knows the message by
// one name all along, and grants nothing. What it wants is for the recipient alone.
func TestRecipientJudges(t *testing.T) {
	inTime(t, func(t *testing.T, r *rig) {
		r.start(t)
		r.policy.OnRcpt = func(_ *relay.Origin, _ *relay.Envelope, rcpt relay.Recipient) *relay.Reply {
			return refuseIf(rcpt.Address.Local == "foreign", 550, "no relaying")
		}
		var ids []relay.ID
		asked := ""
		j := judge{rcpt: func(m *relay.Message, rcpt relay.Recipient) relay.Ruling {
			ids = append(ids, m.ID)
			asked += rcpt.Address.Local + " "
			said := relay.Ruling{Trace: []relay.Verdict{{Rule: "judge", Stage: "rcpt", Said: rcpt.Address.Local}}}
			if m.Size != 77 {
				t.Errorf("the size is %d, want 77", m.Size)
			}
			switch rcpt.Address.Local {
			case "later":
				said.Reply = relay.NewReply(450, relay.EnhancedCode{4, 7, 1}, "greylisted")
			case "odd":
				said.Edits = &relay.Edits{Held: "odd"}
			case "gone":
				said.Edits = &relay.Edits{Discard: true}
			case "moved":
				said.Edits = &relay.Edits{Recipients: []relay.Recipient{{Address: address("trap@one.test")}}}
			case "noted":
				said.Edits = &relay.Edits{Header: []relay.HeaderEdit{{Name: "X-Noted", Value: "yes"}}}
			}
			return said
		}}
		tx := r.receiver.BeginWith(&relay.Origin{}, relay.Handling{RecipientJudges: []relay.RecipientJudge{j}})
		ctx := context.Background()
		wantReply(t, "MAIL", tx.Mail(ctx, relay.Envelope{Sender: address("a@example.com")}, 77), 0)
		for _, rcpt := range []struct {
			local string
			code  int
		}{{"foreign", 550}, {"plain", 0}, {"later", 450}, {"odd", 0}, {"gone", 0}, {"moved", 0}, {"noted", 0}} {
			wantReply(t, rcpt.local, tx.Rcpt(ctx, relay.Recipient{Address: address(rcpt.local + "@one.test")}), rcpt.code)
		}
		_, reply := tx.Data(ctx, strings.NewReader(content))
		wantReply(t, "DATA", reply, 0)
		synctest.Wait()
		if want := "plain later odd gone moved noted "; asked != want {
			t.Errorf("it was asked about %q, want %q", asked, want)
		}
		if len(slices.Compact(ids)) != 1 || ids[0] == (relay.ID{}) {
			t.Errorf("it knew the message as %v", ids)
		}
		var sent []string
		for _, d := range r.transport.AllDelivered() {
			sent = append(sent, d.Recipient.Local)
			if !strings.Contains(d.Content, "\r\nX-Noted: yes\r\n") {
				t.Errorf("without the field: %q", d.Content)
			}
		}
		if slices.Sort(sent); !slices.Equal(sent, []string{"noted", "plain", "trap"}) {
			t.Errorf("delivered to %v", sent)
		}
		if held := r.states(t)[relay.StateHeld]; held != 1 {
			t.Errorf("%d deliveries are held, want 1", held)
		}
		if a := r.observer.AllAccepted(); len(a) != 1 || len(a[0].Message.Trace) != 6 || a[0].Message.Trace[1].Recipient != "later@one.test" {
			t.Errorf("accepted %+v", a)
		}
	})
}
