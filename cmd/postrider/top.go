package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"postrider/relay/admin"
)

func newTopCommand() *cobra.Command {
	var flags askFlags
	var every time.Duration
	var once bool
	top := &cobra.Command{
		Use:     "top",
		GroupID: groupRelay,
		Short:   "Watch rates, the queue and destinations in a terminal",
		Long: `Watch a running relay in a terminal: how much is accepted, refused and delivered a
second, what replies complain about, what connections do, and how much waits at which
destination, since when and why: those with most mail first. Ctrl-C ends it. Where the output is not a terminal, or with --once, it is printed once, with
the rates of one interval.`,
		Example: `  postrider top
  postrider top --interval 10s --once`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if every < 200*time.Millisecond {
				return errors.New("--interval: at least 200ms")
			}
			client, err := flags.client()
			if err != nil {
				return err
			}
			return watchTop(cmd, client, every, once || !isTerminal(cmd.OutOrStdout()))
		},
	}
	flags.config.addFile(top)
	top.Flags().StringVar(&flags.socket, "socket", "", "the relay's admin socket, a `path`")
	top.Flags().DurationVar(&every, "interval", 2*time.Second, "how often to look")
	top.Flags().BoolVar(&once, "once", false, "print it once")
	return top
}

// What a terminal is told: another screen and back, to begin anew at its top, and to clear
// the rest of a line and of the screen. The screen is drawn over itself a line at a time, which
// needs no library.
const (
	screenOther = "\x1b[?1049h\x1b[?25l"
	screenBack  = "\x1b[?25h\x1b[?1049l"
	screenHome  = "\x1b[H"
	lineRest    = "\x1b[K\n"
	screenRest  = "\x1b[J"
)

func watchTop(cmd *cobra.Command, client *admin.Client, every time.Duration, once bool) error {
	out := cmd.OutOrStdout()
	before, err := lookTop(cmd.Context(), client)
	if err != nil {
		return err
	}
	if !once {
		fmt.Fprint(out, screenOther)
		defer fmt.Fprint(out, screenBack)
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-cmd.Context().Done():
			return nil
		case <-tick.C:
		}
		now, err := lookTop(cmd.Context(), client)
		if cmd.Context().Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if once {
			fmt.Fprintln(out, strings.Join(topLines(before, now, newPainter(out)), "\n"))
			return nil
		}
		drawTop(out, topLines(before, now, newPainter(out)))
		before = now
	}
}

// drawTop draws as many lines as there is room for.
func drawTop(out io.Writer, lines []string) {
	if f, ok := out.(*os.File); ok {
		if _, height, err := term.GetSize(int(f.Fd())); err == nil && height > 1 {
			lines = lines[:min(len(lines), height-1)]
		}
	}
	fmt.Fprint(out, screenHome+strings.Join(lines, lineRest)+lineRest+screenRest)
}

// topLook is what is seen in one look.
type topLook struct {
	at      time.Time
	metrics admin.Series
	bins    []admin.Bin
	sites   []admin.Site
}

func lookTop(ctx context.Context, client *admin.Client) (topLook, error) {
	l := topLook{at: time.Now()}
	var err error
	if l.metrics, err = client.Metrics(ctx); err == nil {
		l.bins, err = client.Destinations(ctx)
	}
	if err == nil {
		var c admin.Connections
		c, err = client.Connections(ctx)
		l.sites = c.Sites
	}
	return l, err
}

