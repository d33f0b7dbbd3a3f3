package inbound_test

import (
	"errors"
	"net"
	"testing"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"postrider/inbound"
	"postrider/relay"
)

// byGoSMTP serves the house with go-smtp's server in the place of our loop.
func byGoSMTP(t *testing.T, h *house) *smtp.Client {
	t.Helper()
	server := smtp.NewServer(inbound.Backend(h.open().server))
	server.EnableDSN, server.AllowInsecureAuth = true, true
	at, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(at) }()
	t.Cleanup(func() {
		server.Close()
		<-ended
	})
	c, err := smtp.Dial(at.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// TestGoSMTPServer: what a session does about mail is in go-smtp's own terms, so that its
// server can drive it, and every reply arrives as it was meant.
func TestGoSMTPServer(t *testing.T) {
	t.Parallel()
	h := withUsers(t, inbound.AuthRequired)
	h.policy.OnRcpt = func(_ *relay.Origin, _ *relay.Envelope, r relay.Recipient) *relay.Reply {
		if r.Address.Local == "nobody" {
			return relay.NewReply(550, relay.EnhancedCode{5, 1, 1}, "Nobody here")
		}
		return nil
	}
	c := byGoSMTP(t, h)
	wantCode(t, "without AUTH", c.Mail("a@example.com", nil), 530, smtp.EnhancedCode{5, 7, 0})
	wantCode(t, "wrong password", c.Auth(sasl.NewPlainClient("", "ann", "wrong")), 535, smtp.EnhancedCode{5, 7, 8})
	wantCode(t, "AUTH", c.Auth(sasl.NewPlainClient("", "ann", "secret")), 0, smtp.EnhancedCode{})
	wantCode(t, "MAIL", c.Mail("a@example.com", &smtp.MailOptions{Return: smtp.DSNReturnHeaders, EnvelopeID: "x+y=z"}), 0, smtp.EnhancedCode{})
	wantCode(t, "nobody", c.Rcpt("nobody@example.org", nil), 550, smtp.EnhancedCode{5, 1, 1})
	wantCode(t, "RCPT", c.Rcpt("b@example.org", &smtp.RcptOptions{
		Notify: []smtp.DSNNotify{smtp.DSNNotifyDelayed, smtp.DSNNotifyFailure}, OriginalRecipientType: smtp.DSNAddressTypeRFC822, OriginalRecipient: "c@example.org",
	}), 0, smtp.EnhancedCode{})
	w, err := c.Data()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("Subject: x\r\n\r\nbody\r\n")); err != nil {
		t.Fatal(err)
	}
	wantCode(t, "the message", w.Close(), 0, smtp.EnhancedCode{})
	all := h.spool.all()
	if len(all) != 1 || all[0].body != "body\r\n" || all[0].Origin.User != "ann" {
		t.Fatalf("kept %+v", all)
	}
	e := all[0].Envelope
	if want := (relay.Recipient{
		Address: relay.Address{Local: "b", Domain: "example.org"}, Notify: relay.NotifyDelay | relay.NotifyFailure, Original: "RFC822;c@example.org",
	}); e.Return != relay.ReturnHeaders || e.EnvelopeID != "x+y=z" || len(e.Recipients) != 1 || e.Recipients[0] != want {
		t.Errorf("envelope %+v", e)
	}
}

// wantCode wants the error to be go-smtp's, with these codes; 0 is none.
func wantCode(t *testing.T, what string, err error, code int, enhanced smtp.EnhancedCode) {
	t.Helper()
	var e *smtp.SMTPError
	switch ok := errors.As(err, &e); {
	case code == 0 && err != nil, code != 0 && (!ok || e.Code != code || e.EnhancedCode != enhanced):
		t.Errorf("%s: got %v, want %d %v", what, err, code, enhanced)
	}
}
