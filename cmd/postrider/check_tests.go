package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"postrider/configs"
)

// checkTests puts each expectation to the configuration, and says what is not so.
func checkTests(ctx context.Context, w io.Writer, config *configs.Config, file string) error {
	tests, err := configs.LoadExpectations(file)
	if err != nil {
		return err
	}
	unmet := 0
	for _, test := range tests {
		faults, err := checkExpectation(ctx, config, &test)
		if err != nil {
			return fmt.Errorf("%s: %w", test.Name, err)
		}
		if len(faults) > 0 {
			unmet++
			fmt.Fprintf(w, "FAIL %s\n  %s\n", test.Name, strings.Join(faults, "\n  "))
		}
	}
	fmt.Fprintf(w, "%s, %d not met.\n", count(len(tests), "expectation"), unmet)
	if unmet > 0 {
		return errUnmet
	}
	return nil
}

// checkExpectation lists what is not as it is expected.
func checkExpectation(ctx context.Context, config *configs.Config, test *configs.Expectation) ([]string, error) {
	e, err := explainMessage(ctx, config, question{
		client: test.Client, helo: test.Helo, user: test.User, listener: test.Listener, tls: test.TLS,
		from: test.From, to: test.To, message: strings.ReplaceAll(test.Message, "\n", "\r\n"),
	})
	if err != nil {
		return nil, err
	}
	var faults []string
	fault := func(is bool, what string, got, want any) {
		if is {
			faults = append(faults, fmt.Sprintf("%s: got %v, want %v", what, got, want))
		}
	}
	x := &test.Expect
	fault(!strings.HasPrefix(e.Reply, x.Reply), "reply", e.Reply, x.Reply)
	fault(x.Sender != "" && e.Sender != x.Sender, "sender", e.Sender, x.Sender)
	var matched, destinations, recipients, held []string
	for _, r := range e.Rules {
		if r.Said != "" {
			matched = append(matched, r.Rule)
		}
	}
	for _, d := range e.Deliveries {
		destinations, recipients = append(destinations, d.Destination), append(recipients, d.Recipients...)
		held = append(held, d.Held)
	}
	fault(x.Held != "" && !slices.Contains(held, x.Held), "held", held, x.Held)
	for _, set := range []struct {
		what      string
		got, want []string
		all       bool
	}{
		{"rules", matched, x.Rules, false}, {"destinations", destinations, x.Destinations, true},
		{"recipients", recipients, x.Recipients, true}, {"discarded", e.Discarded, x.Discarded, true},
		{"tags", e.Tags, x.Tags, false}, {"header", strings.Split(e.Header, "\r\n"), x.Header, false}, {"signed", e.Signed, x.Signed, true},
	} {
		fault(!meets(set.got, set.want, set.all), set.what, set.got, set.want)
	}
	return faults, nil
}

// meets says that what is wanted is there, and with all that nothing else is.
func meets(got, want []string, all bool) bool {
	for _, w := range want {
		if !slices.Contains(got, w) {
			return false
		}
	}
	return !all || len(want) == 0 || len(got) == len(want)
}
