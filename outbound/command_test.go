package outbound_test

import (
	"fmt"
	"strings"
	"testing"

	"postrider/outbound/outboundtest"
	"postrider/relay"
)

func parameters(t *testing.T) {
	everything := func(m *relay.Message) {
		m.Envelope.EightBit, m.Envelope.Priority = true, 4
		m.Envelope.Return, m.Envelope.EnvelopeID = relay.ReturnHeaders, "id+1 =x"
		m.Envelope.Recipients[0].Notify = relay.NotifySuccess | relay.NotifyDelay
		m.Envelope.Recipients[0].Original = "rfc822;o+x@to.test"
	}
	size := fmt.Sprint(len(header) + 3)
	for _, tt := range []struct {
		name       string
		extensions []string
		edit       func(*relay.Message)
		mail, rcpt string
	}{
		{"all", []string{"size 1000", "8BitMime", "DSN", "SMTPUTF8"}, everything,
			"MAIL FROM:<sender@from.test> SIZE=" + size + " BODY=8BITMIME RET=HDRS ENVID=id+2B1+20+3Dx",
			"RCPT TO:<a@to.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;o+2Bx@to.test"},
		{"none", []string{}, everything, "MAIL FROM:<sender@from.test>", "RCPT TO:<a@to.test>"},
		{"SIZE without a limit", []string{"SIZE"}, everything, "MAIL FROM:<sender@from.test> SIZE=" + size, "RCPT TO:<a@to.test>"},
		{"MT-PRIORITY", []string{"mt-priority MIXER"}, everything, "MAIL FROM:<sender@from.test> MT-PRIORITY=4", "RCPT TO:<a@to.test>"},
		{"less urgent", []string{"MT-PRIORITY", "SIZE"}, func(m *relay.Message) { m.Envelope.Priority = -9 },
			"MAIL FROM:<sender@from.test> SIZE=" + size + " MT-PRIORITY=-9", "RCPT TO:<a@to.test>"},
		{"no priority", []string{"MT-PRIORITY"}, func(*relay.Message) {}, "MAIL FROM:<sender@from.test>", "RCPT TO:<a@to.test>"},
		{"bounce", []string{"DSN"}, func(m *relay.Message) {
			m.Envelope.Sender, m.Envelope.Recipients[0].Notify = relay.Address{}, relay.NotifyNever
		}, "MAIL FROM:<>", "RCPT TO:<a@to.test> NOTIFY=NEVER"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := outboundtest.NewPeer(t, outboundtest.Script{Extensions: tt.extensions})
			x := transfer("x\r\n", "a@to.test")
			tt.edit(x.Message)
			wantCodes(t, deliver(t, dial(t, smart(t, nil, p)), x), "250")
			m := p.Messages()[0]
			if m.Mail != tt.mail || m.Rcpt[0] != tt.rcpt {
				t.Errorf("got  %q %q\nwant %q %q", m.Mail, m.Rcpt[0], tt.mail, tt.rcpt)
			}
		})
	}
	t.Run("too large", func(t *testing.T) {
		t.Parallel()
		p := outboundtest.NewPeer(t, outboundtest.Script{Extensions: []string{"SIZE 10"}})
		c := dial(t, smart(t, nil, p))
		a := deliver(t, c, transfer("x\r\n", "a@to.test"))
		wantCodes(t, a, "552")
		if a.Replies[0].Enhanced != (relay.EnhancedCode{5, 3, 4}) || !c.Usable() {
			t.Errorf("reply = %s, usable = %v", a.Replies[0], c.Usable())
		}
		if got := verbs(p.Sessions()[0]); got != "EHLO" {
			t.Errorf("commands = %q, want EHLO alone", got)
		}
	})
}

func smtpUTF8(t *testing.T) {
	for _, tt := range []struct {
		name, recipient, header string
		declared, offered       bool
		want, mail, rcpt        string
	}{
		{"address", "jörg@to.test", header, true, true, "250", "MAIL FROM:<sender@from.test> SMTPUTF8", "RCPT TO:<jörg@to.test>"},
		{"header", "a@to.test", "Subject: ö\r\n\r\n", true, true, "250", "MAIL FROM:<sender@from.test> SMTPUTF8", "RCPT TO:<a@to.test>"},
		{"declared and not needed", "a@to.test", header, true, true, "250", "MAIL FROM:<sender@from.test>", "RCPT TO:<a@to.test>"},
		{"not needed, not offered", "a@to.test", header, true, false, "250", "MAIL FROM:<sender@from.test>", "RCPT TO:<a@to.test>"},
		{"domain", "a@bücher.test", header, true, false, "250", "MAIL FROM:<sender@from.test>", "RCPT TO:<a@xn--bcher-kva.test>"},
		{"address, not offered", "jörg@to.test", header, true, false, "553", "", ""},
		{"header, not offered", "a@to.test", "Subject: ö\r\n\r\n", true, false, "553", "", ""},
		{"header, not declared", "a@to.test", "Subject: ö\r\n\r\n", false, false, "250", "MAIL FROM:<sender@from.test>", "RCPT TO:<a@to.test>"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			script := outboundtest.Script{Extensions: []string{"PIPELINING"}}
			if tt.offered {
				script.Extensions = append(script.Extensions, "SMTPUTF8")
			}
			p := outboundtest.NewPeer(t, script)
			x := transfer("x\r\n", tt.recipient)
			x.Message.Header, x.Message.Size = []byte(tt.header), int64(len(tt.header)+3)
			x.Message.Envelope.SMTPUTF8 = tt.declared
			a := deliver(t, dial(t, smart(t, nil, p)), x)
			wantCodes(t, a, tt.want)
			if tt.mail == "" {
				if a.Replies[0].Enhanced != (relay.EnhancedCode{5, 6, 7}) || p.Count() != 0 {
					t.Errorf("reply = %s, messages = %d", a.Replies[0], p.Count())
				}
				return
			}
			if m := p.Messages()[0]; m.Mail != tt.mail || m.Rcpt[0] != tt.rcpt {
				t.Errorf("got  %q %q\nwant %q %q", m.Mail, m.Rcpt[0], tt.mail, tt.rcpt)
			}
		})
	}
}

func eightBit(t *testing.T) {
	for _, offered := range []bool{false, true} {
		extensions := []string{}
		if offered {
			extensions = []string{"8BITMIME"}
		}
		p := outboundtest.NewPeer(t, outboundtest.Script{Extensions: extensions})
		x := transfer("caf\xc3\xa9 \xff\r\n", "a@to.test")
		x.Message.Envelope.EightBit = true
		c := dial(t, smart(t, nil, p))
		a := deliver(t, c, x)
		wantCodes(t, a, "250")
		if m := p.Messages()[0]; string(m.Body) != header+"caf\xc3\xa9 \xff\r\n" || strings.Contains(m.Mail, "BODY") != offered {
			t.Errorf("message = %q, %q", m.Mail, m.Body)
		}
		if a.EightBit == offered {
			t.Errorf("counted: %t, offered: %t", a.EightBit, offered)
		}
		if a := deliver(t, c, transfer("x\r\n", "a@to.test")); a.EightBit {
			t.Error("7-bit text is counted")
		}
	}
}
