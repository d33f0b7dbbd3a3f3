package outbound_test

import (
	"fmt"
	"strings"
	"testing"

	"postrider/outbound"
	"postrider/outbound/outboundtest"
)

// What the profile of a route makes of a header section, with DATA and with BDAT; the announced size is
// that of what is sent, and the queued message stays as it is.
func TestHeaderProfile(t *testing.T) {
	t.Parallel()
	const signed = "DKIM-Signature: v=1; a=rsa-sha256; d=x.test;\r\n\th=From : X-Sealed:\r\n\tX-Absent; b=xyz=\r\n"
	for _, tt := range []struct {
		name        string
		add, remove []string
		header      string
		want        string
	}{
		{"nothing", nil, nil, "Subject: a\r\n", "Subject: a\r\n"},
		{"add", []string{"X-Set: one", "X-Two:two "}, nil, "Subject: a\r\n", "X-Set: one\r\nX-Two: two\r\nSubject: a\r\n"},
		{"its own stays", []string{"X-Set: one"}, nil, "x-set : mine\r\nSubject: a\r\n", "x-set : mine\r\nSubject: a\r\n"},
		{"replace", []string{"X-Set: one"}, []string{"X-Set"}, "Subject: a\r\nx-set: mine\r\n folded\r\n", "X-Set: one\r\nSubject: a\r\n"},
		{"remove all of a name", nil, []string{"return-path", "X-Internal-*"}, "Return-Path: <a@b>\r\nX-Internal-A: 1\r\nX-Int: 2\r\nX-INTERNAL-B:\r\n\t3\r\n", "X-Int: 2\r\n"},
		{"sealed stays", nil, []string{"X-Sealed"}, signed + "X-Sealed: 1\r\n", signed + "X-Sealed: 1\r\n"},
		{"absence is sealed", []string{"X-Absent: 1", "X-Free: 1"}, nil, signed, "X-Free: 1\r\n" + signed},
		{"ARC", nil, []string{"X-A"}, "ARC-Message-Signature: i=1; h=x-a\r\nX-A: 1\r\n", "ARC-Message-Signature: i=1; h=x-a\r\nX-A: 1\r\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, s := range []outboundtest.Script{{}, withChunking(outboundtest.Script{})} {
				p := outboundtest.NewPeer(t, s)
				tr := smart(t, func(o *outbound.Options) {
					o.Routes[0].Header = outbound.HeaderProfile{Add: tt.add, Remove: tt.remove}
				}, p)
				c := dial(t, tr)
				mail := transfer("body\r\n", "a@to.test")
				mail.Message.Header = []byte(tt.header + "\r\n")
				mail.Message.Size = int64(len(tt.header) + 2 + 6)
				before := *mail.Message
				other := transfer("body\r\n", "b@to.test")
				if got := strings.Join(stream(t, c, mail, other), " "); got != "250 250" {
					t.Fatalf("replies %s", got)
				}
				if got, want := string(p.Messages()[0].Body), tt.want+"\r\nbody\r\n"; got != want {
					t.Errorf("sent %q, want %q", got, want)
				}
				if string(mail.Message.Header) != string(before.Header) || mail.Message.Size != before.Size {
					t.Error("the queued message has changed")
				}
				size := fmt.Sprintf("SIZE=%d", len(tt.want)+8)
				if line := p.Messages()[0].Mail; !strings.Contains(line, size) {
					t.Errorf("%s, want %s", line, size)
				}
			}
		})
	}
}

func TestHeaderProfileFaults(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		p    outbound.HeaderProfile
		want string
	}{
		{outbound.HeaderProfile{Add: []string{"X-A: 1"}, Remove: []string{"Return-Path", "X-*", "Bcc"}}, ""},
		{outbound.HeaderProfile{Add: []string{"X-A"}}, "not a field"},
		{outbound.HeaderProfile{Add: []string{"X-A: a\r\nX-B: b"}}, "not a field"},
		{outbound.HeaderProfile{Add: []string{"X A: a"}}, "not a field"},
		{outbound.HeaderProfile{Add: []string{"X-A: " + strings.Repeat("x", 1000)}}, "not a field"},
		{outbound.HeaderProfile{Add: []string{"Subject: a"}}, "the message's own"},
		{outbound.HeaderProfile{Add: []string{"Return-Path: <a@b>"}}, "the message's own"},
		{outbound.HeaderProfile{Remove: []string{"Received"}}, "the message's own"},
		{outbound.HeaderProfile{Remove: []string{"Content-Type"}}, "the message's own"},
		{outbound.HeaderProfile{Remove: []string{"d*"}}, "the message's own"},
		{outbound.HeaderProfile{Remove: []string{"Content-*"}}, "the message's own"},
		{outbound.HeaderProfile{Remove: []string{"con*"}}, "the message's own"},
		{outbound.HeaderProfile{Remove: []string{"*"}}, "not the name"},
		{outbound.HeaderProfile{Remove: []string{"X:"}}, "not the name"},
	} {
		err := tt.p.Validate()
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: %v, want %q", tt.p, err, tt.want)
		}
	}
}
