package admin

import (
	"bufio"
	"context"
	"fmt"
	"strconv"
	"strings"
)

// Series are the values of metrics by name and labels, as Prometheus reads them:
// `name{label="value"}`.
type Series map[string]float64

// Sum adds up the series of a metric that have all of the labels, each as `label="value"`.
func (s Series) Sum(name string, labels ...string) float64 {
	sum := 0.0
next:
	for series, v := range s {
		rest, found := strings.CutPrefix(series, name)
		if !found || rest != "" && rest[0] != '{' {
			continue
		}
		for _, label := range labels {
			if !strings.Contains(rest, label) {
				continue next
			}
		}
		sum += v
	}
	return sum
}

// By adds up the series of a metric by the value of a label.
func (s Series) By(name, label string) map[string]float64 {
	by := make(map[string]float64)
	for series, v := range s {
		rest, found := strings.CutPrefix(series, name+"{")
		if !found {
			continue
		}
		if _, rest, found = strings.Cut(","+rest, ","+label+`="`); !found {
			continue
		}
		if text, err := strconv.QuotedPrefix(`"` + rest); err == nil {
			if value, err := strconv.Unquote(text); err == nil {
				by[value] += v
			}
		}
	}
	return by
}

// Metrics reads the metrics of the daemon.
func (c *Client) Metrics(ctx context.Context) (Series, error) {
	body, err := c.get(ctx, "/metrics")
	if err != nil {
		return nil, err
	}
	defer body.Close()
	s := make(Series)
	lines := bufio.NewScanner(body)
	for lines.Scan() {
		line := lines.Text()
		i := strings.LastIndexByte(line, ' ')
		if i < 0 || line[0] == '#' {
			continue
		}
		v, err := strconv.ParseFloat(line[i+1:], 64)
		if err != nil {
			return nil, fmt.Errorf("read the daemon's metrics: %q: %w", line, err)
		}
		s[line[:i]] = v
	}
	return s, lines.Err()
}
