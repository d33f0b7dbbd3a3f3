package admin_test

import (
	"testing"

	"postrider/relay"
)

func TestSeries(t *testing.T) {
	t.Parallel()
	s := serve(t, 3)
	for range 3 {
		s.metrics.Attempted(attempted("one.test", relay.Outcome{Status: relay.Delivered}, relay.Outcome{Status: relay.Bounced}))
	}
	series, err := s.client.Metrics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		labels []string
		want   float64
	}{
		{"postrider_recipients_total", nil, 6},
		{"postrider_recipients_total", []string{`status="bounced"`}, 3},
		{"postrider_recipients_total", []string{`status="bounced"`, `class="user"`}, 0},
		{"postrider_recipients", nil, 0},
		{"postrider_queue_deliveries", nil, 6},
	} {
		if got := series.Sum(tt.name, tt.labels...); got != tt.want {
			t.Errorf("%s %q: got %v, want %v", tt.name, tt.labels, got, tt.want)
		}
	}
}
