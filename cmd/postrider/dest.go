package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"postrider/relay/admin"
)

func newDestCommand() *cobra.Command {
	dest := &cobra.Command{
		Use:     "dest",
		GroupID: groupRelay,
		Short:   "See how destinations stand, and change it",
		Long: `See how the destinations of a running relay stand, and change it.

A destination is a route and, where the route delivers by MX, a domain:
"smarthost" or "internet/example.com", as in the queue's list.`,
	}
	dest.AddCommand(newDestListCommand(), newDestShowCommand(), newDestLimitsCommand(), newDestPausesCommand())
	for _, d := range destChanges() {
		dest.AddCommand(newDestChangeCommand(d))
	}
	return dest
}

func newDestListCommand() *cobra.Command {
	var flags askFlags
	var closed bool
	list := &cobra.Command{
		Use:   "list",
		Short: "List the destinations at work, the busiest first",
		Long: `List the destinations at work, the busiest first.

LOADED deliveries are in memory, ready to go, and ACTIVE ones on their way. WINDOW is how
many connections the destination is taken to bear. What waits on disk, as all does for a
destination that is closed or paused, is counted by postrider stats and dest show.`,
		Example: `  postrider dest list --closed
  postrider dest list --json | jq -r '.[] | select(.closed) | .destination'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := flags.client()
			if err != nil {
				return err
			}
			bins, err := client.Destinations(cmd.Context())
			if err != nil {
				return err
			}
			if closed {
				bins = slices.DeleteFunc(bins, func(b admin.Bin) bool { return !b.Closed })
			}
			if flags.json {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(bins)
			}
			printBins(cmd.OutOrStdout(), bins)
			return nil
		},
	}
	flags.add(list)
	list.Flags().BoolVar(&closed, "closed", false, "only those that cannot be reached")
	return list
}

func printBins(out io.Writer, bins []admin.Bin) {
	if len(bins) == 0 {
		fmt.Fprintln(out, "No destination is at work.")
		return
	}
	slices.SortStableFunc(bins, func(a, b admin.Bin) int {
		return cmp.Or(cmp.Compare(b.Connections+b.Away, a.Connections+a.Away), cmp.Compare(b.Loaded, a.Loaded))
	})
	paint := newPainter(out)
	fmt.Fprintf(out, "%-40s %6s %6s %11s %6s  %s\n", "DESTINATION", "LOADED", "ACTIVE", "CONNECTIONS", "WINDOW", "STATE")
	for _, b := range bins {
		fmt.Fprintf(out, "%-40s %6d %6d %11d %6d  %s\n", plain(b.Destination), b.Loaded, b.Away, b.Connections, b.Window, binState(&b, paint))
	}
}

// binState says whether mail goes there, and if not why.
func binState(b *admin.Bin, paint painter) string {
	switch {
	case b.Paused != nil:
		return paint.paint(yellow, "paused") + " by " + plain(b.Paused.Author) + ": " + plain(b.Paused.Reason)
	case b.Closed:
		return paint.paint(red, "closed") + ", next probe in " + until(b.Until) + ": " + plain(b.Reason)
	}
	return paint.paint(green, "open")
}

// until is how long it is until then, in its two largest units.
func until(t time.Time) string {
	return age(time.Now().Add(-time.Until(t)))
}

func newDestShowCommand() *cobra.Command {
	var flags askFlags
	show := &cobra.Command{
		Use:     "show destination",
		Short:   "Show one destination: what waits, what holds it up, what it can bear",
		Example: `  postrider dest show internet/example.com`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := flags.client()
			if err != nil {
				return err
			}
			d, err := client.Destination(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if flags.json {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(d)
			}
			printDestination(cmd.OutOrStdout(), d)
			return nil
		},
	}
	flags.add(show)
	return show
}

func printDestination(out io.Writer, d admin.Destination) {
	row := func(name, format string, values ...any) {
		fmt.Fprintf(out, "%-13s %s\n", name+":", plain(fmt.Sprintf(format, values...)))
	}
	b := &d.Bin
	row("destination", "%s", d.Depth.Destination)
	row("waiting", "%d deliveries, %d of them due, %d held", d.Depth.Deliveries, d.Depth.Due, d.Depth.Held)
	if !d.Depth.Oldest.IsZero() {
		row("oldest", "%s", age(d.Depth.Oldest))
	}
	row("in memory", "%d, and %d being delivered", b.Loaded, b.Away)
	if b.Site != "" {
		row("site", "%s", b.Site)
		row("connections", "%d open, %d of them idle; the window allows %d", b.Connections, b.Idle, b.Window)
	}
	switch {
	case b.Paused != nil:
		row("state", "paused %s ago by %s: %s", age(b.Paused.Since), b.Paused.Author, b.Paused.Reason)
	case b.Closed:
		row("state", "closed, next probe in %s: %s", until(b.Until), b.Reason)
	case !b.Next.IsZero() && b.Next.After(time.Now()):
		row("state", "open; what waits is due from %s on", b.Next.Format(time.RFC3339))
	default:
		row("state", "open")
	}
	if b.Doing != "" {
		row("doing", "%s", doing(b))
	}
	for _, c := range d.Open {
		row("connection", "%s", connectionLine(c))
	}
	printPace(row, d.Pace)
	if d.Depth.Deliveries > 0 {
		fmt.Fprintln(out)
		printAges(out, d)
	}
}

// doing says what is going on, and when something last did.
func doing(b *admin.Bin) string {
	if b.Moved.IsZero() {
		return b.Doing
	}
	return b.Doing + ", moved " + age(b.Moved) + " ago"
}

func connectionLine(c admin.Connection) string {
	text := c.Phase + " for " + age(c.Since)
	if c.ID != "" {
		text += ", " + c.ID
	}
	if c.WrittenOff {
		text += ", written off: it does not end"
	}
	return text
}

// printPace says how fast mail can go, and which limits bind. dest limits has the rest.
func printPace(row func(name, format string, values ...any), p admin.Pace) {
	if p.Reach > 0 {
		row("reach", "%s", perTime(p.Reach))
	}
	rest := 0
	for _, l := range p.Limits {
		if !l.Binds {
			rest++
			continue
		}
		text := l.Name
		if l.Reason != "" {
			text += ", " + l.Reason
		}
		if !l.Until.IsZero() {
			text += ", for " + until(l.Until)
		}
		row("limit", "%s (binds)", text)
	}
	if rest > 0 {
		row("limits", "%d that do not bind now: see dest limits", rest)
	}
}

func printAges(out io.Writer, d admin.Destination) {
	for _, m := range d.Minutes {
		fmt.Fprintf(out, "%7s", fmt.Sprintf("<%dm", m))
	}
	fmt.Fprintf(out, "%7s\n", "older")
	for _, n := range d.Depth.Ages {
		fmt.Fprintf(out, "%7s", zeroAsDot(n))
	}
	fmt.Fprintln(out)
}
