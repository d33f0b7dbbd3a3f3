package main

import (
	"strings"
	"testing"
)

func TestTable(t *testing.T) {
	t.Parallel()
	r := newTable([]string{postfix, exim, postrider})
	for _, v := range []float64{900, 1000, 5000} {
		r.add("relay", postfix, measurement{figureRate: v, figureCPU: 0.9})
		r.add("relay", postrider, measurement{figureRate: v * 5, figureCPU: 0.3})
	}
	got := r.String()
	for _, want := range []string{
		"| case | figure | Postfix | Exim | Postrider |\n",
		"| relay | messages/s | 1000 (5.0x) |  | 5000 |\n",
		"|  | CPU ms per message | 0.9 (3.0x) |  | 0.3 |\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("table lacks %q:\n%s", want, got)
		}
	}
	if strings.Contains(got, figureSyncs) {
		t.Errorf("table has a row without a figure:\n%s", got)
	}
}

func TestMedian(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		values []float64
		want   float64
		ok     bool
	}{
		{nil, 0, false},
		{[]float64{3}, 3, true},
		{[]float64{9, 1, 2}, 2, true},
		{[]float64{4, 1, 2, 9}, 3, true},
	} {
		if got, ok := median(tt.values); got != tt.want || ok != tt.ok {
			t.Errorf("median(%v) = %v, %v; want %v, %v", tt.values, got, ok, tt.want, tt.ok)
		}
	}
}
