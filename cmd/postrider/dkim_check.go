package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"postrider/dkim"
)

// lookupTime bounds what is asked of DNS about one key.
const lookupTime = 20 * time.Second

var errPublished = errors.New("not every key that signs is published")

// checkReport is what dkim check says of a key.
type checkReport struct {
	dkim.Entry
	Name        string           `json:"name"`
	Publication dkim.Publication `json:"publication"`
	Fault       string           `json:"fault,omitempty"`
}

func newDKIMCheckCommand() *cobra.Command {
	var flags dkimFlags
	var asJSON bool
	check := &cobra.Command{
		Use:   "check [DOMAIN]...",
		Short: "Compare what is published in DNS with the keys",
		Long: `Compare what is published in DNS with the keys, all of them where no domain is
named. DNS is asked at the servers of the configuration. The exit code is 1 when a key
that signs is not published, or not so that verifiers can use it.`,
		Example: `  postrider dkim check --config /etc/postrider.yaml
  postrider dkim check shop.example --json --config /etc/postrider.yaml`,
		RunE: func(cmd *cobra.Command, domains []string) error {
			c, err := flags.load()
			if err != nil {
				return err
			}
			entries, err := flags.entries(c, domains)
			if err != nil {
				return err
			}
			return checkEntries(cmd.Context(), cmd.OutOrStdout(), entries, newDNS(c.Outbound.DNS).LookupTXT, asJSON)
		},
	}
	flags.add(check)
	check.Flags().BoolVar(&asJSON, "json", false, "print JSON instead of text")
	return check
}

func checkEntries(ctx context.Context, out io.Writer, entries []dkim.Entry, lookup dkim.LookupTXT, asJSON bool) error {
	faulty := false
	for _, e := range entries {
		r := checkEntry(ctx, e, lookup)
		faulty = faulty || r.State == dkim.Active && r.Publication != dkim.Published
		if asJSON {
			if err := json.NewEncoder(out).Encode(r); err != nil {
				return err
			}
			continue
		}
		kind := string(e.Kind)
		if e.Bits > 0 {
			kind += fmt.Sprintf(" %d", e.Bits)
		}
		fmt.Fprintf(out, "%-9s  %s (%s, %s)\n", r.Publication, r.Name, kind, e.State)
		if r.Fault != "" {
			fmt.Fprintf(out, "           %s\n", plain(r.Fault))
		}
	}
	if faulty {
		return errPublished
	}
	return nil
}

func checkEntry(ctx context.Context, e dkim.Entry, lookup dkim.LookupTXT) checkReport {
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	r := checkReport{Entry: e, Name: e.Record.Name}
	var err error
	if r.Publication, err = e.Record.Check(ctx, lookup); err != nil {
		r.Fault = err.Error()
	}
	return r
}
