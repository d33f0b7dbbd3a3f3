package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"postrider/relay/admin"
)

func newSuppressionCommand() *cobra.Command {
	s := &cobra.Command{
		Use:     "suppression",
		GroupID: groupRelay,
		Short:   "See and change for whom no mail is taken",
		Long: `See and change for whom no mail is taken. With suppression.keep in the configuration,
a recipient of whom a next hop says for good that there is none of that name is
suppressed: clients are answered 550 with the date and the reason at RCPT. Refusals
of another kind, of the host, the sender, the message or for a full mailbox, suppress
nobody. Notices and mail for postmasters are always let through.

The scope is global, domain:NAME for mail with a reverse-path of that domain, or
user:NAME for mail of that authenticated user.`,
	}
	s.AddCommand(newSuppressionListCommand(), newSuppressionAddCommand(), newSuppressionRemoveCommand(),
		newSuppressionImportCommand(), newSuppressionExportCommand())
	return s
}

func newSuppressionListCommand() *cobra.Command {
	var flags askFlags
	var limit int
	list := &cobra.Command{
		Use:     "list [pattern]",
		Short:   "List who is suppressed, since when and why",
		Long:    "List who is suppressed, since when and why: all, or those whose address is like a pattern,\nin which * stands for any characters.",
		Example: "  postrider suppression list\n  postrider suppression list '*@example.com' --json",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := flags.client()
			if err != nil {
				return err
			}
			pattern := ""
			if len(args) == 1 {
				pattern = args[0]
			}
			all := []admin.Suppression{}
			for v, err := range client.Suppressions(cmd.Context(), pattern, limit) {
				if err != nil {
					return err
				}
				all = append(all, v)
			}
			if flags.json {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(all)
			}
			return printSuppressions(cmd.OutOrStdout(), all)
		},
	}
	flags.add(list)
	list.Flags().IntVar(&limit, "limit", 0, "at most so `many`; 0 for all")
	return list
}

func printSuppressions(out io.Writer, all []admin.Suppression) error {
	if len(all) == 0 {
		fmt.Fprintln(out, "Nobody is suppressed.")
		return nil
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ADDRESS\tSCOPE\tSINCE\tENDS\tWHY")
	for _, v := range all {
		ends := "never"
		if !v.Until.IsZero() {
			ends = "in " + until(v.Until)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", plain(v.Address), plain(v.Scope), v.Since.Local().Format(time.DateOnly), ends,
			plain(cmp.Or(v.Author, v.Host)+": "+v.Reason))
	}
	return table.Flush()
}

// suppressionFlags are those of commands that change the list.
type suppressionFlags struct {
	askFlags
	scope, reason, author string
	dryRun                bool
}

func (f *suppressionFlags) add(cmd *cobra.Command) {
	f.askFlags.add(cmd)
	cmd.Flags().StringVar(&f.reason, "reason", "", "why, for the journal, and for clients whose recipient was added")
	cmd.Flags().StringVar(&f.author, "author", "", "who wants it, a `name`; you, if nobody is named")
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "say what would change, and change nothing")
}

// tell says what has changed.
func (f *suppressionFlags) tell(out io.Writer, t admin.SuppressionTally, did, was string) error {
	if f.json {
		return json.NewEncoder(out).Encode(t)
	}
	verb := "are"
	switch {
	case f.dryRun:
		verb = "would be"
	case t.Changed == 1:
		verb = "is"
	}
	fmt.Fprintf(out, "%d %s %s; %d %s before.\n", t.Changed, verb, did, t.Unchanged, was)
	return nil
}

func newSuppressionAddCommand() *cobra.Command {
	var flags suppressionFlags
	var lasting string
	add := &cobra.Command{
		Use:     "add address...",
		Short:   "Take no more mail for recipients",
		Example: "  postrider suppression add bob@example.com --reason 'asked for it'\n  postrider suppression add bob@example.com --scope user:shop --for 90d --reason unsubscribed",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var end time.Time
			if lasting != "" {
				d, err := parseAge(lasting)
				if err != nil {
					return fmt.Errorf("--for: %w", err)
				}
				end = time.Now().Add(d)
			}
			all := make([]admin.Suppression, len(args))
			for i, address := range args {
				all[i] = admin.Suppression{Address: address, Scope: flags.scope, Until: end}
			}
			return flags.suppress(cmd, all)
		},
	}
	flags.add(add)
	add.Flags().StringVar(&flags.scope, "scope", "", "whose mail: global, domain:NAME or user:NAME (default global)")
	add.Flags().StringVar(&lasting, "for", "", "how `long`, such as 90d (default: for good)")
	_ = add.MarkFlagRequired("reason")
	return add
}

// suppressAtOnce is how many are sent in a request.
const suppressAtOnce = 1000

// suppress puts all on the list, by parts.
func (f *suppressionFlags) suppress(cmd *cobra.Command, all []admin.Suppression) error {
	client, err := f.client()
	if err != nil {
		return err
	}
	var sum admin.SuppressionTally
	for done := 0; done < len(all); done += suppressAtOnce {
		t, err := client.Suppress(cmd.Context(), admin.SuppressionOrder{
			Suppressions: all[done:min(done+suppressAtOnce, len(all))], Author: cmp.Or(f.author, author()), Reason: f.reason, DryRun: f.dryRun,
		})
		if err != nil {
			return fmt.Errorf("after %d of %d: %w", done, len(all), err)
		}
		sum.Changed += t.Changed
		sum.Unchanged += t.Unchanged
	}
	return f.tell(cmd.OutOrStdout(), sum, "suppressed", "were")
}

func newSuppressionRemoveCommand() *cobra.Command {
	var flags suppressionFlags
	remove := &cobra.Command{
		Use:     "remove address...",
		Short:   "Take mail for recipients again",
		Long:    "Take mail for recipients again. The next refusal of a next hop suppresses them anew.",
		Example: "  postrider suppression remove bob@example.com --reason 'the mailbox is there now'",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := flags.client()
			if err != nil {
				return err
			}
			t, err := client.Unsuppress(cmd.Context(), admin.SuppressionRemoval{
				Addresses: args, Scope: flags.scope, Author: cmp.Or(flags.author, author()), Reason: flags.reason, DryRun: flags.dryRun,
			})
			if err != nil {
				return err
			}
			return flags.tell(cmd.OutOrStdout(), t, "suppressed no longer", "were not suppressed")
		},
	}
	flags.add(remove)
	remove.Flags().StringVar(&flags.scope, "scope", "", "in this `scope` only (default: all)")
	return remove
}
