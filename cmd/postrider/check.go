package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"postrider/configs"
)

func newCheckCommand() *cobra.Command {
	var flags configFlags
	var tests string
	check := &cobra.Command{
		Use:     "check",
		GroupID: groupRelay,
		Short:   "Check the configuration without starting anything",
		Long: `Check the configuration without starting anything: its form, every expression,
what refers to what, and that keys, certificates and secrets can be read. All
faults are shown at once. The exit code is 0 when the configuration is good.

With --tests, the expectations of a file are put to it: messages, and what should
become of them (see postrider explain).

  tests:
    - name: invoices go by the provider
      from: billing@example.com
      to: [ann@example.net]
      expect: {reply: "250", destinations: [provider], rules: [invoices]}

Other keys are client, user, listener, helo, tls and message, and of expect: recipients,
sender, held, discarded, tags, header and signed.`,
		Example: "  postrider check --config /etc/postrider.yaml\n  postrider check --config /etc/postrider.yaml --tests /etc/postrider.tests.yaml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := flags.load()
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "The configuration is good: %s, %s, %s, %s.\n",
				count(len(c.Inbound.Listeners), "listener"), count(len(c.Policy.Routes), "route"),
				count(len(c.Policy.Rules), "rule"), keysOf(c))
			if tests != "" {
				return checkTests(cmd.Context(), cmd.OutOrStdout(), c, tests)
			}
			return nil
		},
	}
	flags.addFile(check)
	flags.addOverrides(check)
	check.Flags().StringVar(&tests, "tests", "", "`file` of expectations to put to the configuration")
	return check
}

// keysOf says with what mail is signed.
func keysOf(c *configs.Config) string {
	var directories []string
	named := 0
	for i := range c.DKIM.Keys {
		if in := c.DKIM.Keys[i].Directory; in != "" {
			directories = append(directories, in)
		} else {
			named++
		}
	}
	text := count(named, "DKIM key")
	if len(directories) == 0 {
		return text
	}
	if named == 0 {
		text = "the DKIM keys"
	} else {
		text += " and those"
	}
	return text + " in " + strings.Join(directories, ", ")
}

func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}
