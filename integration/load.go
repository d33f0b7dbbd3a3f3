package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// LoadReport is what postrider load says at its end.
type LoadReport struct {
	Accepted int64            `json:"accepted"`
	Failed   int64            `json:"failed"`
	Failures map[string]int64 `json:"failures"`
	Seconds  float64          `json:"seconds"`
	Rate     float64          `json:"rate"`
	// Latency is in milliseconds, by p50, p90, p99, p99.9 and max.
	Latency map[string]float64 `json:"latency_ms"`
}

// Load is a postrider load that is under way.
type Load struct {
	*Process
	ids    string
	report LoadReport
	err    error
}

// StartLoad starts a load on the address. The file is where it writes the ids of the
// messages that were accepted.
func StartLoad(binary, to, file string, args ...string) (*Load, error) {
	l := &Load{ids: file}
	args = append([]string{"load", "--to", to, "--accepted", file, "--json"}, args...)
	var err error
	l.Process, err = Start(exec.Command(binary, args...), func(line string) {
		l.err = json.Unmarshal([]byte(line), &l.report)
	})
	return l, err
}

// Report waits for the end and gives the report and the ids that were accepted. Messages
// that were not accepted are no error here.
func (l *Load) Report(ctx context.Context) (LoadReport, []string, error) {
	if _, err := l.Wait(ctx); err != nil {
		return l.report, nil, err
	}
	if l.err != nil || l.report.Seconds == 0 {
		return l.report, nil, fmt.Errorf("no report from load (%v): %s", l.err, strings.Join(l.Lines(), "\n"))
	}
	ids, err := os.ReadFile(l.ids)
	return l.report, strings.Fields(string(ids)), err
}
