package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"postrider/relay/admin"
)

func newTranscriptCommand() *cobra.Command {
	t := &cobra.Command{
		Use:     "transcript",
		GroupID: groupRelay,
		Short:   "Take down what clients, next hops and the relay say to each other",
		Long: `Take down the SMTP sessions of a destination, a host, a client or a listener, for a
time: what a next hop said before it hung up, or what an old device really sends.

Sessions over TLS are taken down in clear text. Passwords and tokens are not taken
down, nor are messages, but for their length. Transcripts are files in the folder
transcripts of the data directory, of bounded size and number; the oldest go.`,
	}
	t.AddCommand(newTranscriptStartCommand(), newTranscriptListCommand(), newTranscriptShowCommand(), newTranscriptStopCommand())
	return t
}

func newTranscriptStartCommand() *cobra.Command {
	var flags askFlags
	var o admin.TranscriptOrder
	var lasting, size string
	var follow bool
	start := &cobra.Command{
		Use:   "start",
		Short: "Begin a transcript, which ends by itself",
		Long: `Begin a transcript of sessions that begin from now on, and of those with next hops from
their next message on. It ends by itself, with the relay, or with transcript stop.

--destination and --host are for sessions with next hops, --listener and --client for
those with clients. In patterns * stands for any characters.`,
		Example: `  postrider transcript start --destination internet/example.com --for 10m --reason "they defer all"
  postrider transcript start --host '*.mail.protection.outlook.com' --reason "TLS fails" --follow
  postrider transcript start --client 192.0.2.0/24 --listener submission --reason "the new printer"`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := boundTranscript(&o, lasting, size); err != nil {
				return err
			}
			client, err := flags.client()
			if err != nil {
				return err
			}
			o.Author = cmp.Or(o.Author, author())
			t, err := client.StartTranscript(cmd.Context(), o)
			if err != nil {
				return err
			}
			if flags.json {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(t)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "Transcript %s has begun, for %s or %s.\n", t.ID, age(time.Now().Add(-t.Until.Sub(t.Begun))), humanize.IBytes(uint64(t.Size)))
			if follow {
				return showTranscript(cmd, client, t.ID, true)
			}
			return nil
		},
	}
	flags.add(start)
	f := start.Flags()
	f.StringVar(&o.Destination, "destination", "", "sessions for destinations like this `pattern`: route or route/domain")
	f.StringVar(&o.Host, "host", "", "sessions with hosts whose name or address is like this `pattern`")
	f.StringVar(&o.Listener, "listener", "", "sessions at listeners like this `pattern`")
	f.StringVar(&o.Client, "client", "", "sessions of this client, an `address` or network")
	f.StringVar(&lasting, "for", "10m", "how `long`, at most a day")
	f.StringVar(&size, "size", "10MiB", "how `large` it may become, at most 100MiB")
	f.StringVar(&o.Reason, "reason", "", "why, for the journal")
	f.StringVar(&o.Author, "author", "", "who wants it, a `name`; you, if nobody is named")
	f.BoolVar(&follow, "follow", false, "show what is said, until the transcript ends or you stop it")
	start.MarkFlagsOneRequired("destination", "host", "listener", "client")
	start.MarkFlagsMutuallyExclusive("follow", "json")
	_ = start.MarkFlagRequired("reason")
	return start
}

// boundTranscript reads how long and how large.
func boundTranscript(o *admin.TranscriptOrder, lasting, size string) error {
	d, err := parseAge(lasting)
	if err != nil {
		return fmt.Errorf("--for: %w", err)
	}
	n, err := humanize.ParseBytes(size)
	if err != nil || n == 0 || n > 1<<50 {
		return fmt.Errorf("--size %q: want a size such as 500kB or 10MB", size)
	}
	o.ForSeconds, o.SizeBytes = int64(d/time.Second), int64(n)
	return nil
}

