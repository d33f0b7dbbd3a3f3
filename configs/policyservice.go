package configs

import (
	"fmt"
	"time"

	"postrider/inbound/delegation"
)

// policyService is a server that is asked about the recipients or the messages of a listener.
type policyService struct {
	Name        string   `yaml:"name"`
	Address     string   `yaml:"address"`
	At          string   `yaml:"at"`
	Timeout     duration `yaml:"timeout"`
	Connections int      `yaml:"connections"`
	Failure     string   `yaml:"failure"`
}

// PolicyService is where a listener asks about what.
type PolicyService struct {
	delegation.Options
	// Data asks about messages when they are there, in place of each recipient.
	Data bool
}

func (s *policyService) compose() PolicyService {
	return PolicyService{
		Options: delegation.Options{
			Name: s.Name, Address: s.Address, Timeout: time.Duration(s.Timeout), Connections: s.Connections,
			Accept: s.Failure == "accept",
		},
		Data: s.At == "data",
	}
}

// composePolicyServices names the listener's services, in order.
func (l *listen) composePolicyServices(c *Config) {
	for i := range l.PolicyService {
		if c.PolicyServices == nil {
			c.PolicyServices = make(map[string][]PolicyService)
		}
		c.PolicyServices[l.Name] = append(c.PolicyServices[l.Name], l.PolicyService[i].compose())
	}
}

func (l *listen) checkPolicyServices(r *report, path string) {
	names := make(map[string]bool)
	for i := range l.PolicyService {
		s, path := &l.PolicyService[i], fmt.Sprintf("%s.policy_service[%d]", path, i)
		checkJudge(r, path, s.Name, s.Failure, names)
		if s.At != "" {
			oneOf(r, path+".at", s.At, "rcpt", "data")
		}
		if _, err := delegation.New(s.compose().Options); err != nil {
			r.fault(path+".address", "%s", err)
		}
	}
}

// checkJudge looks at what all judges of a listener have. Names are those of one kind so far.
func checkJudge(r *report, path, name, failure string, names map[string]bool) {
	switch {
	case name == "":
		r.fault(path+".name", "a name is needed")
	case names[name]:
		r.fault(path+".name", "the name %q is taken by another one above", name)
	}
	names[name] = true
	if failure != "" {
		oneOf(r, path+".failure", failure, "tempfail", "accept")
	}
}
