// Package feed hands events to programs elsewhere: as lines of a log, and as webhooks, each
// from its own place in an outbox on disk. It never holds up mail: what does not fit is
// dropped and counted, and whoever misses something is told how much.
package feed
