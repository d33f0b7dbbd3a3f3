package main

import (
	"cmp"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"postrider/relay/admin"
)

// destChange is what differs between the commands that change a destination.
type destChange struct {
	word, short, long, example string
	// did and was say what was changed, and that there was nothing to change.
	did, was string
	// reason says that one is needed.
	reason bool
}

func destChanges() []destChange {
	return []destChange{
		{word: "pause", did: "is paused", short: "Deliver nothing there until it is resumed", reason: true,
			long: `Deliver nothing to a destination, or to all that are like a pattern, until it is
resumed, also after a restart. Mail for it is accepted and waits; it grows old
meanwhile. Attempts under way are finished.`,
			example: `  postrider dest pause internet/example.com --reason "they asked us to"
  postrider dest pause 'smarthost*' --reason maintenance`},
		{word: "resume", did: "is resumed", was: "was not paused", short: "Lift a pause",
			long:    "Lift the pause of a destination or pattern: the one that was given to pause.",
			example: `  postrider dest resume internet/example.com`},
		{word: "retry", did: "is tried now", was: "is not closed; nothing had to be done", short: "Try a closed destination now",
			long:    "Try a destination at once that is not reachable, instead of at its next probe.",
			example: `  postrider dest retry internet/example.com`},
	}
}

func newDestChangeCommand(d destChange) *cobra.Command {
	var flags askFlags
	var change admin.Change
	cmd := &cobra.Command{
		Use: d.word + " destination", Short: d.short, Long: d.long, Example: d.example,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := flags.client()
			if err != nil {
				return err
			}
			change.Author = cmp.Or(change.Author, author())
			changed, err := client.ChangeDestination(cmd.Context(), d.word, args[0], change)
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			if flags.json {
				return json.NewEncoder(out).Encode(changed)
			}
			text := d.did
			if !changed.Changed {
				text = d.was
			}
			fmt.Fprintf(out, "%s %s.\n", plain(changed.Destination), text)
			return nil
		},
	}
	flags.add(cmd)
	cmd.Flags().StringVar(&change.Reason, "reason", "", "why, for the journal and for others who wonder")
	cmd.Flags().StringVar(&change.Author, "author", "", "who wants it, a `name`; you, if nobody is named")
	if d.reason {
		_ = cmd.MarkFlagRequired("reason")
	}
	return cmd
}

func newDestPausesCommand() *cobra.Command {
	var flags askFlags
	pauses := &cobra.Command{
		Use:   "pauses",
		Short: "List what is paused, by whom and why",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := flags.client()
			if err != nil {
				return err
			}
			all, err := client.Pauses(cmd.Context())
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			if flags.json {
				return json.NewEncoder(out).Encode(all)
			}
			if len(all) == 0 {
				fmt.Fprintln(out, "Nothing is paused.")
			}
			for _, p := range all {
				fmt.Fprintf(out, "%s, %s ago by %s: %s\n", plain(p.Destination), age(p.Since), plain(p.Author), plain(p.Reason))
			}
			return nil
		},
	}
	flags.add(pauses)
	return pauses
}
