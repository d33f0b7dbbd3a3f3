package main

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"postrider/inbound"
	"postrider/relay/admin"
)

// sendTest sends a message through the relay and follows it.
func (d *doctor) sendTest(ctx context.Context, to string, patience time.Duration) {
	const check = "message"
	server := d.localListener()
	if !d.running || server == "" {
		d.fail(check, "start the relay, with a listener on loopback that lets this host relay without TLS and login", "there is no way to send one")
		return
	}
	now := d.now()
	m := letter{fields: []string{"To: <" + to + ">", "Subject: A test of " + d.config.Hostname}}
	m.complete("postmaster@"+d.config.Hostname, "", d.config.Hostname, now)
	e := envelope{sender: "postmaster@" + d.config.Hostname, recipients: []string{to}}
	text := m.String() + "This is a test that somebody asked postrider doctor for.\r\n"
	reply, err := submit(ctx, server, &e, strings.NewReader(text))
	if err != nil {
		d.fail(check, "see the reply", "%v", err)
		return
	}
	words := strings.Fields(reply)
	id := words[len(words)-1]
	d.ok(check, "taken at %s: %s", server, reply)
	d.follow(ctx, id, patience)
}

// localListener is where this host may relay in clear, "" for nowhere.
func (d *doctor) localListener() string {
	loopback := netip.MustParseAddr("127.0.0.1")
	for _, l := range d.config.Inbound.Listeners {
		allowed := slices.ContainsFunc(d.config.Policy.Relay[l.Name], func(p netip.Prefix) bool { return p.Contains(loopback) })
		if !allowed || l.Auth == inbound.AuthRequired || l.TLS.Mode == inbound.TLSImplicit || len(l.ProxyProtocol) > 0 {
			continue
		}
		host, port, err := net.SplitHostPort(l.Address)
		if addr, _ := netip.ParseAddr(host); err == nil && (host == "" || host == "localhost" || addr == loopback || addr.IsUnspecified()) {
			return net.JoinHostPort(loopback.String(), port)
		}
	}
	return ""
}

// followEvery is how often the message is looked for.
const followEvery = 300 * time.Millisecond

// follow waits for the end of the message's life.
func (d *doctor) follow(ctx context.Context, id string, patience time.Duration) {
	const check = "message"
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ticker := time.NewTicker(followEvery)
	defer ticker.Stop()
	client := admin.NewClient(d.config.Admin.Socket)
	waits := "nothing is known of it"
	for {
		for life, err := range client.Trace(ctx, admin.TraceQuery{ID: id}) {
			if err != nil {
				break
			}
			if done := d.ended(life); done {
				return
			}
			if len(life.Waiting) > 0 {
				waits = life.Waiting[0].Reason
			}
		}
		select {
		case <-ctx.Done():
			d.warn(check, "postrider trace "+id+" tells more", "it still waits: %s", waits)
			return
		case <-ticker.C:
		}
	}
}

// ended says what became of the message, if it has left the queue.
func (d *doctor) ended(life admin.Life) bool {
	const check = "message"
	if life.Queued || len(life.Events) == 0 {
		return false
	}
	switch e := life.Events[len(life.Events)-1]; e.Event {
	case "delivered":
		d.ok(check, "%s has taken it after %v: %s", e.Host, e.At.Sub(life.Received).Round(time.Millisecond), replyText(&e))
	default:
		d.fail(check, "postrider classify says what a reply is about", "%s: %s", e.Event, replyText(&e))
	}
	return true
}
