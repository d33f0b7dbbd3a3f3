package main

import (
	"bytes"
	"testing"

	"postrider/configs"
	"postrider/inbound/delegation"
	"postrider/inbound/hook"
	"postrider/inbound/milter"
)

// An explanation names the judges of the listener, and of no other, with what their failure means.
func TestExplainJudges(t *testing.T) {
	t.Parallel()
	c := &configs.Config{
		Milters: map[string][]milter.Options{"in": {{Name: "dkim", Address: "127.0.0.1:1"}}, "other": {{Name: "x"}}},
		PolicyServices: map[string][]configs.PolicyService{"in": {
			{Options: delegation.Options{Name: "grey", Address: "unix:/g", Accept: true}}, {Options: delegation.Options{Name: "end", Address: "127.0.0.1:2"}, Data: true},
		}},
		Hooks: map[string][]hook.Options{"in": {{Name: "judge", URL: "https://user:secret@judge.test/"}}},
	}
	var got bytes.Buffer
	(&explanation{Judges: judges(c, "in")}).printJudges(&got)
	want := `Would be asked too, and could refuse, hold or change it:
  data: milter dkim at 127.0.0.1:1, failure: tempfail
  rcpt: policy service grey at unix:/g, failure: accept
  data: policy service end at 127.0.0.1:2, failure: tempfail
  data: hook judge, failure: tempfail
`
	if got.String() != want {
		t.Errorf("got\n%swant\n%s", got.String(), want)
	}
	if list := judges(c, "none"); list != nil {
		t.Errorf("a listener without judges has %v", list)
	}
}
