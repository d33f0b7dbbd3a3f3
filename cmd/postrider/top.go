package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
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
second, what waits and since when, and how the busiest destinations stand. Ctrl-C
ends it. Where the output is not a terminal, or with --once, it is printed once, with
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
}

func lookTop(ctx context.Context, client *admin.Client) (topLook, error) {
	l := topLook{at: time.Now()}
	var err error
	if l.metrics, err = client.Metrics(ctx); err == nil {
		l.bins, err = client.Destinations(ctx)
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
		fmt.Sprintf("work  %.0f connections, %.0f of them idle, %.0f deliveries under way; %.0f destinations closed; %.0f faults since the start",
			value("postrider_outbound_connections"), value("postrider_outbound_connections_idle"), value("postrider_deliveries_underway"),
			value("postrider_destinations_closed"), value("postrider_faults_total")),
		"",
	}
	var table strings.Builder
	printBins(&table, now.bins)
	return append(lines, strings.Split(strings.TrimSuffix(table.String(), "\n"), "\n")...)
}