// topLines are the rates between two looks, and how all stands at the second.
func topLines(before, now topLook, paint painter) []string {
	seconds := max(now.at.Sub(before.at).Seconds(), 0.001)
	rate := func(name string, labels ...string) string {
		return fmt.Sprintf("%.1f/s", max(now.metrics.Sum(name, labels...)-before.metrics.Sum(name, labels...), 0)/seconds)
	}
	value := func(name string) float64 { return now.metrics.Sum(name) }
	oldest := time.Duration(value("postrider_queue_oldest_seconds")) * time.Second
	lines := []string{
		paint.paint(bold, "postrider") + now.at.Format("  15:04:05"),
		fmt.Sprintf("in    accepted %s, refused %s", rate("postrider_messages_accepted_total"), rate("postrider_refused_total")),
		fmt.Sprintf("out   delivered %s, deferred %s, bounced %s", rate("postrider_recipients_total", `status="delivered"`),
			rate("postrider_recipients_total", `status="deferred"`), rate("postrider_recipients_total", `status="bounced"`)),
		fmt.Sprintf("queue %.0f waiting for %.0f destinations, %.0f held, the oldest for %s", value("postrider_queue_deliveries"),
			value("postrider_queue_destinations"), value("postrider_queue_held_deliveries"), age(time.Now().Add(-oldest))),
		fmt.Sprintf("work  %s; %.0f deliveries under way; %.0f destinations closed; %.0f faults since the start", phases(now.sites),
			value("postrider_deliveries_underway"), value("postrider_destinations_closed"), value("postrider_faults_total")),
		"said  " + complaints(before, now, seconds),
		"",
	}
	return append(lines, depths(now, paint)...)
}

// phases count what connections do.
func phases(sites []admin.Site) string {
	var all admin.Site
	for i := range sites {
		all.Opening += sites[i].Opening
		all.Carrying += sites[i].Carrying
		all.Idle += sites[i].Idle
	}
	return fmt.Sprintf("%d connections: %d opening, %d carrying, %d idle", all.Opening+all.Carrying+all.Idle, all.Opening, all.Carrying, all.Idle)
}

// complaints are what replies that were not positive were about, the most frequent first.
func complaints(before, now topLook, seconds float64) string {
	const name = "postrider_recipients_total"
	was := before.metrics.By(name, "class")
	rates := now.metrics.By(name, "class")
	var classes []string
	for class, n := range rates {
		rates[class] = max(n-was[class], 0) / seconds
		if class != "" && class != "none" && rates[class] > 0 {
			classes = append(classes, class)
		}
	}
	if len(classes) == 0 {
		return "no errors"
	}
	slices.SortFunc(classes, func(a, b string) int { return cmp.Or(cmp.Compare(rates[b], rates[a]), cmp.Compare(a, b)) })
	for i, class := range classes {
		classes[i] = fmt.Sprintf("%s %.1f/s", class, rates[class])
	}
	return "errors about " + strings.Join(classes, ", ")
}

// depths are the destinations, those with most mail first, as of the last census, and then the busiest.
func depths(now topLook, paint painter) []string {
	waiting := now.metrics.By("postrider_destination_queue_deliveries", "destination")
	oldest := now.metrics.By("postrider_destination_queue_oldest_seconds", "destination")
	bins := slices.Clone(now.bins)
	for name := range waiting {
		if !slices.ContainsFunc(bins, func(b admin.Bin) bool { return b.Destination == name }) {
			bins = append(bins, admin.Bin{Destination: name})
		}
	}
	slices.SortFunc(bins, func(a, b admin.Bin) int {
		return cmp.Or(cmp.Compare(waiting[b.Destination], waiting[a.Destination]), cmp.Compare(b.Connections+b.Away, a.Connections+a.Away), cmp.Compare(a.Destination, b.Destination))
	})
	lines := []string{fmt.Sprintf("%-40s %8s %7s %6s %11s %6s  %s", "DESTINATION", "WAITING", "OLDEST", "ACTIVE", "CONNECTIONS", "WINDOW", "STATE")}
	for i := range bins {
		b := &bins[i]
		since := ""
		if seconds := oldest[b.Destination]; seconds > 0 {
			since = age(time.Now().Add(-time.Duration(seconds) * time.Second))
		}
		lines = append(lines, fmt.Sprintf("%-40s %8.0f %7s %6d %11d %6d  %s", plain(b.Destination), waiting[b.Destination], since, b.Away, b.Connections, b.Window, binState(b, paint)))
	}
	return lines
}
