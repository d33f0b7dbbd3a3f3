package tlsrpt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"time"

	"postrider/relay"
)

// Options is what a Reporter needs. All but Organization, HTTP, Fault, Interval, Rand and Now must
// be set.
type Options struct {
	Ledger *Ledger
	// Hostname is our name, Contact who answers for the reports and sends them, and Organization
	// who we are. Default: the domain of Contact.
	Hostname     string
	Contact      relay.Address
	Organization string
	// Lookup finds the TXT records of a name; none, without an error, where there are none.
	Lookup func(ctx context.Context, name string) ([]string, error)
	// Post queues a message of ours.
	Post func(ctx context.Context, e relay.Envelope, content io.Reader) error
	// HTTP takes reports to those who want them by HTTPS. Default: one that reaches public
	// addresses only.
	HTTP *http.Client
	// Fault is told what could not be done.
	Fault func(relay.Fault)
	// Interval is how often the ledger is written and what is due is looked for. Default 5 minutes.
	Interval time.Duration
	// Rand returns a number in [0, n). Default rand.Int64N.
	Rand func(n int64) int64
	// Now is the clock. Default time.Now.
	Now func() time.Time
}

const (
	// spread is how long after the end of a day its reports are sent at the latest: a random
	// moment, so that not everybody reports at once (RFC 8460 section 4.1).
	spread = 4 * time.Hour
	// pause is how long to wait after what failed, and patience until when to go on (RFC 8460
	// section 5.5 asks for a day).
	pause    = 30 * time.Minute
	patience = 24 * time.Hour
	// submitTimeout bounds one HTTPS request.
	submitTimeout = time.Minute
)

// Reporter sends the reports of days that are over.
type Reporter struct {
	o Options
	// delay is the random moment after midnight.
	delay time.Duration
	// next is when to look again at what could not be sent.
	next time.Time
}

// NewReporter fills in the defaults and checks the rest.
func NewReporter(o Options) (*Reporter, error) {
	if o.Ledger == nil || o.Lookup == nil || o.Post == nil || o.Hostname == "" || o.Contact.Domain == "" {
		return nil, errors.New("TLS reports: ledger, look-up, queue, hostname and contact must be set")
	}
	if o.Organization == "" {
		o.Organization = o.Contact.Domain
	}
	if o.Interval == 0 {
		o.Interval = 5 * time.Minute
	}
	if o.Rand == nil {
		o.Rand = rand.Int64N
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.HTTP == nil {
		o.HTTP = publicClient()
	}
	if o.Fault == nil {
		o.Fault = func(relay.Fault) {}
	}
	return &Reporter{o: o, delay: time.Duration(o.Rand(int64(spread)))}, nil
}

// Run writes the ledger from time to time and sends what is due, until ctx ends.
func (r *Reporter) Run(ctx context.Context) error {
	ticker := time.NewTicker(r.o.Interval)
	defer ticker.Stop()
	for {
		if err := r.o.Ledger.Flush(); err != nil {
			r.o.Fault(relay.Fault{Doing: "write the counts for TLS reports", Err: err})
		}
		if ctx.Err() != nil {
			return nil
		}
		r.send(ctx)
		select {
		case <-ctx.Done():
		case <-ticker.C:
		}
	}
}

// send sees to all days whose reports are due.
func (r *Reporter) send(ctx context.Context) {
	now := r.o.Now()
	if now.Before(r.next) {
		return
	}
	days, err := r.o.Ledger.closed()
	if err != nil {
		r.o.Fault(relay.Fault{Doing: "look for TLS reports to send", Err: err})
	}
	for _, name := range days {
		if start, err := time.Parse(dayLayout, name); err == nil && now.Before(start.Add(24*time.Hour+r.delay)) {
			continue
		}
		if err := r.sendDay(ctx, name); err != nil && ctx.Err() == nil {
			r.next = now.Add(pause)
			r.o.Fault(relay.Fault{Doing: "send the TLS reports of " + name, Err: err})
		}
	}
}

// sendDay sends the reports of one day. What is done is taken off the day's file, so that a
// crash repeats one report at most; the file goes when nothing is left, or it is too late.
func (r *Reporter) sendDay(ctx context.Context, name string) error {
	start, err := time.Parse(dayLayout, name)
	if err != nil {
		return err
	}
	day, err := r.o.Ledger.read(name)
	if err != nil {
		return err
	}
	var faults []error
	for _, domain := range slices.Sorted(maps.Keys(day.Domains)) {
		if ctx.Err() != nil {
			break // the rest stays for the next run
		}
		counts := day.Domains[domain]
		sent := len(counts.Sent)
		err := r.sendReport(ctx, domain, start, counts)
		if err == nil {
			delete(day.Domains, domain)
		} else if len(faults) < maxFaults {
			faults = append(faults, fmt.Errorf("%s: %w", domain, err))
		}
		if len(counts.Sent) > sent {
			faults = append(faults, r.o.Ledger.write(name, day))
		}
	}
	late := ctx.Err() == nil && r.o.Now().After(start.Add(24*time.Hour+spread+patience))
	if len(day.Domains) == 0 || late {
		return errors.Join(append(faults, r.o.Ledger.remove(name))...)
	}
	return errors.Join(append(faults, r.o.Ledger.write(name, day))...)
}

// maxFaults bounds the failures that one log line tells of.
const maxFaults = 10

// sendReport takes a report to everyone whom the domain names. An error means that somebody is left.
func (r *Reporter) sendReport(ctx context.Context, domain string, start time.Time, counts *Counts) error {
	txts, err := r.o.Lookup(ctx, "_smtp._tls."+domain)
	if err != nil {
		return err
	}
	uris := parseRecord(txts)
	if len(uris) == 0 {
		return nil
	}
	report := newReport(&r.o, domain, start, counts)
	content, err := report.compressed()
	if err != nil {
		return err
	}
	var faults []error
	for _, u := range uris {
		if slices.Contains(counts.Sent, u.String()) {
			continue
		}
		if err := r.submit(ctx, u, domain, report, content); err != nil {
			faults = append(faults, err)
		} else {
			counts.Sent = append(counts.Sent, u.String())
		}
	}
	return errors.Join(faults...)
}

// submit takes a report to one address. A mail's reverse-path is null: that a report could not
// be delivered is nothing that anybody wants to hear of.
func (r *Reporter) submit(ctx context.Context, u *url.URL, domain string, report *report, content []byte) error {
	to, isMail := mailbox(u)
	if !isMail {
		return r.submitOverHTTPS(ctx, u, content)
	}
	e := relay.Envelope{Recipients: []relay.Recipient{{Address: to, Notify: relay.NotifyNever}}}
	return r.o.Post(ctx, e, bytes.NewReader(r.mail(domain, to, report, content)))
}

func (r *Reporter) submitOverHTTPS(ctx context.Context, u *url.URL, content []byte) error {
	ctx, cancel := context.WithTimeout(ctx, submitTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(content))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/tlsrpt+gzip")
	response, err := r.o.HTTP.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("%s answered %s", u.Redacted(), response.Status)
	}
	return nil
}
