package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"postrider/relay/admin"
)

func newReloadCommand() *cobra.Command {
	var flags askFlags
	var status, wait bool
	reload := &cobra.Command{
		Use:     "reload",
		GroupID: groupRelay,
		Short:   "Have a running relay read its configuration again",
		Long: `Have a running relay read its configuration again, as SIGHUP does: rules, routes,
keys, users, certificates, listeners, limits, rates, the retry schedule and the log level.
It takes up the whole of it or nothing. A file with faults changes nothing; all of them are
shown, with line and column, and the exit code is 1. What takes a new start is refused by name:
hostname, data, limits.min_free, history, tls_report, events, admin and log.format.

Sessions and connections go on; rates keep what they have counted. Sessions of a listener that
is gone end before their next message. Mail in the queue is moved to where it is routed now,
also behind hosts that are down; --wait waits for that.`,
		Example: `  postrider reload --config /etc/postrider.yaml
  postrider reload --config /etc/postrider.yaml --wait
  postrider reload --config /etc/postrider.yaml --status --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := flags.client()
			if err != nil {
				return err
			}
			ask := client.Reload
			if status {
				ask = client.Reloaded
			}
			done, err := ask(cmd.Context())
			if err == nil && wait {
				done, err = awaitRerouting(cmd.Context(), client, done)
			}
			if err != nil {
				return err
			}
			if flags.json {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(done)
			}
			printReload(cmd.OutOrStdout(), done)
			return nil
		},
	}
	flags.add(reload)
	reload.Flags().BoolVar(&status, "status", false, "reload nothing; say how the latest reload ended, and how far the queue is")
	reload.Flags().BoolVar(&wait, "wait", false, "wait until all that is queued has been looked at")
	return reload
}

// reroutePoll is how often a relay is asked how far it is.
const reroutePoll = 100 * time.Millisecond

// awaitRerouting waits for the look at the queue that follows a reload.
func awaitRerouting(ctx context.Context, client *admin.Client, done admin.Reload) (admin.Reload, error) {
	for at := done.At; done.Error == "" && (done.Rerouting == nil || done.Rerouting.Began.Before(at) || done.Rerouting.Ended.IsZero()); {
		select {
		case <-ctx.Done():
			return done, ctx.Err()
		case <-time.After(reroutePoll):
		}
		var err error
		if done, err = client.Reloaded(ctx); err != nil {
			return done, err
		}
	}
	return done, nil
}

func printReload(out io.Writer, r admin.Reload) {
	switch {
	case r.Error != "":
		fmt.Fprintf(out, "Not reloaded %s ago; the configuration of before is in force:\n%s\n", age(r.At), r.Error)
	case len(r.Changed) == 0:
		fmt.Fprintln(out, "Reloaded. The configuration says what it said; certificates, keys and users were read again.")
	default:
		fmt.Fprintln(out, "Reloaded. Changed:")
		for _, key := range r.Changed {
			fmt.Fprintln(out, "  "+plain(key))
		}
	}
	p := r.Rerouting
	if p == nil || p.Began.Before(r.At) {
		return
	}
	if p.Ended.IsZero() {
		fmt.Fprintf(out, "Looking at the queue: %s seen, %d moved so far.\n", deliveries(p.Seen), p.Moved)
		return
	}
	fmt.Fprintf(out, "Looked at the queue: %s, %d moved to other routes, %d under way.\n", deliveries(p.Seen), p.Moved, p.Busy)
}
