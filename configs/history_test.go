package configs

import (
	"testing"
	"time"

	"postrider/spool"
)

func TestHistory(t *testing.T) {
	t.Parallel()
	fault := spool.HistoryOptions{Keep: -2}
	for text, want := range map[string]spool.HistoryOptions{
		"":                       {Keep: 7 * 24 * time.Hour, Size: 1 << 30},
		"{keep: 30d}":            {Keep: 30 * 24 * time.Hour, Size: 1 << 30},
		"{keep: 12h, size: 5MB}": {Keep: 12 * time.Hour, Size: 5e6},
		"{keep: 0s}":             {Keep: -1},
		"{keep: 0}":              {Keep: -1},
		"{size: 0}":              fault,
		"{keep: forever}":        fault,
	} {
		c, err := load("x.yaml", []byte("hostname: relay.example.com\ndata: /data\nhistory: "+text+"\n"), Overrides{})
		got := fault
		if err == nil {
			got = c.Spool.History
		}
		if got != want {
			t.Errorf("%s: got %+v, want %+v (%v)", text, got, want, err)
		}
	}
}
