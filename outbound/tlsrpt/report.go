package tlsrpt

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"time"
)

// report is what a domain is sent (RFC 8460 section 4.4).
type report struct {
	Organization string         `json:"organization-name"`
	Range        dateRange      `json:"date-range"`
	Contact      string         `json:"contact-info"`
	ID           string         `json:"report-id"`
	Policies     []policyResult `json:"policies"`
}

type dateRange struct {
	Start time.Time `json:"start-datetime"`
	End   time.Time `json:"end-datetime"`
}

type policyResult struct {
	Policy  Policy          `json:"policy"`
	Summary summary         `json:"summary"`
	Details []failureDetail `json:"failure-details,omitempty"`
}

type summary struct {
	Successes int64 `json:"total-successful-session-count"`
	Failures  int64 `json:"total-failure-session-count"`
}

type failureDetail struct {
	Failure
	Count int64 `json:"failed-session-count"`
}

// newReport makes the report on a domain for the day that begins at start. The ID names the
// domain, the day and us, so that a report that is sent again is known for the same.
func newReport(o *Options, domain string, start time.Time, c *Counts) *report {
	r := &report{
		Organization: o.Organization, Contact: o.Contact.String(),
		Range: dateRange{start, start.Add(24*time.Hour - time.Second)},
		ID:    fmt.Sprintf("%s.%s@%s", start.Format(dayLayout), domain, o.Hostname),
	}
	for _, t := range c.Policies {
		p := policyResult{Policy: t.Policy, Summary: summary{t.Successes, t.Failures}}
		for _, d := range t.Details {
			p.Details = append(p.Details, failureDetail{d.Failure, d.Count})
		}
		r.Policies = append(r.Policies, p)
	}
	return r
}

// compressed gives the report as application/tlsrpt+gzip.
func (r *report) compressed() ([]byte, error) {
	text, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(text); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// name is the report's file name (RFC 8460 section 5.1).
func (r *report) name(submitter, domain string) string {
	return fmt.Sprintf("%s!%s!%d!%d.json.gz", submitter, domain, r.Range.Start.Unix(), r.Range.End.Unix())
}
