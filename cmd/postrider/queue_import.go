package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"postrider/relay/admin"
)

func newQueueImportCommand() *cobra.Command {
	var flags configFlags
	var dryRun bool
	var change admin.Change
	cmd := &cobra.Command{
		Use:   "import directory",
		Short: "Put exported messages into the queue, each once",
		Long: `Put the messages that queue export has written into the queue of this relay, running or
not: as they are, with their ids, age and attempts, and whoever holds them. Nothing is
asked of rules or signed again, but they go where the routes of this relay say.

A message that is in the queue, or was, as far back as the history goes, is not taken
again. So an import that was broken off is simply given again. The journal says who has
imported how many, and why.`,
		Example: "  postrider queue import /backup/mail --dry-run\n  postrider queue import /backup/mail",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			names, err := exported(args[0])
			if err != nil {
				return err
			}
			if dryRun {
				return checkExported(cmd, args[0], names)
			}
			change.Author = cmp.Or(change.Author, author())
			return withQueue(&flags, func(q queueStore) error { return importAll(cmd, q, args[0], names, change) })
		},
	}
	flags.addFile(cmd)
	cmd.Flags().StringVar(&change.Reason, "reason", "no reason given", "why, for the journal")
	cmd.Flags().StringVar(&change.Author, "author", "", "in whose `name`, if not in yours")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "look at the files, and change nothing")
	return cmd
}

// exported are the names of the messages in a directory, in order of arrival.
func exported(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir) // in order of the names, which are ids
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), ".json"); ok && !strings.HasPrefix(name, ".") {
			names = append(names, name)
		}
	}
	return names, nil
}

// readExported opens a message. The caller closes the file.
func readExported(dir, name string) (*admin.Record, *os.File, error) {
	text, err := os.ReadFile(filepath.Join(dir, name+".json"))
	if err != nil {
		return nil, nil, err
	}
	record, err := admin.ParseRecord(text)
	if err != nil {
		return nil, nil, fmt.Errorf("%s.json: %w", name, err)
	}
	f, err := os.Open(filepath.Join(dir, name+".eml"))
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err == nil && info.Size() != record.Size {
		err = fmt.Errorf("%s has %d bytes, and %d according to %s.json", f.Name(), info.Size(), record.Size, name)
	}
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return record, f, nil
}

func checkExported(cmd *cobra.Command, dir string, names []string) error {
	var faults []error
	for _, name := range names {
		record, f, err := readExported(dir, name)
		if err == nil {
			_, _, err = record.Message()
			err = errors.Join(err, f.Close())
		}
		if err != nil {
			faults = append(faults, err)
		}
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s would be imported. Nothing was changed.\n", count(len(names)-len(faults), "message"))
	return errors.Join(faults...)
}

func importAll(cmd *cobra.Command, q queueStore, dir string, names []string, change admin.Change) (err error) {
	if err := q.Begin(cmd.Context(), change); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, q.End(context.WithoutCancel(cmd.Context()), err == nil)) }()
	bar := newCounting(cmd.ErrOrStderr(), "import", len(names))
	defer bar.clear()
	imported, known := 0, 0
	for _, name := range names {
		fresh, err := importMessage(cmd, q, dir, name)
		if err != nil {
			return fmt.Errorf("%s were imported, then %s: %w; give the command again to go on", count(imported, "message"), name, err)
		}
		if fresh {
			imported++
		} else {
			known++
		}
		bar.add()
	}
	bar.clear()
	fmt.Fprintf(cmd.OutOrStdout(), "%s imported; %d are here or were, and were left out.\n", count(imported, "message"), known)
	return nil
}

func importMessage(cmd *cobra.Command, q queueStore, dir, name string) (bool, error) {
	record, f, err := readExported(dir, name)
	if err != nil {
		return false, err
	}
	defer f.Close()
	return q.Put(cmd.Context(), record, f)
}
