// Package transcript keeps transcripts of sessions: an operator orders them for some
// destinations, clients or listeners and for a time, and they are written to files of bounded
// size. A full or slow disk costs lines of a transcript and never holds up a session.
package transcript
