package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"postrider/relay/admin"
)

func newStatsCommand() *cobra.Command {
	var flags askFlags
	var most int
	stats := &cobra.Command{
		Use:     "stats",
		GroupID: groupRelay,
		Short:   "Show how much waits where, and for how long",
		Long: `Show how much waits where, and for how long, as qshape does for Postfix: a line for each
destination, those with most mail first, and a column for each age in minutes.
A message for three destinations counts in three lines.

A host that does not answer shows as a line with numbers in all columns; a sudden
flood as one with a large number in the first.`,
		Example: `  postrider stats
  postrider stats --limit 5 --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := flags.client()
			if err != nil {
				return err
			}
			s, err := client.Stats(cmd.Context(), most)
			if err != nil {
				return err
			}
			if flags.json {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(s)
			}
			printStats(cmd.OutOrStdout(), s)
			return nil
		},
	}
	flags.add(stats)
	stats.Flags().IntVar(&most, "limit", 20, "how many destinations")
	return stats
}

func printStats(out io.Writer, s admin.Stats) {
	if s.Deliveries == 0 {
		fmt.Fprintln(out, "Nothing is waiting.")
		return
	}
	width := len("DESTINATION")
	for _, row := range s.Rows {
		width = max(width, min(len(row.Destination), 48))
	}
	fmt.Fprintf(out, "%-*s %9s %8s", width, "DESTINATION", "TOTAL", "HELD")
	for _, m := range s.Minutes {
		fmt.Fprintf(out, " %7s", fmt.Sprintf("<%dm", m))
	}
	fmt.Fprintf(out, " %7s\n", "older")
	line := func(name string, total, held int, ages []int) {
		fmt.Fprintf(out, "%-*s %9d %8d", width, plain(name), total, held)
		for _, n := range ages {
			fmt.Fprintf(out, " %7s", zeroAsDot(n))
		}
		fmt.Fprintln(out)
	}
	line("TOTAL", s.Deliveries, s.Held, s.Ages)
	for _, row := range s.Rows {
		line(row.Destination, row.Deliveries, row.Held, row.Ages)
	}
	if more := s.Destinations - len(s.Rows); more > 0 {
		fmt.Fprintf(out, "... and %d more destinations\n", more)
	}
	fmt.Fprintf(out, "\nThe oldest has waited for %s.\n", strings.TrimSpace(age(s.Oldest)))
}

// zeroAsDot lets the numbers stand out among nothing.
func zeroAsDot(n int) string {
	if n == 0 {
		return "."
	}
	return fmt.Sprint(n)
}
