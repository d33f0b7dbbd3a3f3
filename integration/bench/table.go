package main

import (
	"fmt"
	"slices"
	"strings"
)

// The figures that a measurement can have.
const (
	figureRate   = "messages/s"
	figureCPU    = "CPU ms per message"
	figureSyncs  = "fsyncs per message"
	figureP50    = "250 p50 ms"
	figureP99    = "250 p99 ms"
	figureMemory = "memory MB"
)

// figure is a name and which way is better.
type figure struct {
	name string
	more bool
}

func figureOrder() []figure {
	return []figure{{figureRate, true}, {figureCPU, false}, {figureSyncs, false}, {figureP50, false}, {figureP99, false}, {figureMemory, false}}
}

// table collects measurements and shows their medians.
type table struct {
	order  []string // cases as they came
	values map[cell][]float64
}

type cell struct{ name, server, figure string }

func newTable() *table { return &table{values: make(map[cell][]float64)} }

func (t *table) add(name, server string, m measurement) {
	if !slices.Contains(t.order, name) {
		t.order = append(t.order, name)
	}
	for figure, value := range m {
		c := cell{name, server, figure}
		t.values[c] = append(t.values[c], value)
	}
}

// String gives the table in Markdown. The last column says how many times better
// Postrider is, whichever way is better for the figure.
func (t *table) String() string {
	var b strings.Builder
	b.WriteString("| case | figure | Postfix | Postrider | times better |\n|---|---|---:|---:|---:|\n")
	for _, name := range t.order {
		for _, f := range figureOrder() {
			theirs, ok1 := median(t.values[cell{name, postfix, f.name}])
			ours, ok2 := median(t.values[cell{name, postrider, f.name}])
			if !ok1 && !ok2 {
				continue
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", name, f.name, number(theirs, ok1), number(ours, ok2), ratio(f, theirs, ours))
		}
	}
	return b.String()
}

func ratio(f figure, theirs, ours float64) string {
	if !f.more {
		theirs, ours = ours, theirs
	}
	if theirs == 0 || ours == 0 {
		return ""
	}
	return fmt.Sprintf("%.1f", ours/theirs)
}

func number(v float64, ok bool) string {
	switch {
	case !ok:
		return ""
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3g", v)
}

func median(values []float64) (float64, bool) {
	if len(values) == 0 {
		return 0, false
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle], true
	}
	return (sorted[middle-1] + sorted[middle]) / 2, true
}
