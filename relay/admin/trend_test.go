package admin

import (
	"math"
	"testing"
	"time"

	"postrider/relay"
)

func TestTrend(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	began := now
	trend := NewTrend(func() time.Time { return now })
	m := &relay.Message{Received: now}
	for i := range 100 {
		trend.Accepted(relay.Accepted{Message: m, Answer: time.Duration(i+1) * time.Millisecond})
	}
	trend.Refused(relay.Refused{})
	now = now.Add(hourStep)
	outcomes := []relay.Outcome{{Status: relay.Delivered}, {Status: relay.Deferred}, {Status: relay.Bounced}, {Status: relay.Expired}, {Status: relay.Moved}}
	trend.Attempted(relay.Attempted{Message: m, Outcomes: outcomes})
	trend.take(trendLevels{queued: 7, connections: 3, oldest: 12})
	now = now.Add(hourStep)
	trend.take(trendLevels{})

	got := trend.Samples(false)
	if len(got) != 2 || len(trend.Samples(true)) != 0 {
		t.Fatalf("%d samples of the hour and %d of the day, want 2 and 0", len(got), len(trend.Samples(true)))
	}
	s := got[0]
	for what, v := range map[string][2]float64{
		"seconds": {s.Seconds, 10}, "accepted": {float64(s.Accepted), 100}, "refused": {float64(s.Refused), 1}, "delivered": {float64(s.Delivered), 1},
		"deferred": {float64(s.Deferred), 1}, "failed": {float64(s.Failed), 2}, "queued": {float64(s.Queued), 7}, "connections": {float64(s.Connections), 3}, "oldest": {s.Oldest, 12},
	} {
		if v[0] != v[1] {
			t.Errorf("%s %v, want %v", what, v[0], v[1])
		}
	}
	near := func(what string, got, want float64) {
		t.Helper()
		if math.Abs(got-want) > want/7 {
			t.Errorf("%s %v ms, want about %v", what, got, want)
		}
	}
	near("p50", s.AnswerP50, 50)
	near("p99", s.AnswerP99, 99)
	near("delivery", s.DeliveryP99, 10_000)
	if s := got[1]; s.Accepted != 0 || s.AnswerP99 != 0 || s.Queued != 0 {
		t.Errorf("the second sample has something of the first: %+v", s)
	}
	for now.Sub(began) < 26*time.Hour {
		now = now.Add(hourStep)
		trend.take(trendLevels{})
	}
	hour, day := trend.Samples(false), trend.Samples(true)
	if len(hour) != hourSamples || len(day) != daySamples || day[len(day)-1].Seconds != dayStep.Seconds() {
		t.Errorf("%d samples of the hour and %d of the day", len(hour), len(day))
	}
}
