package relay

// Observers tells several observers each fact, in order. It is how logs, metrics and
// events hang on the same facts.
type Observers []Observer

var _ Observer = Observers(nil)

// Accepted tells all.
func (all Observers) Accepted(e Accepted) {
	for _, o := range all {
		o.Accepted(e)
	}
}

// Refused tells all.
func (all Observers) Refused(e Refused) {
	for _, o := range all {
		o.Refused(e)
	}
}

// Attempted tells all.
func (all Observers) Attempted(e Attempted) {
	for _, o := range all {
		o.Attempted(e)
	}
}

// Notified tells all.
func (all Observers) Notified(e Notified) {
	for _, o := range all {
		o.Notified(e)
	}
}

// Held tells all.
func (all Observers) Held(e Held) {
	for _, o := range all {
		o.Held(e)
	}
}

// Gated tells all.
func (all Observers) Gated(e Gated) {
	for _, o := range all {
		o.Gated(e)
	}
}

// Faulted tells all.
func (all Observers) Faulted(e Fault) {
	for _, o := range all {
		o.Faulted(e)
	}
}
