package relay

import "time"

// Examiner is a Transport that tells how the addresses of a site have fared.
type Examiner interface {
	// Examine answers from memory, for a site that it resolved.
	Examine(*Site) []AddressHealth
}

// AddressHealth is how an address of a host has fared.
type AddressHealth struct {
	Host, Addr string
	// Failures counts the times in a row that no session could be opened there; 0 when the last
	// one could, or none was tried.
	Failures int
	// Until is until when it is tried after all the others; zero when it is not.
	Until time.Time
}
