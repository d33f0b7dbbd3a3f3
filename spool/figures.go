package spool

import (
	"context"
	"math"
	"time"

	"postrider/relay"
)

// Figures measures what the spool asks of its disk. Bytes written, by those of the messages
// accepted, are its write amplification.
func (s *Spool) Figures() []relay.Figure {
	figures := []relay.Figure{
		{Name: "spool_syncs_total", Help: "Syncs of the spool's files, which wait for the disk.", Grows: true, Value: float64(s.disk.syncs.Load())},
		{Name: "spool_written_bytes_total", Help: "Bytes written to the spool's files.", Grows: true, Value: float64(s.disk.written.Load())},
		{Name: "spool_min_free_bytes", Help: "Free space below which no new mail is accepted.", Value: float64(max(s.o.MinFree, 0))},
	}
	if err := s.enter(context.Background()); err != nil {
		return figures
	}
	defer s.leave()
	m := s.db.Metrics()
	figures = append(figures,
		relay.Figure{Name: "spool_used_bytes", Help: "Bytes that the spool takes on its disk.", Value: float64(m.DiskSpaceUsage())},
		relay.Figure{Name: "spool_compactions_total", Help: "Compactions of the spool's tables.", Grows: true, Value: float64(m.Compact.Count)},
	)
	if s.o.History.on() {
		figures = append(figures,
			relay.Figure{Name: "history_used_bytes", Help: "Bytes that the history takes on disk, roughly.", Value: float64(s.historySize(later(s.historyFrom(), time.UnixMilli(0))))},
			relay.Figure{Name: "history_limit_bytes", Help: "Bytes that the history may take before its oldest part is dropped; 0 for any number.", Value: float64(max(s.o.History.Size, 0))},
		)
	}
	if free, err := s.o.FreeSpace(); err == nil && free < math.MaxInt64 {
		figures = append(figures, relay.Figure{Name: "spool_free_bytes", Help: "Free space of the spool's disk.", Value: float64(free)})
	}
	return figures
}

func later(t, u time.Time) time.Time {
	if t.After(u) {
		return t
	}
	return u
}
