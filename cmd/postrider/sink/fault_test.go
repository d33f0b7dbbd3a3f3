package sink

import (
	"strings"
	"testing"
	"time"
)

func TestParseFaults(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name                string
		reject, delay, drop string
		want                fault
		wantError           string
	}{
		{name: "reply", reject: "rcpt:550 5.1.1 no such user", want: fault{stage: stageRcpt, chance: 1, reply: "550 5.1.1 no such user"}},
		{name: "reply with a chance", reject: "mail:421 later@1.5%", want: fault{stage: stageMail, chance: 0.015, reply: "421 later"}},
		{name: "an address in the reply is no chance", reject: "rcpt:550 not a@b", want: fault{stage: stageRcpt, chance: 1, reply: "550 not a@b"}},
		{name: "delay", delay: "data:2s@50%", want: fault{stage: stageData, chance: 0.5, delay: 2 * time.Second}},
		{name: "drop", drop: "dot@5%", want: fault{stage: stageDot, chance: 0.05, drop: true}},
		{name: "no such stage", reject: "rctp:550 no", wantError: `--reject "rctp:550 no": unknown stage "rctp"`},
		{name: "no reply", reject: "rcpt", wantError: "want a reply"},
		{name: "a reply that does not refuse", reject: "rcpt:250 ok", wantError: "want a reply"},
		{name: "two lines", reject: "rcpt:550 a\r\n250 b", wantError: "want a reply"},
		{name: "no duration", delay: "data:soon", wantError: "want a duration"},
		{name: "back in time", delay: "data:-1s", wantError: "want a duration"},
		{name: "more than always", drop: "dot@101%", wantError: "from 0% to 100%"},
		{name: "drop with text", drop: "dot:1s", wantError: "nothing else"},
	}
	some := func(text string) []string {
		if text == "" {
			return nil
		}
		return []string{text}
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := ParseFaults(some(tt.reject), some(tt.delay), some(tt.drop))
			if tt.wantError != "" {
				if err == nil || !strings.Contains(err.Error(), tt.wantError) {
					t.Fatalf("error %v, want one with %q", err, tt.wantError)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if len(got) != 1 || got[0] != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestFaultsAt(t *testing.T) {
	t.Parallel()
	faults := Faults{
		{stage: stageRcpt, chance: 0.3, reply: "450 first"},
		{stage: stageRcpt, chance: 0.6, reply: "550 second"},
		{stage: stageRcpt, chance: 1, delay: time.Second},
		{stage: stageDot, chance: 1, drop: true},
	}
	tests := []struct {
		stage string
		dice  float64
		want  fault
	}{
		{stageRcpt, 0.1, fault{reply: "450 first", delay: time.Second}},
		{stageRcpt, 0.3, fault{reply: "550 second", delay: time.Second}},
		{stageRcpt, 0.9, fault{delay: time.Second}},
		{stageDot, 0.9, fault{drop: true}},
		{stageMail, 0, fault{}},
	}
	for _, tt := range tests {
		if got := faults.at(tt.stage, func() float64 { return tt.dice }); got != tt.want {
			t.Errorf("at %s with %v: got %+v, want %+v", tt.stage, tt.dice, got, tt.want)
		}
	}
}

func FuzzParseFault(f *testing.F) {
	for _, seed := range []string{"rcpt:550 5.1.1 no@30%", "data:2s", "dot@5%", "@%", ":", "mail:421 x@1e9%"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, parse := range []func(string) (fault, error){parseReject, parseDelay, parseDrop} {
			fault, err := parse(text)
			if err == nil && (fault.chance < 0 || fault.chance > 1 || strings.ContainsAny(fault.reply, "\r\n")) {
				t.Errorf("%q was read as %+v", text, fault)
			}
		}
	})
}
