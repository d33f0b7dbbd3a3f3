package relay

import (
	"maps"
	"path"
	"slices"
	"strings"
	"time"
)

// Limits bound what goes out and how fast, and say how it is shared. Where several of a
// kind match, the first counts. Patterns are those of path.Match, in lower case.
type Limits struct {
	// Routes has the rates of routes as a whole, by name.
	Routes map[string][]Rate
	// Destinations are limits of each destination of its own.
	Destinations []DestinationLimit
	// Providers are limits of sites that belong together.
	Providers []ProviderLimit
	// Flows are what flows get, in all.
	Flows []FlowLimit
}

// DestinationLimit bounds each destination whose domain matches.
type DestinationLimit struct {
	// Domain is a pattern, such as *.example.com.
	Domain string
	// Connections is how many deliveries to the destination go on at once; 0 sets no limit.
	Connections int
	Rates       []Rate
}

// ProviderLimit bounds all sites together that have a host which matches.
type ProviderLimit struct {
	// Name is for operators.
	Name string
	// MX are patterns of host names, such as *.protection.outlook.com.
	MX []string
	// Connections is the most connections to all its sites; 0 sets no limit.
	Connections int
	Rates       []Rate
}

// FlowLimit is the share and the rates of each flow whose name matches.
type FlowLimit struct {
	// Name is a pattern.
	Name string
	// Weight is the flow's share of a destination, relative to the others'; 0 means 1.
	Weight float64
	Rates  []Rate
}

// limiter applies the Limits. It is guarded by the Scheduler's mu.
type limiter struct {
	o         Limits
	providers []*provider
	meters    map[string]*meter
	// alarms are those of the buckets at which anybody waits; wake is told of them.
	alarms alarms[*bucket]
	wake   func(time.Time)
	// known is what is known of bins and flows, in bytes of memory.
	known int64
	// resumed has the states of meters of an earlier process that have not been asked for yet.
	resumed map[string][]byte
	now     func() time.Time
}

// provider is what sites of one provider have in common.
type provider struct {
	name        string
	most        int
	connections int
	meters      meters
}

func newLimiter(o Limits, now func() time.Time) *limiter {
	l := &limiter{o: o, meters: make(map[string]*meter), resumed: make(map[string][]byte), now: now, wake: func(time.Time) {}}
	for _, p := range o.Providers {
		l.providers = append(l.providers, &provider{name: p.Name, most: p.Connections, meters: l.hold(nil, "provider "+p.Name, p.Rates)})
	}
	return l
}

// hold adds the meter of that name to those of a holder, if there are rates to keep.
func (l *limiter) hold(ms meters, name string, rates []Rate) meters {
	if len(rates) == 0 {
		return ms
	}
	m := l.meters[name]
	if m == nil {
		m = newMeter(name, rates)
		if state, ok := l.resumed[name]; ok {
			delete(l.resumed, name)
			m.resume(state, l.now())
		}
		l.meters[name] = m
	}
	m.users++
	return append(ms, m)
}

// drop lets go of a holder's meters. Those that nobody holds go when they are idle.
func (l *limiter) drop(ms meters) {
	for _, m := range ms {
		m.users--
	}
}

// ofDestination gives the meters of a destination and how many deliveries may go on to it.
func (l *limiter) ofDestination(to Destination) (ms meters, connections int) {
	ms = l.hold(nil, "route "+to.Route, l.o.Routes[to.Route])
	for _, d := range l.o.Destinations {
		if matches(d.Domain, to.Domain) {
			return l.hold(ms, "destination "+to.String(), d.Rates), d.Connections
		}
	}
	return ms, 0
}

// idle gives the meters that a destination would have, without holding on to them: what was spent at
// those that are not in use counts as an earlier process left it.
func (l *limiter) idle(to Destination) meters {
	rates := map[string][]Rate{"route " + to.Route: l.o.Routes[to.Route]}
	for _, d := range l.o.Destinations {
		if matches(d.Domain, to.Domain) {
			rates["destination "+to.String()] = d.Rates
			break
		}
	}
	var ms meters
	for _, name := range slices.Sorted(maps.Keys(rates)) {
		m := l.meters[name]
		if m == nil {
			m = newMeter(name, rates[name])
			m.resume(l.resumed[name], l.now())
		}
		ms = append(ms, m)
	}
	return ms
}

// ofSite gives the meters of a site, and its provider's.
func (l *limiter) ofSite(site *Site) (ms meters, p *provider) {
	ms = l.hold(nil, "site "+site.Key, site.Rates)
	for i := range l.o.Providers {
		if l.o.Providers[i].has(site) {
			for _, m := range l.providers[i].meters {
				m.users++
				ms = append(ms, m)
			}
			return ms, l.providers[i]
		}
	}
	return ms, nil
}

// has says whether the site is the provider's.
func (p *ProviderLimit) has(site *Site) bool {
	return slices.ContainsFunc(p.MX, func(pattern string) bool {
		return slices.ContainsFunc(site.Names, func(name string) bool { return matches(pattern, name) })
	})
}

// ofFlow gives the meters and the weight of a flow.
func (l *limiter) ofFlow(name string) (ms meters, weight float64) {
	for _, f := range l.o.Flows {
		if matches(f.Name, name) {
			if weight = f.Weight; weight <= 0 {
				weight = 1
			}
			return l.hold(nil, "flow "+name, f.Rates), weight
		}
	}
	return nil, 1
}

// recall takes the state of a meter of an earlier process, for when it is asked for.
func (l *limiter) recall(name string, state []byte) {
	if m := l.meters[name]; m != nil {
		m.resume(state, l.now())
		return
	}
	l.resumed[name] = state
}

// changes are the notes about the meters that have changed since the last time. Meters that make
// no difference any more are forgotten.
func (l *limiter) changes(now time.Time) []Note {
	var notes []Note
	for name, m := range l.meters {
		over := m.users <= 0 && m.idle(now)
		switch {
		case over:
			delete(l.meters, name)
			notes = append(notes, Note{Key: noteRate + name})
		case m.dirty:
			notes = append(notes, Note{Key: noteRate + name, Value: m.state()})
		}
		m.dirty = false
	}
	for name, state := range l.resumed {
		if over(state, now) {
			delete(l.resumed, name)
			notes = append(notes, Note{Key: noteRate + name})
		}
	}
	return notes
}

// matches says whether a name fits a pattern. Slashes are letters like any other: there are none
// in domains, and flows can have them.
func matches(pattern, name string) bool {
	swap := strings.NewReplacer("/", "\x01")
	ok, err := path.Match(swap.Replace(pattern), swap.Replace(strings.ToLower(name)))
	return ok && err == nil
}
