package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"postrider/relay/admin"
)

func newQueueCommand() *cobra.Command {
	queue := &cobra.Command{
		Use:     "queue",
		GroupID: groupRelay,
		Short:   "See what is waiting, and why, and change it",
		Long: `See what is waiting in a running relay, and why, and change it.

The relay is asked over its admin socket. Give the --config that it was started
with, once and for all as $POSTRIDER_CONFIG, or --socket; without any of these it is
the socket of a relay without a configuration file, in $STATE_DIRECTORY or
./postrider-data.`,
	}
	queue.AddCommand(newQueueListCommand(), newQueueShowCommand(), newQueueExportCommand(), newQueueImportCommand())
	for _, q := range queueActions() {
		queue.AddCommand(newQueueActionCommand(q))
	}
	return queue
}

// askFlags are the flags of commands that ask a running relay.
type askFlags struct {
	config configFlags
	socket string
	json   bool
}

func (f *askFlags) add(cmd *cobra.Command) {
	f.addSocket(cmd)
	cmd.Flags().BoolVar(&f.json, "json", false, "print JSON instead of text")
}

// addSocket is add for a command that prints text as it is.
func (f *askFlags) addSocket(cmd *cobra.Command) {
	f.config.addFile(cmd)
	cmd.Flags().StringVar(&f.socket, "socket", "", "the relay's admin socket, a `path`")
}

// client finds the relay.
func (f *askFlags) client() (*admin.Client, error) {
	if f.socket != "" {
		return admin.NewClient(f.socket), nil
	}
	socket, err := f.config.adminSocket()
	if err != nil {
		return nil, err
	}
	return admin.NewClient(socket), nil
}

func newQueueListCommand() *cobra.Command {
	var flags askFlags
	var query admin.QueueQuery
	var choose selectFlags
	var postfix bool
	list := &cobra.Command{
		Use:   "list [id...]",
		Short: "List what is waiting, oldest first, with the reason",
		Long: `List what is waiting, oldest first, with the reason. The mail of one destination comes
by sender and due time. All conditions must be met.`,
		Example: `  postrider queue list
  postrider queue list --destination internet/example.com --limit 0
  postrider queue list --sender '*@shop.example' --older 2h --class quota
  postrider queue list --postfix
  postrider queue list --json | jq -r 'select(.state == "blocked") | .id'`,
		RunE: func(cmd *cobra.Command, ids []string) error {
			selection, err := choose.parse(ids)
			if err != nil {
				return err
			}
			query.Selection = selection
			client, err := flags.client()
			switch {
			case err != nil:
				return err
			case postfix:
				return listPostfix(cmd, client, query)
			}
			return listQueue(cmd, client, query, flags.json)
		},
	}
	flags.add(list)
	list.Flags().IntVar(&query.Limit, "limit", 100, "how many to list; 0 for all")
	choose.add(list)
	list.Flags().BoolVar(&postfix, "postfix", false, "in the form of Postfix's mailq, for scripts that read that; all of the queue")
	list.Flags().StringVar(&query.From, "from", "", "begin at this queue `id`")
	return list
}

// listQueue prints entries as they come.
func listQueue(cmd *cobra.Command, client *admin.Client, query admin.QueueQuery, asJSON bool) error {
	out := cmd.OutOrStdout()
	shown := 0
	for e, err := range client.Queue(cmd.Context(), query) {
		if err != nil {
			return err
		}
		shown++
		if asJSON {
			if err := json.NewEncoder(out).Encode(e); err != nil {
				return err
			}
			continue
		}
		if shown == 1 {
			fmt.Fprintf(out, "%-26s  %7s  %8s  %5s  %-8s  %s\n", "ID", "AGE", "SIZE", "TRIES", "STATE", "DESTINATION")
		}
		printEntry(out, e)
	}
	switch {
	case asJSON:
	case shown == 0:
		fmt.Fprintln(out, "Nothing is waiting.")
	case shown == query.Limit:
		fmt.Fprintf(cmd.ErrOrStderr(), "The first %d are shown; --limit 0 shows all.\n", shown)
	}
	return nil
}

func printEntry(out io.Writer, e admin.Entry) {
	fmt.Fprintf(out, "%-26s  %7s  %8s  %5d  %-8s  %s\n",
		e.ID, age(e.Received), humanize.Bytes(uint64(max(e.Size, 0))), e.Attempts, e.State, plain(e.Destination))
	fmt.Fprintf(out, "    <%s> to %s\n", plain(e.Sender), plain(recipients(e.Recipients)))
	fmt.Fprintf(out, "    %s\n", plain(e.Reason))
}

// plain takes out what a peer's text could do to a terminal.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
}

// recipients names a few and counts the others.
func recipients(all []string) string {
	const few = 3
	named := all[:min(few, len(all))]
	text := "<" + strings.Join(named, ">, <") + ">"
	if more := len(all) - len(named); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// age is how long ago something was, in its two largest units.
func age(t time.Time) string {
	d := max(time.Since(t), 0)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", d/time.Minute, d%time.Minute/time.Second)
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh%02dm", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%dd%02dh", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
}

func newQueueShowCommand() *cobra.Command {
	var flags askFlags
	show := &cobra.Command{
		Use:     "show id",
		Short:   "Show one message: its envelope, its header, and each delivery that is left",
		Example: `  postrider queue show 01K9ZJ6V3S6C0X6M4E5T1B2N3P`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := flags.client()
			if err != nil {
				return err
			}
			detail, err := client.Message(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if flags.json {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(detail)
			}
			printDetail(cmd.OutOrStdout(), detail)
			return nil
		},
	}
	flags.add(show)
	return show
}

func printDetail(out io.Writer, d admin.Detail) {
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(out, "%-12s %s\n", name+":", plain(value))
		}
	}
	row("id", d.ID)
	row("from", "<"+d.Sender+">")
	row("to", recipients(d.Recipients))
	row("size", humanize.Bytes(uint64(max(d.Size, 0))))
	row("received", d.Received.Format(time.RFC3339)+" ("+age(d.Received)+" ago)")
	row("client", d.Client)
	row("user", d.User)
	row("listener", d.Listener)
	row("message-id", d.MessageID)
	row("subject", d.Subject)
	row("tags", strings.Join(d.Tags, ", "))
	printVerdicts(out, d.Trace)
	for _, e := range d.Deliveries {
		fmt.Fprintf(out, "\n%s: %s, %d attempts so far\n", plain(e.Destination), e.State, e.Attempts)
		row("  left", recipients(e.Recipients))
		row("  due", e.Due.Format(time.RFC3339))
		row("  reason", e.Reason)
	}
	fmt.Fprintf(out, "\n%s", plain(strings.ReplaceAll(d.Header, "\r\n", "\n")))
}

// printVerdicts says what rules did, and how many were asked and did nothing.
func printVerdicts(out io.Writer, trace []admin.Verdict) {
	quiet := 0
	for _, v := range trace {
		if v.Said == "" {
			quiet++
			continue
		}
		about := ""
		if v.Recipient != "" {
			about = " about <" + v.Recipient + ">"
		}
		fmt.Fprintf(out, "%-12s %s\n", "rule:", plain(fmt.Sprintf("%s at %s%s: %s", v.Rule, v.Stage, about, v.Said)))
	}
	if quiet > 0 {
		fmt.Fprintf(out, "%-12s %s did not match\n", "rules:", count(quiet, "other"))
	}
}
