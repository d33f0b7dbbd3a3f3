package configs

import (
	"fmt"
	"slices"

	"postrider/inbound/verify"
)

// composeVerify names what the listener wants to know of where messages come from.
func (l *listen) composeVerify(c *Config) {
	if len(l.Verify) == 0 {
		return
	}
	if c.Verify == nil {
		c.Verify = make(map[string]verify.Options)
	}
	c.Verify[l.Name] = verify.Options{Hostname: c.Hostname, Methods: l.Verify}
}

func (l *listen) checkVerify(r *report, path string) {
	for i, method := range l.Verify {
		if !slices.Contains(verify.Methods(), method) {
			r.fault(fmt.Sprintf("%s.verify[%d]", path, i), "%q is not %s", method, list(verify.Methods()))
		}
	}
}
