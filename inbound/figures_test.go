package inbound_test

import (
	"strings"
	"testing"

	"postrider/inbound"
)

// Connections are counted by listener, also those that are turned away, and handshakes by version.
func TestFigures(t *testing.T) {
	t.Parallel()
	h, config := withTLS(t, inbound.TLSStartTLS)
	h.options.Limits.Connections = 2
	h.open().run()
	c := h.dial()
	c.codes("220")
	c.send("EHLO client.example\r\n")
	c.ehlo()
	c.talk("C: STARTTLS\nS: 220 2.0.0 Ready to start TLS")
	c.startTLS(config)
	c.talk("C: NOOP\nS: 250 2.0.0 Ok")
	h.greeted()
	h.dial().talk("S: 421 4.7.0 Too many connections, try again later\nS: EOF")
	got := make(map[string]float64)
	for _, f := range h.server.Figures() {
		got[f.Name+" "+strings.Join(f.Labels, "=")] = f.Value
	}
	for name, want := range map[string]float64{
		"inbound_connections listener=main":                2,
		"inbound_connections_accepted_total listener=main": 2,
		"inbound_connections_refused_total listener=main":  1,
		"inbound_tls_handshakes_total version=TLSv1.3":     1,
	} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v; all: %v", name, got[name], want, got)
		}
	}
}
