package outbound

// Probing says that hosts which failed are tried in the background.
func (t *Transport) Probing() bool { return t.probes.on.Load() }
