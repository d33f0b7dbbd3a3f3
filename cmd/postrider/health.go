package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

// healthPatience is how long a relay may take to answer.
const healthPatience = 10 * time.Second

func newHealthCommand() *cobra.Command {
	var flags askFlags
	health := &cobra.Command{
		Use:     "health",
		GroupID: groupRelay,
		Short:   "Say whether a running relay moves, for health checks",
		Long: `Say whether a running relay moves: its scheduler goes round, and its spool reads, and
writes to the disk. The exit code is 0 if so, within 10 seconds, and 1 if not. That hosts
cannot be reached, or that the disk is full, is no matter of health: a new start would not
help. See doctor for those.`,
		Example: `  postrider health --socket /var/lib/postrider/admin.sock
  HEALTHCHECK CMD ["/postrider", "health", "--socket", "/data/admin.sock"]`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := flags.client()
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), healthPatience)
			defer cancel()
			if err := client.Health(ctx); err != nil {
				return err
			}
			if flags.json {
				fmt.Fprintln(cmd.OutOrStdout(), `{"healthy":true}`)
				return nil
			}
			fmt.Fprintln(cmd.OutOrStdout(), "The relay moves.")
			return nil
		},
	}
	flags.add(health)
	return health
}
