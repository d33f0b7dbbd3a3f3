package configs

import (
	"fmt"
	"time"

	"postrider/inbound/milter"
)

// filter is a milter that is asked about the messages of a listener.
type filter struct {
	Name        string   `yaml:"name"`
	Address     string   `yaml:"address"`
	Timeout     duration `yaml:"timeout"`
	Connections int      `yaml:"connections"`
	Failure     string   `yaml:"failure"`
}

func (f *filter) compose(hostname string) milter.Options {
	return milter.Options{
		Name: f.Name, Address: f.Address, Timeout: time.Duration(f.Timeout), Connections: f.Connections,
		Accept: f.Failure == "accept", Hostname: hostname,
	}
}

// composeMilters names the listener's milters, in order.
func (l *listen) composeMilters(c *Config) {
	for i := range l.Milters {
		if c.Milters == nil {
			c.Milters = make(map[string][]milter.Options)
		}
		c.Milters[l.Name] = append(c.Milters[l.Name], l.Milters[i].compose(c.Hostname))
	}
}

func (l *listen) checkMilters(r *report, path string) {
	names := make(map[string]bool)
	for i := range l.Milters {
		f, path := &l.Milters[i], fmt.Sprintf("%s.milters[%d]", path, i)
		checkJudge(r, path, f.Name, f.Failure, names)
		if _, err := milter.New(f.compose("")); err != nil {
			r.fault(path+".address", "%s", err)
		}
	}
}
