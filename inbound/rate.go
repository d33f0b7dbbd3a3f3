package inbound

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"postrider/inbound/auth"
	"postrider/relay"
)

// metersKept is how many meters are remembered for sure.
const metersKept = 50_000

// meters measure what clients, users and senders do. A meter is one moment, that at which
// the bucket will have leaked empty: the algorithm is the generic cell rate algorithm. They are in
// two generations: when the younger has metersKept, the older, of which nothing has been seen for
// so many others, is forgotten.
type meters struct {
	now func() time.Time

	mu         sync.Mutex
	young, old map[meter]time.Time
}

// meter names what is measured. Of network and name one is set.
type meter struct {
	what    string
	network netip.Prefix
	name    string
}

// claim is one more on a meter, if its rate allows it.
type claim struct {
	meter  meter
	rate   auth.Rate
	reason relay.Reason
}

func newMeters(now func() time.Time) *meters {
	return &meters{now: now, young: map[meter]time.Time{}, old: map[meter]time.Time{}}
}

// take makes all of the claims, or none and returns the one that there is no room for. For
// those that are to be made later there must be room.
func (m *meters) take(claims []claim, later ...claim) *claim {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	for _, c := range slices.Concat(claims, later) {
		if m.empty(c, now).Sub(now) > c.rate.Per {
			return &c
		}
	}
	m.spend(claims, now)
	return nil
}

// makeLater makes claims that there was room for.
func (m *meters) makeLater(claims []claim) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.spend(claims, m.now())
}

func (m *meters) spend(claims []claim, now time.Time) {
	for _, c := range claims {
		m.put(c.meter, m.empty(c, now))
	}
}

// empty is when the bucket would have leaked empty with the claim in it.
func (m *meters) empty(c claim, now time.Time) time.Time {
	at, ok := m.young[c.meter]
	if !ok {
		at = m.old[c.meter]
	}
	if at.Before(now) {
		at = now
	}
	return at.Add(c.rate.Per / time.Duration(c.rate.N))
}

func (m *meters) put(key meter, at time.Time) {
	if len(m.young) >= metersKept {
		m.young, m.old = make(map[meter]time.Time), m.young
	}
	m.young[key] = at
}

// claims are what a session's next message, or recipient, is measured as.
func (s *session) claims(what string, client, user auth.Rate) []claim {
	var claims []claim
	if network := networkOf(s.origin.Client); client.N > 0 && network.IsValid() {
		claims = append(claims, claim{meter{what: what + " of client", network: network}, client, relay.ReasonRatePerClient})
	}
	if s.origin.User != "" && user.N > 0 {
		claims = append(claims, claim{meter{what: what + " of user", name: s.origin.User}, user, relay.ReasonRatePerUser})
	}
	return claims
}

// ofSender are made when a recipient has been accepted: who may not relay must not use up what
// others may send in their own name.
func (s *session) ofSender(what string, rate auth.Rate) []claim {
	from := s.mail.envelope.Sender
	if rate.N <= 0 || from.IsNull() {
		return nil
	}
	return []claim{{meter{what: what + " of sender", name: strings.ToLower(from.String())}, rate, relay.ReasonRatePerSender}}
}

// meterSender measures an accepted recipient, and the message with its first one.
func (s *session) meterSender() {
	s.server.meters.makeLater(s.ofSender("recipients", s.limits.RecipientRatePerSender))
	if s.accepted == 0 {
		s.server.meters.makeLater(s.ofSender("messages", s.limits.RatePerSender))
	}
}

// own is what the session's user has been given; it comes before what all users have.
func (s *session) own() auth.Identity {
	if s.identity == nil {
		return auth.Identity{}
	}
	return *s.identity
}

// meterMessage counts a message, or says why there cannot be one now. Mail over a rate
// waits at the client; it is never lost.
func (s *session) meterMessage() *relay.Reply {
	l := &s.limits
	own := s.own()
	over := s.server.meters.take(s.claims("messages", l.RatePerClient, cmp.Or(own.Rate, l.RatePerUser)), s.ofSender("messages", l.RatePerSender)...)
	return s.overRate("mail", over, &replyRate)
}

// meterRecipient counts a recipient, or says why the message cannot have one more now.
func (s *session) meterRecipient() *relay.Reply {
	l := &s.limits
	own := s.own()
	over := s.server.meters.take(s.claims("recipients", l.RecipientRatePerClient, cmp.Or(own.Quota, l.RecipientRatePerUser)), s.ofSender("recipients", l.RecipientRatePerSender)...)
	return s.overRate("rcpt", over, &replyRecipientRate)
}

func (s *session) overRate(stage string, over *claim, reply *relay.Reply) *relay.Reply {
	if over == nil {
		return nil
	}
	reply = reply.For(over.reason).Because(fmt.Errorf("over the rate of %s for %s", over.rate, over.meter.what))
	s.observe(stage, reply)
	return reply
}
