package policy

import (
	"fmt"

	"github.com/expr-lang/expr/vm"
)

// question evaluates conditions over one command's facts. The facts are gathered when
// the first condition needs them, so that a policy without conditions costs nothing.
type question struct {
	policy *Policy
	fill   func(*facts)
	run    *run
}

// run is what an evaluation needs and the next one uses again.
type run struct {
	vm    vm.VM
	facts facts
}

// matches evaluates a condition. A panic inside is an error: expr sees to that.
func (q *question) matches(c *condition) (bool, error) {
	if c == nil {
		return true, nil
	}
	if q.run == nil {
		q.run = q.policy.runs.Get().(*run)
		q.fill(&q.run.facts)
	}
	value, err := q.run.vm.Run(c, &q.run.facts)
	if err != nil {
		return false, err
	}
	is, ok := value.(bool)
	if !ok {
		return false, fmt.Errorf("%T is not true or false", value)
	}
	return is, nil
}

// done returns what was borrowed, without the facts: they hold on to the message.
func (q *question) done() {
	if q.run != nil {
		q.run.facts = facts{}
		q.policy.runs.Put(q.run)
	}
}
