package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newCheckCommand() *cobra.Command {
	var flags configFlags
	check := &cobra.Command{
		Use:     "check",
		GroupID: groupRelay,
		Short:   "Check the configuration without starting anything",
		Long: `Check the configuration without starting anything: its form, every expression,
what refers to what, and that keys, certificates and secrets can be read. All
faults are shown at once. The exit code is 0 when the configuration is good.`,
		Example: "  postrider check --config /etc/postrider.yaml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := flags.load()
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "The configuration is good: %s, %s, %s, %s.\n",
				count(len(c.Inbound.Listeners), "listener"), count(len(c.Policy.Routes), "route"),
				count(len(c.Policy.Rules), "rule"), count(len(c.DKIM.Keys), "DKIM key"))
			return nil
		},
	}
	flags.addFile(check)
	flags.addOverrides(check)
	return check
}

func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}
