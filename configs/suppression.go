package configs

import (
	"strings"
	"time"

	suppress "postrider/relay/suppression"
)

// suppression says when mail for unknown recipients is no longer taken.
type suppression struct {
	Keep  duration `yaml:"keep"`
	Scope string   `yaml:"scope"`
	Most  int      `yaml:"most"`
}

// suppressionMost is how long a list can be: it is in memory.
const suppressionMost = 1_000_000

func defaultSuppression() suppression {
	return suppression{Scope: "global", Most: suppress.DefaultMost}
}

// suppressionScopes are the words for whose mail a next hop's refusal suppresses.
func suppressionScopes() map[string]string {
	return map[string]string{"global": suppress.ScopeGlobal, "sender_domain": suppress.ScopeDomain, "user": suppress.ScopeUser}
}

func (s *suppression) check(r *report) {
	if s.Keep < 0 {
		r.fault("suppression.keep", "must not be less than nothing")
	}
	if suppressionScopes()[s.Scope] == "" {
		r.fault("suppression.scope", "%q is not one of %s", s.Scope, strings.Join([]string{"global", "sender_domain", "user"}, ", "))
	}
	if s.Most < 1 || s.Most > suppressionMost {
		r.fault("suppression.most", "%d: want 1 to %d: the list is in memory", s.Most, suppressionMost)
	}
}

func (s *suppression) compose() suppress.Terms {
	return suppress.Terms{Keep: time.Duration(s.Keep), Scope: suppressionScopes()[s.Scope], Most: s.Most}
}
