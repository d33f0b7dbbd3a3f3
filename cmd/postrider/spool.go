package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"postrider/configs"
	"postrider/relay/admin"
	"postrider/spool"
)

func newSpoolCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "spool",
		GroupID: groupRelay,
		Short:   "Back up what waits, and check it",
		Long: `Back up the spool, and check that it is whole, whether or not the relay runs.

To restore a checkpoint, stop the relay, put a copy of it in the place of the directory
spool in the data directory, with the relay's user as its owner, and start the relay.
Every message that had its 250 before the checkpoint and had not been delivered by then is in it.
What was delivered since will be delivered again; see queue export for single messages.`,
	}
	cmd.AddCommand(newSpoolCheckpointCommand(), newSpoolVerifyCommand())
	return cmd
}

// isRunning says whether somebody answers at the admin socket.
func isRunning(socket string) bool {
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// openSpool opens the spool of a relay that does not run.
func openSpool(c *configs.Config) (*spool.Spool, error) {
	if _, err := os.Stat(c.Spool.Dir); err != nil {
		return nil, fmt.Errorf("no relay runs at %s, and there is no spool: %w", c.Admin.Socket, err)
	}
	return spool.Open(c.Spool)
}

func newSpoolCheckpointCommand() *cobra.Command {
	var flags configFlags
	cmd := &cobra.Command{
		Use:   "checkpoint directory",
		Short: "Copy the spool as it is now, while the relay goes on",
		Long: `Copy the spool as it is now to a directory that does not exist yet. Files are linked,
not copied, so the directory must be on the file system of the data, where the relay's own user may make
it; it takes a moment, and the relay goes on meanwhile. Copy it elsewhere, then remove it: as
long as it is there, the space of what is delivered is not free.`,
		Example: `  postrider spool checkpoint /var/lib/postrider/backup --config /etc/postrider/postrider.yaml
  rsync -a --delete /var/lib/postrider/backup/ backup.example.com:postrider/ && rm -r /var/lib/postrider/backup`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := flags.loadForAsking()
			if err != nil {
				return err
			}
			dir, err := filepath.Abs(args[0])
			if err != nil {
				return err
			}
			if err := checkpoint(cmd.Context(), c, dir); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "The spool as it is now is in %s.\n", dir)
			return nil
		},
	}
	flags.addFile(cmd)
	return cmd
}

func checkpoint(ctx context.Context, c *configs.Config, dir string) error {
	if isRunning(c.Admin.Socket) {
		return admin.NewClient(c.Admin.Socket).Checkpoint(ctx, dir)
	}
	s, err := openSpool(c)
	if err != nil {
		return err
	}
	return errors.Join(s.Checkpoint(ctx, dir), s.Close())
}

// errNotWhole ends a check that has found something.
var errNotWhole = errors.New("the spool is not whole")

func newSpoolVerifyCommand() *cobra.Command {
	var flags configFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "verify [directory]",
		Short: "Read everything in the spool, and check that it is whole",
		Long: `Read everything in the spool, and check that each message has its body and a delivery, and
each delivery its message. Of a relay that runs, a checkpoint is checked, which is removed
then. With a directory, that checkpoint is checked. The exit code is 1 where something is wrong.`,
		Example: "  postrider spool verify --config /etc/postrider/postrider.yaml\n  postrider spool verify /backup/postrider",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := flags.loadForAsking()
			if err != nil {
				return err
			}
			dir := c.Spool.Dir
			switch {
			case len(args) > 0:
				dir = args[0]
			case isRunning(c.Admin.Socket):
				dir = filepath.Join(c.Data, fmt.Sprintf("verify-%d", os.Getpid()))
				defer os.RemoveAll(dir) // it is ours, and of no use after
				if err := checkpoint(cmd.Context(), c, dir); err != nil {
					return err
				}
			}
			return verifySpool(cmd, c.Spool, dir, asJSON)
		},
	}
	flags.addFile(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON instead of text")
	return cmd
}

func verifySpool(cmd *cobra.Command, o spool.Options, dir string, asJSON bool) (err error) {
	if _, err := os.Stat(dir); err != nil {
		return err // Open would make one
	}
	o.Dir, o.Reserve, o.MinFree = dir, -1, -1
	s, err := spool.Open(o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	progress := func(int) {}
	if w := cmd.ErrOrStderr(); isTerminal(w) {
		bar := newProgress(w, "verify", -1, "records")
		progress = func(n int) { _ = bar.Set(n) }
		defer func() { _ = bar.Finish() }()
	}
	found, err := s.Verify(cmd.Context(), progress)
	if err != nil {
		return err
	}
	return printVerified(cmd, found, asJSON)
}

func printVerified(cmd *cobra.Command, v *spool.Verified, asJSON bool) error {
	out := cmd.OutOrStdout()
	if asJSON {
		if v.Faults == nil {
			v.Faults = []string{}
		}
		shown := map[string]any{
			"messages": v.Messages, "deliveries": v.Deliveries, "held": v.Held, "aside": v.Aside, "bytes": v.Bytes, "wrong": v.Wrong, "faults": v.Faults,
		}
		if err := json.NewEncoder(out).Encode(shown); err != nil {
			return err
		}
	} else {
		for _, fault := range v.Faults {
			fmt.Fprintln(out, plain(fault))
		}
		fmt.Fprintf(out, "%s with %s, %s of bodies; %d held, %d set aside; %s.\n", count(v.Messages, "message"),
			deliveries(v.Deliveries), humanize.Bytes(uint64(max(v.Bytes, 0))), v.Held, v.Aside, count(v.Wrong, "fault"))
	}
	if v.Wrong > 0 {
		return errNotWhole
	}
	return nil
}
