package main

import (
	"sync/atomic"

	"github.com/rs/zerolog"
)

// logLevel lets lines of a level and above pass; which level can change. It is a
// zerolog.Sampler, which is asked before a line costs anything.
type logLevel struct{ least atomic.Int32 }

// Sample implements zerolog.Sampler.
func (l *logLevel) Sample(level zerolog.Level) bool { return int32(level) >= l.least.Load() }

// parse sets it by its word.
func (l *logLevel) parse(word string) error {
	level, err := zerolog.ParseLevel(word)
	if err == nil {
		l.set(level)
	}
	return err
}

func (l *logLevel) set(level zerolog.Level) { l.least.Store(int32(level)) }
