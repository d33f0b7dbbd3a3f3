package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"postrider/dkim"
)

// keygenFlags say what key is made.
type keygenFlags struct {
	dkimFlags
	kind, selector, out string
	bits                int
	activate, dryRun    bool
}

func newDKIMKeygenCommand() *cobra.Command {
	var f keygenFlags
	keygen := &cobra.Command{
		Use:   "keygen DOMAIN",
		Short: "Make a key, and print the record to publish",
		Long: `Make a key, and print the record to publish. The key goes to
DIRECTORY/DOMAIN/SELECTOR.pem, which only its owner can read, and waits: publish the
record, then run postrider dkim rotate, which lets the key sign as soon as the record
is seen in DNS. With --activate it signs at once. With --out it goes to that file
instead, for a configuration that names each key.

RSA is what everybody verifies; an Ed25519 key beside it is for those who can.`,
		Example: `  postrider dkim keygen shop.example --config /etc/postrider.yaml
  postrider dkim keygen shop.example --type ed25519 --directory keys
  postrider dkim keygen shop.example --selector s1 --out keys/shop.example.s1.pem`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, strings.ToLower(args[0])) },
	}
	f.add(keygen)
	flags := keygen.Flags()
	flags.StringVarP(&f.kind, "type", "t", "rsa", "the `kind` of key: rsa or ed25519")
	flags.IntVarP(&f.bits, "bits", "b", dkim.DefaultBits, "the `size` of an RSA key")
	flags.StringVarP(&f.selector, "selector", "s", "", "the `selector`; default: one of the kind and the day, such as rsa20261122")
	flags.StringVarP(&f.out, "out", "o", "", "write this `file` instead of one in the directory")
	flags.BoolVar(&f.activate, "activate", false, "sign with the key at once")
	flags.BoolVar(&f.dryRun, "dry-run", false, "say what would be done, and do nothing")
	return keygen
}

func (f *keygenFlags) run(cmd *cobra.Command, domain string) error {
	if !dkim.IsName(domain) || !strings.Contains(domain, ".") {
		return fmt.Errorf("%q is not a domain name in ASCII", domain)
	}
	if f.out != "" {
		return f.writeFile(cmd, domain)
	}
	c, err := f.load()
	if err != nil {
		return err
	}
	home, err := f.home(c)
	if err != nil {
		return err
	}
	r := dkim.Rotation{Directory: home, Domain: domain, Now: time.Now(), Activate: f.activate, DryRun: f.dryRun}
	step, err := r.AddKey(dkim.Kind(f.kind), f.bits, strings.ToLower(f.selector))
	if err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	switch {
	case f.dryRun:
		fmt.Fprintf(out, "Would make a key of %s with the selector %s.\n", domain, step.Selector)
		return nil
	case f.activate:
		fmt.Fprintln(out, "Made a key, which signs from now on. Publish this record:")
	default:
		fmt.Fprintln(out, "Made a key, which waits. Publish this record, then run postrider dkim rotate:")
	}
	fmt.Fprintln(out)
	return printRecord(out, step.Record, false, false)
}

// writeFile makes a key that a configuration names.
func (f *keygenFlags) writeFile(cmd *cobra.Command, domain string) error {
	if f.selector == "" {
		return errors.New("--out needs --selector")
	}
	selector := strings.ToLower(f.selector)
	if !dkim.IsName(selector) {
		return fmt.Errorf("%q is not a selector", f.selector)
	}
	private, err := dkim.Generate(dkim.Kind(f.kind), f.bits)
	if err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	if f.dryRun {
		fmt.Fprintf(out, "Would make a key of %s in %s.\n", domain, f.out)
		return nil
	}
	if err := dkim.WriteKey(f.out, private); err != nil {
		return err
	}
	fmt.Fprintf(out, "Made a key. Publish this record, then add to dkim in the configuration\n  - {domain: %s, selector: %s, key: %s}\n\n", domain, selector, f.out)
	return printRecord(out, dkim.NewRecord(domain, selector, private), false, false)
}
