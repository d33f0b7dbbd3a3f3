package policy

import (
	"cmp"
	"hash/fnv"
	"math"

	"postrider/relay"
)

// way picks the way of a message by its sender and first recipient, so that all of it takes
// the same one at every attempt: a host with greylisting knows the triple of address, sender
// and recipient. By rendezvous hashing, a way that comes or goes moves only its own share.
func (r *route) way(e *relay.Envelope, first relay.Recipient) string {
	if len(r.ways) == 0 {
		return r.name
	}
	if len(e.Recipients) > 0 {
		first = e.Recipients[0]
	}
	best, name := math.Inf(-1), ""
	for _, w := range r.ways {
		h := fnv.New64a()
		for _, part := range []string{e.Sender.String(), first.Address.String(), w.Name} {
			h.Write([]byte(part))
			h.Write([]byte{0})
		}
		// Of independent draws -ln(u)/weight, each is the least with the odds of its weight.
		u := (float64(mix(h.Sum64())>>11) + 0.5) / (1 << 53)
		if score := float64(cmp.Or(w.Weight, 1)) / math.Log(u) * -1; score > best {
			best, name = score, w.Name
		}
	}
	return name
}

// mix spreads the last bytes that FNV has read over all bits (the finisher of MurmurHash3).
func mix(h uint64) uint64 {
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}