func newTranscriptListCommand() *cobra.Command {
	var flags askFlags
	list := &cobra.Command{
		Use:   "list",
		Short: "List transcripts, the oldest first",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := flags.client()
			if err != nil {
				return err
			}
			all, err := client.Transcripts(cmd.Context())
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			if flags.json {
				return json.NewEncoder(out).Encode(all)
			}
			if len(all) == 0 {
				fmt.Fprintln(out, "There are no transcripts.")
				return nil
			}
			return printTranscripts(out, all)
		},
	}
	flags.add(list)
	return list
}

func printTranscripts(out io.Writer, all []admin.Transcript) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tSTATE\tSIZE\tOF\tBY")
	for _, t := range all {
		state := "ends in " + until(t.Until)
		if !t.Ended.IsZero() {
			state = "ended: " + t.Why
		}
		if t.Lost > 0 {
			state += fmt.Sprintf(", %d lines lost", t.Lost)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", t.ID, plain(state), humanize.IBytes(uint64(t.Bytes)), plain(transcribed(&t)), plain(t.Author+": "+t.Reason))
	}
	return table.Flush()
}

// transcribed says what a transcript is of.
func transcribed(t *admin.Transcript) string {
	var parts []string
	for _, p := range []struct{ word, value string }{
		{"destination", t.Destination}, {"host", t.Host}, {"listener", t.Listener}, {"client", t.Client},
	} {
		if p.value != "" {
			parts = append(parts, p.word+" "+p.value)
		}
	}
	return strings.Join(parts, ", ")
}

func newTranscriptShowCommand() *cobra.Command {
	var flags askFlags
	var follow bool
	show := &cobra.Command{
		Use:   "show [id]",
		Short: "Show a transcript, the latest if none is named",
		Long: `Show a transcript, the latest if none is named. A line has the time, the session, who
speaks, and what is said: -> is the relay, <- the other end, and ** is a note.`,
		Example: `  postrider transcript show
  postrider transcript show 20261122-035010 | grep ' s12 '
  postrider transcript show --follow`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := flags.client()
			if err != nil {
				return err
			}
			if len(args) == 1 {
				return showTranscript(cmd, client, args[0], follow)
			}
			all, err := client.Transcripts(cmd.Context())
			if err != nil {
				return err
			}
			if len(all) == 0 {
				return errors.New("there are no transcripts")
			}
			return showTranscript(cmd, client, all[len(all)-1].ID, follow)
		},
	}
	flags.addSocket(show)
	show.Flags().BoolVarP(&follow, "follow", "f", false, "go on until the transcript ends or you stop it")
	return show
}

func showTranscript(cmd *cobra.Command, client *admin.Client, id string, follow bool) error {
	text, err := client.Transcript(cmd.Context(), id, follow)
	if err != nil {
		return err
	}
	defer text.Close()
	if _, err = io.Copy(cmd.OutOrStdout(), text); cmd.Context().Err() != nil {
		return nil // that is how it is stopped
	}
	return err
}

func newTranscriptStopCommand() *cobra.Command {
	var flags askFlags
	var change admin.Change
	stop := &cobra.Command{
		Use:   "stop id",
		Short: "End a transcript before its time",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := flags.client()
			if err != nil {
				return err
			}
			change.Author = cmp.Or(change.Author, author())
			stopped, err := client.StopTranscript(cmd.Context(), args[0], change)
			if err != nil {
				return err
			}
			if flags.json {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(stopped)
			}
			text := "has ended"
			if !stopped.Changed {
				text = "had ended before"
			}
			fmt.Fprintf(cmd.OutOrStdout(), "Transcript %s %s.\n", plain(stopped.ID), text)
			return nil
		},
	}
	flags.add(stop)
	stop.Flags().StringVar(&change.Reason, "reason", "", "why, for the journal")
	stop.Flags().StringVar(&change.Author, "author", "", "who wants it, a `name`; you, if nobody is named")
	return stop
}
