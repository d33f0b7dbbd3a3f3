package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"postrider/relay/admin"
)

func newTraceCommand() *cobra.Command {
	var flags askFlags
	var query admin.TraceQuery
	var since string
	trace := &cobra.Command{
		Use:     "trace [id]",
		GroupID: groupRelay,
		Short:   "Where is this message? All that happened to it",
		Long: `Show what became of messages, the latest first: those in the queue, and those that have
left it as long as the history goes back. A message is found by its queue id, or by
its Message-ID, its sender or one of its recipients; of these, all that are given
must fit. The exit code is 1 when nothing was found.`,
		Example: `  postrider trace 01K9ZJ6V3S6C0X6M4E5T1B2N3P
  postrider trace --recipient ann@example.com --since 2d
  postrider trace --message-id '<20260301.1234@shop.example>' --json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				query.ID = args[0]
			}
			if since != "" {
				back, err := parseAge(since)
				if err != nil {
					return fmt.Errorf("--since: %w", err)
				}
				query.Since = time.Now().Add(-back)
			}
			client, err := flags.client()
			if err != nil {
				return err
			}
			return traceMessages(cmd, client, query, flags.json)
		},
	}
	flags.add(trace)
	f := trace.Flags()
	f.StringVar(&query.MessageID, "message-id", "", "the Message-ID `field`, with or without brackets")
	f.StringVar(&query.Sender, "sender", "", "the sender's `address`")
	f.StringVar(&query.Recipient, "recipient", "", "a recipient's `address`")
	f.StringVar(&since, "since", "", "only what came within this time, such as 2h or 3d")
	f.IntVar(&query.Limit, "limit", 20, "how many messages")
	return trace
}

// errNotFound ends a search that found nothing.
var errNotFound = errors.New("no such message is in the queue or in the history; what was refused was never a message: see the log, or postrider tail --event refused")

func traceMessages(cmd *cobra.Command, client *admin.Client, query admin.TraceQuery, asJSON bool) error {
	out := cmd.OutOrStdout()
	found := 0
	for l, err := range client.Trace(cmd.Context(), query) {
		if err != nil {
			return err
		}
		found++
		if asJSON {
			if err := json.NewEncoder(out).Encode(l); err != nil {
				return err
			}
			continue
		}
		if found > 1 {
			fmt.Fprintln(out)
		}
		printLife(out, newPainter(out), &l)
	}
	if found == 0 {
		return errNotFound
	}
	return nil
}

func printLife(out io.Writer, paint painter, l *admin.Life) {
	fmt.Fprintf(out, "%s  <%s> to %s, %s\n", paint.paint(bold, l.ID), plain(l.Sender), plain(recipients(l.Recipients)), humanize.Bytes(uint64(max(l.Size, 0))))
	for _, row := range [][2]string{{"subject", l.Subject}, {"message-id", l.MessageID}, {"signed with", strings.Join(l.Signatures, ", ")}, {"tags", strings.Join(l.Tags, ", ")}} {
		if row[1] != "" {
			fmt.Fprintf(out, "  %s: %s\n", row[0], plain(row[1]))
		}
	}
	at := func(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05") }
	from := ""
	for _, part := range [][2]string{{" from ", l.Client}, {" by user ", l.User}, {" at listener ", l.Listener}} {
		if part[1] != "" {
			from += part[0] + part[1]
		}
	}
	fmt.Fprintf(out, "  %s  %s%s\n", at(l.Received), paint.paint(plainColour, "accepted "), plain(from))
	for _, v := range l.Trace {
		if v.Said != "" {
			fmt.Fprintf(out, "  rule %s at %s: %s\n", plain(v.Rule), v.Stage, plain(v.Said))
		}
	}
	for i := range l.Events {
		e := &l.Events[i]
		fmt.Fprintf(out, "  %s  %s %s\n", at(e.At), paint.paint(eventColour(e.Event), fmt.Sprintf("%-9s", e.Event)), plain(lifeText(e)))
	}
	for i := range l.Waiting {
		w := &l.Waiting[i]
		fmt.Fprintf(out, "  %-19s  %s %s for %s: %s\n", "now, after "+age(l.Received), paint.paint(yellow, fmt.Sprintf("%-9s", w.State)), plain(recipients(w.Recipients)), plain(w.Destination), plain(w.Reason))
	}
}

// lifeText says what is known of an event.
func lifeText(e *admin.LifeEvent) string {
	text := recipients(e.Recipients)
	if e.Host != "" {
		text += " by " + e.Host
	}
	if e.Code != 0 || e.Reply != "" {
		text += ": " + replyText(e)
	}
	if e.Class != "" {
		text += " [" + e.Class + "]"
	}
	// A deleted recipient's reply says it already.
	if by := "by " + e.Author + ": " + e.Reason; e.Author != "" && e.Reply != by {
		text += ", by " + e.Author + ": " + e.Reason
	}
	if e.Attempts > 1 {
		text += fmt.Sprintf(" (attempt %d)", e.Attempts)
	}
	return text
}

// replyText is the reply of an event, as far as it has its parts.
func replyText(e *admin.LifeEvent) string {
	return strings.Join(strings.Fields(fmt.Sprint(zeroAsNothing(e.Code), " ", e.Enhanced, " ", e.Reply)), " ")
}

func zeroAsNothing(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}
