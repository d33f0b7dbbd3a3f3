package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"postrider/configs"
	"postrider/dkim"
)

// rotateFlags say how keys are rotated.
type rotateFlags struct {
	dkimFlags
	every, overlap           string
	activate, dryRun, asJSON bool
}

func newDKIMRotateCommand() *cobra.Command {
	var f rotateFlags
	rotate := &cobra.Command{
		Use:   "rotate [DOMAIN]...",
		Short: "Replace keys, step by step, without a gap",
		Long: `Replace keys, step by step, without a gap: each run does what can be done now, and says
what it waits for. It can be run at any time, as often as one likes, from cron too.

  1. New keys are made, with new selectors. They wait; publish their records.
  2. When a record is seen in DNS, or with --activate, its key signs, and the old one
     of the same kind is retired: it signs no more.
  3. After --overlap, when all mail that it has signed must have arrived, the old key
     is removed, and so its record can be.

For domains that are named, a rotation is begun where none is under way; with --every,
only of keys older than that. Without names, what is under way in all domains goes on,
and with --every, rotations are begun. Keys must be in a directory: see postrider
dkim --help. The state of each is shown by postrider dkim check.`,
		Example: `  postrider dkim rotate shop.example --config /etc/postrider.yaml
  postrider dkim rotate --every 180d --config /etc/postrider.yaml`,
		RunE: f.run,
	}
	f.add(rotate)
	flags := rotate.Flags()
	flags.StringVar(&f.every, "every", "", "begin a rotation of keys older than this `age`, such as 180d")
	flags.StringVar(&f.overlap, "overlap", "14d", "how long a retired key is kept, a `time` such as 14d")
	flags.BoolVar(&f.activate, "activate", false, "let new keys sign without looking into DNS")
	flags.BoolVar(&f.dryRun, "dry-run", false, "say what would be done, and do nothing")
	flags.BoolVar(&f.asJSON, "json", false, "print JSON instead of text")
	return rotate
}

func (f *rotateFlags) run(cmd *cobra.Command, domains []string) error {
	c, err := f.load()
	if err != nil {
		return err
	}
	home, err := f.home(c)
	if err != nil {
		return err
	}
	r := dkim.Rotation{
		Directory: home, Lookup: newDNS(c.Outbound.DNS).LookupTXT, Now: time.Now(),
		Begin: len(domains) > 0 || f.every != "", Activate: f.activate, DryRun: f.dryRun,
	}
	if r.Overlap, err = configs.ParseDuration(f.overlap); err != nil {
		return fmt.Errorf("--overlap: %w", err)
	}
	if r.Age, err = configs.ParseDuration(cmp.Or(f.every, "0s")); err != nil {
		return fmt.Errorf("--every: %w", err)
	}
	if len(domains) == 0 {
		entries, err := dkim.List(dkim.Options{Keys: []dkim.Key{{Directory: home}}})
		if err != nil {
			return err
		}
		for _, e := range entries {
			domains = append(domains, e.Domain)
		}
		domains = slices.Compact(domains)
	}
	return f.advance(cmd, r, domains)
}

// advance does what can be done for each domain. A failure of one does not stop the others.
func (f *rotateFlags) advance(cmd *cobra.Command, r dkim.Rotation, domains []string) error {
	out := cmd.OutOrStdout()
	var errs []error
	count := 0
	for _, domain := range domains {
		r.Domain = strings.ToLower(domain)
		steps, err := r.Advance(cmd.Context())
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", r.Domain, err))
		}
		count += len(steps)
		for _, step := range steps {
			if err := f.print(out, step); err != nil {
				return err
			}
		}
	}
	if count == 0 && len(errs) == 0 && !f.asJSON {
		fmt.Fprintln(out, "There is nothing to do.")
	}
	return errors.Join(errs...)
}

func (f *rotateFlags) print(out io.Writer, s dkim.Step) error {
	if f.asJSON {
		return json.NewEncoder(out).Encode(s)
	}
	text := s.Done
	if f.dryRun && s.Done != "waits" {
		text = "would be " + s.Done
	}
	fmt.Fprintf(out, "%s, %s: %s", s.Domain, s.Selector, text)
	if s.Why != "" {
		fmt.Fprintf(out, ": %s", plain(s.Why))
	}
	fmt.Fprintln(out)
	switch {
	case s.Done == "created" && !f.dryRun:
		return printRecord(out, s.Record, false, false)
	case s.Done == "removed":
		fmt.Fprintf(out, "    its record %s can be removed from DNS\n", s.Record.Name)
	}
	return nil
}
