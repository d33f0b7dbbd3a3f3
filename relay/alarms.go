package relay

import (
	"container/heap"
	"time"
)

// alarms is a set of values, each with a time, that yields the earliest.
type alarms[T any] struct{ heap alarmHeap[T] }

// alarm is a value's place in the set; index is -1 while it is outside.
type alarm[T any] struct {
	value T
	at    time.Time
	index int
}

func newAlarm[T any](value T) *alarm[T] { return &alarm[T]{value: value, index: -1} }

// set puts the alarm at a time, or takes it out for the zero time.
func (s *alarms[T]) set(a *alarm[T], at time.Time) {
	switch {
	case at.IsZero() && a.index >= 0:
		heap.Remove(&s.heap, a.index)
	case at.IsZero():
	case a.index < 0:
		a.at = at
		heap.Push(&s.heap, a)
	case !a.at.Equal(at):
		a.at = at
		heap.Fix(&s.heap, a.index)
	}
}

// first is the earliest alarm, nil when there is none.
func (s *alarms[T]) first() *alarm[T] {
	if len(s.heap) == 0 {
		return nil
	}
	return s.heap[0]
}

// has says whether the alarm is in the set.
func (s *alarms[T]) has(a *alarm[T]) bool {
	return a.index >= 0 && a.index < len(s.heap) && s.heap[a.index] == a
}

// due takes out and returns the earliest alarm if its time has come, else nil.
func (s *alarms[T]) due(now time.Time) *alarm[T] {
	a := s.first()
	if a == nil || a.at.After(now) {
		return nil
	}
	heap.Pop(&s.heap)
	return a
}

type alarmHeap[T any] []*alarm[T]

func (h alarmHeap[T]) Len() int           { return len(h) }
func (h alarmHeap[T]) Less(i, j int) bool { return h[i].at.Before(h[j].at) }
func (h alarmHeap[T]) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}
func (h *alarmHeap[T]) Push(x any) {
	a := x.(*alarm[T])
	a.index = len(*h)
	*h = append(*h, a)
}
func (h *alarmHeap[T]) Pop() any {
	last := len(*h) - 1
	a := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	a.index = -1
	return a
}
