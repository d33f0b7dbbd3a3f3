package configs

import (
	"fmt"
	"time"

	"postrider/relay"
)

// class is the schedule of the replies of one class.
type class struct {
	Class  relay.Class `yaml:"class"`
	Least  duration    `yaml:"least"`
	First  duration    `yaml:"first"`
	Factor float64     `yaml:"factor"`
	Max    duration    `yaml:"max"`
}

// defaultClasses are those classes that have a schedule of their own.
func defaultClasses() []class {
	var list []class
	for i, b := range relay.DefaultClassBackoffs() {
		if b != (relay.Backoff{}) {
			list = append(list, class{relay.Class(i), duration(b.Least), duration(b.First), b.Factor, duration(b.Max)})
		}
	}
	return list
}

// composeClasses puts the schedules that the file gives in the place of the default ones.
func (r *retry) composeClasses() relay.ClassBackoffs {
	all := relay.DefaultClassBackoffs()
	for _, c := range r.Classes {
		all[c.Class] = relay.Backoff{Least: time.Duration(c.Least), First: time.Duration(c.First), Factor: c.Factor, Max: time.Duration(c.Max)}
	}
	return all
}

// checkClasses wants each class once, and waits that make sense.
func (r *retry) checkClasses(rep *report) {
	seen := make(map[relay.Class]bool)
	for i, c := range r.Classes {
		path := fmt.Sprintf("retry.classes[%d]", i)
		switch {
		case c.Class == relay.ClassNone:
			rep.fault(path+".class", "a class is needed: %s", list(relay.ClassWords()))
		case seen[c.Class]:
			rep.fault(path+".class", "%s stands above already", c.Class)
		case c.First <= 0:
			rep.fault(path+".first", "must be more than 0")
		case c.Least > c.First:
			rep.fault(path+".least", "is more than first")
		case c.Max < c.First:
			rep.fault(path+".max", "is less than first")
		case c.Factor < 1:
			rep.fault(path+".factor", "%v is less than 1", c.Factor)
		}
		seen[c.Class] = true
	}
}
