package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"postrider/relay/admin"
)

func newDestLimitsCommand() *cobra.Command {
	var flags askFlags
	limits := &cobra.Command{
		Use:   "limits destination",
		Short: "Show all that bounds a destination, and which of it binds now",
		Long: `Show all that bounds what goes to a destination: pauses, gates, rates of the route, the
destination, its site, its provider and those who send, connections, the window; how much of
each is left, when it lets the next message go, and which one keeps mail waiting now. Then
what was learned about the site, how its addresses fare, and what it replied lately.

The reach is how many messages a second all of them let pass: what binds is worth changing,
the rest is not.`,
		Example: `  postrider dest limits internet/example.com
  postrider dest limits smarthost --json | jq -r .binding`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := flags.client()
			if err != nil {
				return err
			}
			l, err := client.Limits(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if flags.json {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(l)
			}
			printLimits(cmd.OutOrStdout(), &l)
			return nil
		},
	}
	flags.add(limits)
	return limits
}

func printLimits(out io.Writer, l *admin.Limits) {
	row := func(name, format string, values ...any) {
		fmt.Fprintf(out, "%-13s %s\n", name+":", plain(fmt.Sprintf(format, values...)))
	}
	row("destination", "%s", l.Destination)
	switch {
	case !l.AtWork:
		row("binds", "nothing: nothing goes on there now")
	case l.Binding == "":
		row("binds", "nothing")
	case l.Until.IsZero():
		row("binds", "%s", l.Binding)
	default:
		row("binds", "%s; the next delivery may go in %s", l.Binding, until(l.Until))
	}
	if l.Reach > 0 {
		row("reach", "%s", perTime(l.Reach))
	}
	row("deliveries", "%d wait in memory, %d under way", l.Waiting, l.Away)
	for _, part := range [][2]string{{"site", l.Site}, {"source", l.Source}} {
		if part[1] != "" {
			row(part[0], "%s", part[1])
		}
	}
	if len(l.Limits) > 0 {
		fmt.Fprintf(out, "\n%-5s  %-48s  %16s  %-20s %s\n", "BINDS", "LIMIT", "LETS PASS", "LEFT", "MORE")
	}
	for i := range l.Limits {
		printLimit(out, &l.Limits[i])
	}
	if l.MoreFlows > 0 {
		fmt.Fprintf(out, "... and %d more rates of senders\n", l.MoreFlows)
	}
	printLearned(out, l)
}

func printLimit(out io.Writer, l *admin.Limit) {
	binds, passes, left := "", "", ""
	if l.Binds {
		binds = "yes"
	}
	if l.Rate > 0 {
		passes = perTime(l.Rate)
	}
	switch {
	case l.Most > 0:
		left = fmt.Sprintf("%d of %d in use", l.Used, l.Most)
	case l.Allows != "":
		left = fmt.Sprintf("%d now", l.Left)
	}
	if !l.Until.IsZero() {
		left = "none for " + until(l.Until)
	}
	line := fmt.Sprintf("%-5s  %-48s  %16s  %-20s %s", binds, plain(l.Name), passes, left, plain(l.Reason))
	fmt.Fprintln(out, strings.TrimRight(line, " "))
}

// perTime is a rate in the unit in which it is a number that can be read.
func perTime(perSecond float64) string {
	switch {
	case perSecond >= 1:
		return fmt.Sprintf("%.3g/s", perSecond)
	case perSecond*60 >= 1:
		return fmt.Sprintf("%.3g/min", perSecond*60)
	case perSecond*3600 >= 1:
		return fmt.Sprintf("%.3g/h", perSecond*3600)
	}
	return fmt.Sprintf("%.3g/d", perSecond*24*3600)
}

// printLearned says what the site has taught, address by address, and what it replied.
func printLearned(out io.Writer, l *admin.Limits) {
	row := func(name, format string, values ...any) {
		fmt.Fprintf(out, "%-13s %s\n", name+":", plain(fmt.Sprintf(format, values...)))
	}
	if k := l.Learned; k != nil {
		fmt.Fprintln(out)
		found := "not found yet: it grows while all goes well"
		if k.Steady {
			found = "found by a setback"
		}
		row("window", "%d connections, %s", k.Window, found)
		if k.Connections > 0 {
			row("refused", "more than %d connections, %s ago", k.Connections, age(k.ConnectionsAt))
		}
		if k.PerConnection > 0 {
			row("ends", "connections after %d messages, as seen %s ago", k.PerConnection, age(k.PerConnectionAt))
		}
		if k.TookMS > 0 {
			row("lately", "%v for a message of %s", time.Duration(k.TookMS)*time.Millisecond, humanize.Bytes(uint64(max(k.Size, 0))))
		}
		if k.Setbacks+k.Failures > 0 {
			row("in a row", "%d attempts that spoke against it, %d failures to reach it", k.Setbacks, k.Failures)
		}
	}
	for _, a := range l.Addresses {
		text := "well, or not tried"
		if a.Failures > 0 {
			text = "no session, " + count(a.Failures, "time") + " in a row"
		}
		if !a.Until.IsZero() {
			text += "; tried last for " + until(a.Until)
		}
		row("address", "%s %s: %s", a.Host, a.Addr, text)
	}
	for _, c := range l.Errors {
		row("said", "%s ago, %s: %s", age(c.At), count(c.Times, "time"), c.Reply)
	}
}
