package relay

// Figure is one measurement of a part of the relay, for metrics. What a part counts by
// itself, beyond the facts that an Observer is told, it offers by a method
// Figures() []Figure, which is called when somebody looks.
type Figure struct {
	// Name is in snake case, with the base unit at the end, and _total for what only grows:
	// spool_syncs_total, spool_free_bytes. Those who show it put the program's name in front.
	Name string
	// Help is a line for people.
	Help string
	// Grows says that the value only grows, from the start of the process.
	Grows bool
	// Labels are names and values in turn. Their number must be bounded.
	Labels []string
	Value  float64
}
