package configs

import (
	"fmt"
	"time"

	"postrider/inbound/hook"
)

// judgeHook is an HTTP service that is asked about the messages of a listener.
type judgeHook struct {
	Name        string   `yaml:"name"`
	URL         string   `yaml:"url"`
	Secret      string   `yaml:"secret"`
	Timeout     duration `yaml:"timeout"`
	Connections int      `yaml:"connections"`
	Failure     string   `yaml:"failure"`
}

func (h *judgeHook) compose() hook.Options {
	return hook.Options{
		Name: h.Name, URL: h.URL, Secret: h.Secret, Timeout: time.Duration(h.Timeout), Connections: h.Connections,
		Accept: h.Failure == "accept",
	}
}

// composeHooks names the listener's hooks, in order.
func (l *listen) composeHooks(c *Config) {
	for i := range l.Hooks {
		if c.Hooks == nil {
			c.Hooks = make(map[string][]hook.Options)
		}
		c.Hooks[l.Name] = append(c.Hooks[l.Name], l.Hooks[i].compose())
	}
}

func (l *listen) checkHooks(r *report, path string) {
	names := make(map[string]bool)
	for i := range l.Hooks {
		h, path := &l.Hooks[i], fmt.Sprintf("%s.hooks[%d]", path, i)
		checkJudge(r, path, h.Name, h.Failure, names)
		if _, err := hook.New(h.compose()); err != nil {
			r.fault(path+".url", "%s", err)
		}
	}
}
