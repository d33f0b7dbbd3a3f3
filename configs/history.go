package configs

import (
	"time"

	"postrider/spool"
)

// history is what is remembered of messages that have left the queue.
type history struct {
	Keep duration `yaml:"keep"`
	Size size     `yaml:"size"`
}

func defaultHistory() history {
	return history{Keep: duration(spool.DefaultHistoryKeep), Size: spool.DefaultHistorySize}
}

// compose says nothing as less than nothing, where the spool takes 0 for its default.
func (h history) compose() spool.HistoryOptions {
	if h.Keep == 0 {
		return spool.HistoryOptions{Keep: -1}
	}
	return spool.HistoryOptions{Keep: time.Duration(h.Keep), Size: int64(h.Size)}
}

func (h history) check(r *report) {
	if h.Keep > 0 && h.Size < 1<<20 {
		r.fault("history.size", "%d bytes is less than 1MiB; keep: 0 switches the history off", h.Size)
	}
}
