package auth

import "container/list"

// recent is a map of bounded size: what was used the longest ago goes first. The zero value
// of V stands for what is not there. It is not safe for concurrent use.
type recent[K comparable, V any] struct {
	limit   int
	order   *list.List // of *pair, most recently used first
	entries map[K]*list.Element
}

type pair[K comparable, V any] struct {
	key   K
	value V
}

func newRecent[K comparable, V any](limit int) *recent[K, V] {
	return &recent[K, V]{limit: limit, order: list.New(), entries: make(map[K]*list.Element)}
}

func (r *recent[K, V]) get(key K) (value V, ok bool) {
	e, ok := r.entries[key]
	if !ok {
		return value, false
	}
	r.order.MoveToFront(e)
	return e.Value.(*pair[K, V]).value, true
}

func (r *recent[K, V]) put(key K, value V) {
	if e, ok := r.entries[key]; ok {
		e.Value.(*pair[K, V]).value = value
		r.order.MoveToFront(e)
		return
	}
	if len(r.entries) >= r.limit {
		last := r.order.Back()
		delete(r.entries, last.Value.(*pair[K, V]).key)
		r.order.Remove(last)
	}
	r.entries[key] = r.order.PushFront(&pair[K, V]{key, value})
}

func (r *recent[K, V]) drop(key K) {
	if e, ok := r.entries[key]; ok {
		r.order.Remove(e)
		delete(r.entries, key)
	}
}
