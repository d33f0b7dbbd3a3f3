package admin

import (
	"cmp"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"postrider/relay"
)

// gauges reads, when Prometheus asks, how the scheduler stands and what the parts of the
// relay measure by themselves.
type gauges struct {
	bins    func() []relay.BinStatus
	figures []func() []relay.Figure

	total, closed, loaded, away, connections, idle *prometheus.Desc
	ofBin                                          [4]*prometheus.Desc
}

// Watch adds the scheduler's state and the figures of parts to what is served. It is called
// once.
func (m *Metrics) Watch(bins func() []relay.BinStatus, figures ...func() []relay.Figure) {
	g := &gauges{bins: bins, figures: figures}
	g.total = desc("destinations", "Destinations with mail in memory or waiting, or with a connection.")
	g.closed = desc("destinations_closed", "Destinations whose mail waits for a closed gate.")
	g.loaded = desc("deliveries_loaded", "Deliveries in memory, ready for a connection.")
	g.away = desc("deliveries_underway", "Deliveries that are being attempted.")
	g.connections = desc("outbound_connections", "Connections to next hops.")
	g.idle = desc("outbound_connections_idle", "Connections to next hops that wait for mail.")
	const some = ", of the destinations with most connections or a closed gate."
	g.ofBin = [4]*prometheus.Desc{
		desc("destination_connections", "Connections of the site"+some, "destination"),
		desc("destination_window", "Connections that the site's window allows"+some, "destination"),
		desc("destination_closed", "1 while the gate is closed"+some, "destination"),
		desc("destination_loaded", "Deliveries in memory or being attempted"+some, "destination"),
	}
	m.registry.MustRegister(g)
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(namespace+"_"+name, help, labels, nil)
}

// Describe implements prometheus.Collector. It says nothing: figures are known when they
// are read.
func (g *gauges) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (g *gauges) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v int, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(v), labels...)
	}
	bins := g.bins()
	sum := sumOf(bins)
	gauge(g.total, len(bins))
	gauge(g.closed, sum.closed)
	gauge(g.loaded, sum.loaded)
	gauge(g.away, sum.away)
	gauge(g.connections, sum.connections)
	gauge(g.idle, sum.idle)
	for _, b := range notable(bins, destinationSeries) {
		name := b.To.String()
		gauge(g.ofBin[0], b.Connections, name)
		gauge(g.ofBin[1], b.Window, name)
		gauge(g.ofBin[2], number(b.Closed), name)
		gauge(g.ofBin[3], b.Loaded+b.Away, name)
	}
	for _, f := range g.figures {
		for _, figure := range f() {
			ch <- metricOf(figure)
		}
	}
}

func number(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

// binSum adds up bins. Connections belong to sites, which bins share.
type binSum struct{ closed, loaded, away, connections, idle int }

func sumOf(bins []relay.BinStatus) (s binSum) {
	sites := make(map[string]bool)
	for i := range bins {
		b := &bins[i]
		s.closed += number(b.Closed)
		s.loaded += b.Loaded
		s.away += b.Away
		if b.Site != "" && !sites[b.Site] {
			sites[b.Site] = true
			s.connections += b.Connections
			s.idle += b.Idle
		}
	}
	return s
}

// notable are the bins worth a series of their own, at most n: those that work most, and
// then those whose gate is closed.
func notable(bins []relay.BinStatus, n int) []relay.BinStatus {
	weight := func(b *relay.BinStatus) int {
		return 4*(b.Connections+b.Away) + b.Loaded + 2*number(b.Closed)
	}
	bins = slices.Clone(bins)
	slices.SortStableFunc(bins, func(a, b relay.BinStatus) int { return cmp.Compare(weight(&b), weight(&a)) })
	return bins[:min(n, len(bins))]
}

// metricOf makes a metric of a figure; one that makes no sense becomes an error that the
// scrape shows.
func metricOf(f relay.Figure) prometheus.Metric {
	var names, values []string
	for i := 0; i+1 < len(f.Labels); i += 2 {
		names, values = append(names, f.Labels[i]), append(values, f.Labels[i+1])
	}
	kind := prometheus.GaugeValue
	if f.Grows {
		kind = prometheus.CounterValue
	}
	d := desc(f.Name, f.Help, names...)
	m, err := prometheus.NewConstMetric(d, kind, f.Value, values...)
	if err != nil {
		return prometheus.NewInvalidMetric(d, err)
	}
	return m
}
