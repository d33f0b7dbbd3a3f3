package admin

import (
	"github.com/prometheus/client_golang/prometheus"

	"postrider/relay"
)

// outcomeCounters has a counter for each status and class, found without a look-up.
type outcomeCounters struct {
	all     [][]prometheus.Counter
	unknown prometheus.Counter
}

func newOutcomeCounters(vec *prometheus.CounterVec) outcomeCounters {
	classes := append([]string{"none"}, relay.ClassWords()...)
	c := outcomeCounters{unknown: vec.WithLabelValues("unknown", "none")}
	for _, status := range relay.Statuses() {
		for len(c.all) <= int(status) {
			c.all = append(c.all, nil)
		}
		for _, class := range classes {
			c.all[status] = append(c.all[status], vec.WithLabelValues(status.String(), class))
		}
	}
	return c
}

func (c *outcomeCounters) count(s relay.Status, class relay.Class) {
	if int(s) >= len(c.all) || int(class) >= len(c.all[s]) {
		c.unknown.Inc()
		return
	}
	c.all[s][class].Inc()
}
