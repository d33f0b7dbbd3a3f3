package policy

import "postrider/relay"

// trace is what the rules of a stage say, in their order. Most do not match: the beginning in which
// none does is shared and never written to.
type trace struct {
	list []relay.Verdict
	// none are the verdicts of all rules as if none matched.
	none []relay.Verdict
	// room is how many that do not match there is room for.
	room int
	// next is the first rule of which nothing has been said.
	next int
}

// skip says that the rules before this one, of which nothing has been said, do not match.
func (t *trace) skip(to int) {
	n := min(to-t.next, t.room)
	switch {
	case n <= 0:
	case t.next == 0:
		t.list = t.none[:n:n]
	default:
		t.list = append(t.list, t.none[t.next:t.next+n]...)
	}
	t.room -= max(n, 0)
	t.next = to
}

// say has a rule say something. What it says later takes the place of that.
func (t *trace) say(rule int, said string) {
	if t.next > rule {
		t.list[len(t.list)-1].Said = said
		return
	}
	t.skip(rule)
	v := t.none[rule]
	v.Said = said
	t.list = append(t.list, v)
	t.room--
	t.next = rule + 1
}
