package main

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"postrider/relay"
	"postrider/relay/admin"
)

func newJournalCommand() *cobra.Command {
	var flags askFlags
	journal := &cobra.Command{
		Use:     "journal",
		GroupID: groupRelay,
		Short:   "See what operators have changed, and why",
		Long: `See what operators have changed in the queue, at destinations and elsewhere, the latest
last; a thousand changes are kept. What a crash broke off is marked: at least as much was
done as is shown, each message is either changed or not, and the same command given again
does the rest.`,
		Example: `  postrider journal
  postrider journal --json | jq 'map(select(.broken_off))'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := flags.client()
			if err != nil {
				return err
			}
			all, err := client.Journal(cmd.Context())
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			if flags.json {
				return json.NewEncoder(out).Encode(all)
			}
			if len(all) == 0 {
				fmt.Fprintln(out, "Nobody has changed anything.")
			}
			for i := range all {
				printChange(out, &all[i])
			}
			return nil
		},
	}
	flags.add(journal)
	return journal
}

func printChange(out io.Writer, e *admin.JournalEntry) {
	what := e.Destination
	if what == "" {
		what = deliveries(e.Changed)
	}
	if e.Action == relay.ActionImport {
		what = count(e.Changed, "message") + fmt.Sprintf(" and %d that were known", e.Unchanged)
	}
	if e.Failed > 0 {
		what += fmt.Sprintf(", %d failed", e.Failed)
	}
	if e.Busy > 0 {
		what += fmt.Sprintf(", %d were busy", e.Busy)
	}
	switch {
	case e.UnderWay:
		what += " so far"
	case e.BrokenOff:
		what += " or more, broken off"
	}
	fmt.Fprintf(out, "%s  %-8s %s, by %s: %s\n", e.At.Local().Format(time.DateTime), e.Action, plain(what), plain(e.Author), plain(e.Reason))
}
