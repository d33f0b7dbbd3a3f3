package relay

import "time"

// Rate is how much may happen in a time, such as 1,000 messages an hour. The zero Rate
// sets no limit.
type Rate struct {
	Count int64
	Per   time.Duration
}
