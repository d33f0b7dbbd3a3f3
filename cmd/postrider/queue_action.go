package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"postrider/relay/admin"
)

// actionFlags are the flags of commands that change the queue.
type actionFlags struct {
	ask    askFlags
	choose selectFlags
	action admin.Action
}

// queueAction is what differs between the commands that change the queue.
type queueAction struct {
	word, short, long, example string
	// done says in the past tense what was done, for "3 deliveries held", and same why a delivery was
	// left as it is; "" where there is no more to say than that.
	done, same string
	// flags adds those of this action alone.
	flags func(cmd *cobra.Command, a *admin.Action)
}

func queueActions() []queueAction {
	return []queueAction{
		{word: "hold", done: "held", short: "Keep mail until it is released",
			long: "Keep mail in the queue until it is released. What is held does not expire.",
			example: `  postrider queue hold --sender '*@shop.example' --reason "wrong prices" --dry-run
  postrider queue hold 01K9ZJ6V3S6C0X6M4E5T1B2N3P --reason "look at it"`},
		{word: "release", done: "released", short: "Let held mail go",
			long:    "Let held mail go, at once, whether a rule held it or somebody. The time that it was\nheld does not count as its age.",
			example: `  postrider queue release --state held --sender '*@shop.example' --reason "prices are right"`},
		{word: "retry", done: "made due", same: "needed no change, or left meanwhile; hosts that were given up are tried now", short: "Try mail again now",
			long:    "Make mail due now, and have hosts on its way tried that were given up for the\nmoment. Mail goes as fast as its destination takes it.",
			example: `  postrider queue retry --destination internet/example.com --reason "they are back"`},
		{word: "delete", done: "deleted", short: "Remove mail; nobody is told",
			long:    "Remove mail from the queue. It is gone, and nobody is told: see bounce for the other\nway. Try --dry-run first.",
			example: `  postrider queue delete --recipient '*@typo.example' --older 1d --reason "no such domain" --dry-run`},
		{word: "bounce", done: "returned", short: "Return mail to its senders",
			long:    "Return mail to its senders, each of whom gets a notice.",
			example: `  postrider queue bounce --recipient gone@example.com --text "This address has closed" --reason "ticket 42"`,
			flags: func(cmd *cobra.Command, a *admin.Action) {
				cmd.Flags().StringVar(&a.Text, "text", "", "what senders are told, a `sentence`")
			}},
		{word: "reroute", done: "rerouted", short: "Send mail another way",
			long:    "Send mail by another route, or, without --to, as the rules say now.",
			example: `  postrider queue reroute --route smarthost --to backup --reason "smarthost is down"`,
			flags: func(cmd *cobra.Command, a *admin.Action) {
				cmd.Flags().StringVar(&a.Route, "to", "", "the `route` that takes it; without, where the rules say now")
			}},
	}
}

func newQueueActionCommand(q queueAction) *cobra.Command {
	var f actionFlags
	cmd := &cobra.Command{
		Use:   q.word + " [id...]",
		Short: q.short,
		Long: q.long + `

Say which mail is meant by queue ids, by conditions, or with --all. All conditions must
be met. A message is changed whole or not at all; what is being delivered is waited
for, for 10 seconds. The exit code is 1 where something could not be changed.`,
		Example: q.example,
		RunE: func(cmd *cobra.Command, ids []string) error {
			f.action.Action = q.word
			return actOnQueue(cmd, &f, ids, q)
		},
	}
	f.ask.add(cmd)
	f.choose.add(cmd)
	flags := cmd.Flags()
	flags.BoolVar(&f.action.All, "all", false, "all mail in the queue")
	flags.BoolVar(&f.action.DryRun, "dry-run", false, "count what is meant, and change nothing")
	flags.StringVar(&f.action.Reason, "reason", "", "why, for the journal and for others who wonder (required)")
	flags.StringVar(&f.action.Author, "author", "", "who wants it, a `name`; you, if nobody is named")
	flags.StringVar(&f.action.From, "from", "", "go on at this queue `id`, where an action was broken off")
	if q.flags != nil {
		q.flags(cmd, &f.action)
	}
	_ = cmd.MarkFlagRequired("reason")
	return cmd
}

// errUnchanged ends an action that did not get all of what was meant.
var errUnchanged = errors.New("not all of it could be changed")

func actOnQueue(cmd *cobra.Command, f *actionFlags, ids []string, q queueAction) error {
	selection, err := f.choose.parse(ids)
	if err != nil {
		return err
	}
	f.action.Select = selection
	f.action.Author = cmp.Or(f.action.Author, author())
	client, err := f.ask.client()
	if err != nil {
		return err
	}
	bar := newTallying(cmd.ErrOrStderr(), f.action.Action)
	var last admin.Progress
	for p, err := range client.Act(cmd.Context(), f.action) {
		if err != nil {
			bar.clear()
			return brokenOff(err, p, last)
		}
		last = p
		bar.show(p)
	}
	bar.clear()
	if f.ask.json {
		if err := json.NewEncoder(cmd.OutOrStdout()).Encode(last); err != nil {
			return err
		}
	} else {
		printProgress(cmd.OutOrStdout(), last, q, f.action.DryRun)
	}
	if last.Failed+last.Busy > 0 {
		return errUnchanged
	}
	return nil
}

// brokenOff says how far an action came, and how to go on.
func brokenOff(err error, p, last admin.Progress) error {
	if p.Seen == 0 {
		p = last
	}
	if p.Next == "" {
		return err
	}
	return fmt.Errorf("%w; %d deliveries were changed before; go on with --from %s", err, p.Changed, p.Next)
}

func printProgress(out io.Writer, p admin.Progress, q queueAction, dry bool) {
	if dry {
		fmt.Fprintf(out, "%s would be %s, of %d looked at. Nothing was changed.\n", deliveries(p.Matched), q.done, p.Seen)
		return
	}
	fmt.Fprintf(out, "%s %s.\n", deliveries(p.Changed), q.done)
	for _, more := range []struct {
		n    int
		what string
	}{
		{p.Unchanged, cmp.Or(q.same, "needed no change, or left meanwhile")},
		{p.Busy, "were being delivered all the while, and were left alone"},
		{p.Failed, "could not be changed; the relay's log says why"},
	} {
		if more.n > 0 {
			fmt.Fprintf(out, "%s %s.\n", deliveries(more.n), more.what)
		}
	}
}

func deliveries(n int) string {
	if n == 1 {
		return "1 delivery"
	}
	return fmt.Sprintf("%d deliveries", n)
}

// tallying shows a person that something goes on. How much there is in all nobody knows.
type tallying struct{ bar *progressbar.ProgressBar }

func newTallying(w io.Writer, what string) tallying {
	if !isTerminal(w) {
		return tallying{}
	}
	return tallying{newProgress(w, what, -1, "deliveries")}
}

func (c tallying) show(p admin.Progress) {
	if c.bar != nil {
		_ = c.bar.Set(p.Seen)
	}
}

func (c tallying) clear() {
	if c.bar != nil {
		_ = c.bar.Finish()
	}
}
