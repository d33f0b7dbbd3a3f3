package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"postrider/relay/admin"
)

func newTailCommand() *cobra.Command {
	var flags askFlags
	var filter admin.EventFilter
	tail := &cobra.Command{
		Use:     "tail",
		GroupID: groupRelay,
		Short:   "Watch what happens, as it happens",
		Long: `Watch what happens in a running relay, from now on until you stop it: mail accepted
and refused, what became of each recipient, hosts that go and come back.

In patterns * stands for any characters. A terminal that is too slow misses events
and is told how many; mail waits for nobody.`,
		Example: `  postrider tail --recipient '*@example.com'
  postrider tail --event deferred,bounced --destination 'internet/*'
  postrider tail --event refused --json | jq -r .reason`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := flags.client()
			if err != nil {
				return err
			}
			return tailEvents(cmd, client, filter, flags.json)
		},
	}
	flags.add(tail)
	addEventFlags(tail, &filter)
	return tail
}

// addEventFlags adds the flags that choose events.
func addEventFlags(cmd *cobra.Command, f *admin.EventFilter) {
	flags := cmd.Flags()
	flags.StringSliceVar(&f.Events, "event", nil, "only these `kinds`: "+strings.Join(admin.EventWords(), ", "))
	flags.StringVar(&f.ID, "id", "", "only this message, a queue `id`")
	flags.StringVar(&f.From, "sender", "", "only senders like this `pattern`")
	flags.StringVar(&f.To, "recipient", "", "only recipients like this `pattern`")
	flags.StringVar(&f.Destination, "destination", "", "only destinations like this `pattern`")
	flags.StringVar(&f.User, "user", "", "only users like this `pattern`")
	flags.StringVar(&f.Client, "client", "", "only client addresses like this `pattern`")
	_ = cmd.RegisterFlagCompletionFunc("event", cobra.FixedCompletions(admin.EventWords(), cobra.ShellCompDirectiveNoFileComp))
}

// tailEvents prints events as they come.
func tailEvents(cmd *cobra.Command, client *admin.Client, f admin.EventFilter, asJSON bool) error {
	out := cmd.OutOrStdout()
	paint := newPainter(out)
	for e, err := range client.Events(cmd.Context(), f) {
		if err != nil {
			return err
		}
		if asJSON {
			err = json.NewEncoder(out).Encode(e)
		} else {
			err = printEvent(out, paint, &e)
		}
		if err != nil {
			return err
		}
	}
	if cmd.Context().Err() == nil {
		return errStopped
	}
	return nil
}

// printEvent writes an event on a line.
func printEvent(out io.Writer, paint painter, e *admin.Event) error {
	word := fmt.Sprintf("%-11s", e.Event)
	_, err := fmt.Fprintf(out, "%s %s %s\n", e.Time.Local().Format("15:04:05.000"), paint.paint(eventColour(e.Event), word), plain(eventText(e)))
	return err
}

func eventColour(word string) colour {
	switch word {
	case "delivered", "reachable":
		return green
	case "deferred", "unreachable", admin.EventLost:
		return yellow
	case "bounced", "expired", "refused", "fault":
		return red
	}
	return plainColour
}

// eventText says what is known of an event, in the order in which it is looked for.
func eventText(e *admin.Event) string {
	var parts []string
	add := func(format, value string) {
		if value != "" {
			parts = append(parts, fmt.Sprintf(format, value))
		}
	}
	if e.Event == admin.EventLost {
		return fmt.Sprintf("%d events were missed here", e.Lost)
	}
	add("%s", e.ID)
	add("%s", e.Site)
	if e.From != "" || e.To != "" {
		add("%s", "<"+e.From+">")
	}
	switch {
	case e.To != "":
		add("to <%s>", e.To)
	case e.Recipients > 1:
		add("to %s recipients", fmt.Sprint(e.Recipients))
	}
	add("by %s", e.Host)
	if e.Host == "" {
		add("for %s", e.Destination)
	}
	add("user %s", e.User)
	add("from %s", e.Client)
	add("at %s", e.Stage)
	add("(%s)", e.Reason)
	if e.Code != 0 {
		add("%s", strings.Join(strings.Fields(fmt.Sprint(e.Code, " ", e.Enhanced, " ", e.Reply)), " "))
	}
	add("[%s]", e.Class)
	add("while trying to %s", e.Doing)
	add("(%s)", e.Cause)
	if e.Attempt > 0 {
		add("after %s", fmt.Sprintf("%d ms", e.QueueMS+e.ConnectMS+e.TransmitMS))
	}
	if !e.Due.IsZero() {
		add("next try %s", e.Due.Local().Format("15:04:05"))
	}
	return strings.Join(parts, " ")
}

// errStopped ends what watches when the relay ends.
var errStopped = errors.New("the relay has stopped")
