package relay

import "container/heap"

// fair serves competitors in proportion to what they consume: start-time fair queueing.
// Each entrant carries a clock that advances with the cost of what it was served, and the
// one that is furthest behind goes next. One that arrives late joins at the present, so it
// neither catches up on the past nor waits for others to be done. Ties go to whoever
// entered first.
type fair[T any] struct {
	heap fairHeap[T]
	now  float64
	seq  uint64
}

// entrant is a competitor's place in a fair queue; index is -1 while it is outside.
type entrant[T any] struct {
	value T
	clock float64
	seq   uint64
	index int
}

func newEntrant[T any](value T) *entrant[T] { return &entrant[T]{value: value, index: -1} }

// enter lets a competitor take part. One that does already stays where it is.
func (q *fair[T]) enter(e *entrant[T]) {
	if e.index >= 0 {
		return
	}
	q.seq++
	e.seq = q.seq
	q.resume(e)
}

// resume is enter for a competitor that was kept from its turn: it does not go to the end of the line.
func (q *fair[T]) resume(e *entrant[T]) {
	if e.index >= 0 {
		return
	}
	e.clock = max(e.clock, q.now)
	heap.Push(&q.heap, e)
}

// leave takes a competitor out; its clock stays.
func (q *fair[T]) leave(e *entrant[T]) {
	if e.index >= 0 {
		heap.Remove(&q.heap, e.index)
	}
}

// next is the competitor to be served, nil when there is none.
func (q *fair[T]) next() *entrant[T] {
	if len(q.heap) == 0 {
		return nil
	}
	return q.heap[0]
}

// charge books the cost of what a competitor has been served.
func (q *fair[T]) charge(e *entrant[T], cost float64) {
	q.now = max(q.now, e.clock)
	e.clock += cost
	if e.index >= 0 {
		q.seq++
		e.seq = q.seq
		heap.Fix(&q.heap, e.index)
	}
}

// owe sees to it that a competitor is behind by that much at least. It is for what was served without its turn.
func (q *fair[T]) owe(e *entrant[T], cost float64) {
	e.clock = max(e.clock, q.now+cost)
	if e.index >= 0 {
		heap.Fix(&q.heap, e.index)
	}
}

func (q *fair[T]) len() int { return len(q.heap) }

type fairHeap[T any] []*entrant[T]

func (h fairHeap[T]) Len() int { return len(h) }
func (h fairHeap[T]) Less(i, j int) bool {
	if h[i].clock != h[j].clock {
		return h[i].clock < h[j].clock
	}
	return h[i].seq < h[j].seq
}
func (h fairHeap[T]) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}
func (h *fairHeap[T]) Push(x any) {
	e := x.(*entrant[T])
	e.index = len(*h)
	*h = append(*h, e)
}
func (h *fairHeap[T]) Pop() any {
	last := len(*h) - 1
	e := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	e.index = -1
	return e
}
