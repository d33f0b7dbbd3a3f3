package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"postrider/relay"
	"postrider/relay/admin"
)

func newQueueExportCommand() *cobra.Command {
	var flags configFlags
	var choose selectFlags
	cmd := &cobra.Command{
		Use:   "export directory [id...]",
		Short: "Copy messages to files, for another relay or for people",
		Long: `Copy messages from the queue to files in a directory, which is made: ID.eml has the bytes
of the message as they would be sent, ID.json its envelope, and what is left to deliver and
when. Both are written whole or not at all; there can be an old copy, which is replaced.

Nothing leaves the queue. To move mail to another relay, stop this one, export,
import it there, and put the spool of this one away. Or, while both run:

  postrider queue hold --sender '*@shop.example' --reason "moves to relay2"
  postrider queue export moving --sender '*@shop.example' --state held
  postrider queue import moving --config relay2.yaml
  postrider queue delete --sender '*@shop.example' --state held --reason "moved to relay2"
  postrider queue release --sender '*@shop.example' --reason "has moved" --config relay2.yaml

Of a relay that does not run, all messages can be exported, or those whose ids are named.`,
		Example: "  postrider queue export /backup/mail\n  postrider queue export lost --destination 'internet/example.com' --older 1d",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			selection, err := choose.parse(args[1:])
			if err != nil {
				return err
			}
			return withQueue(&flags, func(q queueStore) error { return export(cmd, q, args[0], selection) })
		},
	}
	flags.addFile(cmd)
	choose.add(cmd)
	return cmd
}

// withQueue does something with the queue of the configuration.
func withQueue(flags *configFlags, do func(queueStore) error) (err error) {
	c, err := flags.loadForAsking()
	if err != nil {
		return err
	}
	q, err := openQueue(c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, q.Close()) }()
	return do(q)
}

func export(cmd *cobra.Command, q queueStore, dir string, selection admin.Selection) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	bar := newCounting(cmd.ErrOrStderr(), "export", -1)
	defer bar.clear()
	var last string
	exported, gone := 0, 0
	for id, err := range q.IDs(cmd.Context(), selection) {
		if err != nil {
			return err
		}
		if id == last {
			continue // another delivery of the same message
		}
		last = id
		err := exportMessage(cmd, q, dir, id)
		switch {
		case errors.Is(err, relay.ErrNotFound):
			gone++
		case err != nil:
			return fmt.Errorf("%s were exported, then: %w", count(exported, "message"), err)
		default:
			exported++
			bar.add()
		}
	}
	bar.clear()
	fmt.Fprintf(cmd.OutOrStdout(), "%s exported to %s.\n", count(exported, "message"), dir)
	if gone > 0 {
		fmt.Fprintf(cmd.OutOrStdout(), "%s left the queue meanwhile, or never were in it.\n", count(gone, "message"))
	}
	return nil
}

// exportMessage writes both files; the record comes last, and says that there is all of it.
func exportMessage(cmd *cobra.Command, q queueStore, dir, id string) error {
	record, content, err := q.Take(cmd.Context(), id)
	if err != nil {
		return err
	}
	defer content.Close()
	err = writeFile(filepath.Join(dir, record.ID+".eml"), func(w io.Writer) error {
		n, err := io.Copy(w, content)
		if err == nil && n != record.Size {
			err = fmt.Errorf("message %s has %d bytes and should have %d", id, n, record.Size)
		}
		return err
	})
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, record.ID+".json"), func(w io.Writer) error {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(record)
	})
}

// writeFile makes a file that is whole and on the disk, or not there.
func writeFile(name string, write func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(name), ".*.tmp")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	if err := errors.Join(write(f), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}

// counting shows a person how many messages are done.
type counting struct{ bar *progressbar.ProgressBar }

// newCounting counts to most, or without an end for -1.
func newCounting(w io.Writer, what string, most int) counting {
	if !isTerminal(w) {
		return counting{}
	}
	return counting{newProgress(w, what, most, "messages")}
}

func (c counting) add() {
	if c.bar != nil {
		_ = c.bar.Add(1)
	}
}

func (c counting) clear() {
	if c.bar != nil {
		_ = c.bar.Finish()
	}
}
