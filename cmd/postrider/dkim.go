package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"postrider/configs"
	"postrider/dkim"
)

func newDKIMCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "dkim",
		GroupID: groupRelay,
		Short:   "Make, publish, check and rotate the keys that mail is signed with",
		Long: `Make, publish, check and rotate the keys that mail is signed with.

For a gateway of many domains, let the configuration name a directory:

  dkim:
    - directory: keys

Then each domain takes one command, which makes its key and prints the record to
publish, and one line for cron does the rest for all of them: it lets keys sign once
their records are seen in DNS, and, with --every, replaces keys as they age.

  postrider dkim keygen shop.example --config /etc/postrider.yaml
  postrider dkim rotate --every 180d --config /etc/postrider.yaml

A running relay reads keys again when their files change.`,
	}
	cmd.AddCommand(newDKIMKeygenCommand(), newDKIMRecordCommand(), newDKIMCheckCommand(), newDKIMRotateCommand())
	return cmd
}

// dkimFlags say where keys are.
type dkimFlags struct {
	config    configFlags
	directory string
}

func (f *dkimFlags) add(cmd *cobra.Command) {
	f.config.addFile(cmd)
	cmd.Flags().StringVarP(&f.directory, "directory", "d", "", "the `directory` of keys; default: the one of the configuration")
}

// load gives the configuration, nil where only a directory was named.
func (f *dkimFlags) load() (*configs.Config, error) {
	if f.config.file == "" {
		// Looking at keys needs no name, which running does.
		f.config.overrides.Hostname = "relay.invalid"
	}
	// A rule may name the key that the command is about to make.
	f.config.overrides.KeysToCome = true
	return f.config.load()
}

// options are the keys that are meant: those in --directory, else the configuration's.
func (f *dkimFlags) options(c *configs.Config) dkim.Options {
	if f.directory != "" {
		return dkim.Options{Keys: []dkim.Key{{Directory: f.directory}}}
	}
	return c.DKIM
}

// home finds the directory where keys of a domain are made and rotated.
func (f *dkimFlags) home(c *configs.Config) (string, error) {
	var found []string
	for _, k := range f.options(c).Keys {
		if k.Directory != "" {
			found = append(found, k.Directory)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return "", errors.New("no directory of keys, and keys that are named one by one are not made or rotated: " +
			"give --directory, or move them to DIRECTORY/DOMAIN/SELECTOR.pem and write dkim: [{directory: DIRECTORY}]")
	}
	return "", fmt.Errorf("the configuration has several directories of keys, name one with --directory: %s", strings.Join(found, ", "))
}

// entries gives the keys of the domains that are named, or all.
func (f *dkimFlags) entries(c *configs.Config, domains []string) ([]dkim.Entry, error) {
	all, err := dkim.List(f.options(c))
	if err != nil {
		return nil, err
	}
	for i := range domains {
		domains[i] = strings.ToLower(domains[i])
	}
	for _, domain := range domains {
		if !slices.ContainsFunc(all, func(e dkim.Entry) bool { return e.Domain == domain }) {
			return nil, fmt.Errorf("no key for %s", domain)
		}
	}
	if len(all) == 0 {
		return nil, errors.New("no keys: postrider dkim keygen makes them")
	}
	if len(domains) > 0 {
		all = slices.DeleteFunc(all, func(e dkim.Entry) bool { return !slices.Contains(domains, e.Domain) })
	}
	return all, nil
}
