package main

import (
	"fmt"
	"slices"
	"strings"
)

// The figures that a measurement can have.
const (
	figureRate    = "messages/s"
	figureCPU     = "CPU ms per message"
	figureSyncs   = "fsyncs per message"
	figureWritten = "bytes written per byte"
	figureP50     = "250 p50 ms"
	figureP99     = "250 p99 ms"
	figureP999    = "250 p99.9 ms"
	figureMemory  = "memory MB"
	figureDisk    = "disk bytes per message"
	figureServing = "restart to the first 250, s"
	figureFirst   = "restart to the first delivery, s"
	figureDrained = "drained unaided, %"
	figureDrain   = "drain, messages/s"
	figureAlone   = "alone, messages/s"
	figureKept    = "kept beside the sick, %"
)

// figure is a name and which way is better.
type figure struct {
	name string
	more bool
}

func figureOrder() []figure {
	return []figure{
		{figureAlone, true}, {figureRate, true}, {figureKept, true},
		{figureCPU, false}, {figureSyncs, false}, {figureWritten, false},
		{figureP50, false}, {figureP99, false}, {figureP999, false},
		{figureMemory, false}, {figureDisk, false},
		{figureServing, false}, {figureFirst, false}, {figureDrained, true}, {figureDrain, true},
	}
}

// table collects measurements and shows their medians.
type table struct {
	servers []string
	order   []string // cases as they came
	values  map[cell][]float64
}

type cell struct{ name, server, figure string }

func newTable(servers []string) *table {
	return &table{servers: servers, values: make(map[cell][]float64)}
}

func (t *table) add(name, server string, m measurement) {
	if !slices.Contains(t.order, name) {
		t.order = append(t.order, name)
	}
	for figure, value := range m {
		c := cell{name, server, figure}
		t.values[c] = append(t.values[c], value)
	}
}

// String gives the table in Markdown. Beside each other server's figure stands how many times
// better Postrider's is, whichever way is better for the figure.
func (t *table) String() string {
	var b strings.Builder
	b.WriteString("| case | figure |")
	rule := "|---|---|"
	for _, s := range t.servers {
		b.WriteString(" " + title(s) + " |")
		rule += "---:|"
	}
	b.WriteString("\n" + rule + "\n")
	for _, name := range t.order {
		shown := name
		for _, f := range figureOrder() {
			if row := t.row(name, f); row != "" {
				fmt.Fprintf(&b, "| %s | %s |%s\n", shown, f.name, row)
				shown = ""
			}
		}
	}
	return b.String()
}

// row has the figure of each server, "" where nobody has it.
func (t *table) row(name string, f figure) string {
	var b strings.Builder
	ours, have := median(t.values[cell{name, postrider, f.name}])
	any := have
	for _, s := range t.servers {
		v, ok := median(t.values[cell{name, s, f.name}])
		any = any || ok
		text := number(v, ok)
		if times := ratio(f, v, ours); ok && have && s != postrider && times != "" {
			text += " (" + times + ")"
		}
		b.WriteString(" " + text + " |")
	}
	if !any {
		return ""
	}
	return b.String()
}

// title is a server's name as its people write it.
func title(server string) string { return strings.ToUpper(server[:1]) + server[1:] }

func ratio(f figure, theirs, ours float64) string {
	if !f.more {
		theirs, ours = ours, theirs
	}
	if theirs == 0 || ours == 0 {
		return ""
	}
	return fmt.Sprintf("%.1fx", ours/theirs)
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
