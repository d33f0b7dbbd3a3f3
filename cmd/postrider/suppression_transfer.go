package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"postrider/relay/admin"
)

func newSuppressionExportCommand() *cobra.Command {
	var flags askFlags
	export := &cobra.Command{
		Use:     "export",
		Short:   "Print the list, a line of JSON for each",
		Example: "  postrider suppression export > suppressed.jsonl",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := flags.client()
			if err != nil {
				return err
			}
			out := json.NewEncoder(cmd.OutOrStdout())
			for v, err := range client.Suppressions(cmd.Context(), "", 0) {
				if err == nil {
					err = out.Encode(v)
				}
				if err != nil {
					return err
				}
			}
			return nil
		},
	}
	flags.addSocket(export)
	return export
}

func newSuppressionImportCommand() *cobra.Command {
	var flags suppressionFlags
	cmd := &cobra.Command{
		Use:   "import file",
		Short: "Put those in a file on the list",
		Long: `Put those in a file on the list, - for standard input: an address on each line, or what
suppression export prints, with its times, scopes and reasons. Empty lines and those
that begin with # are left out. An import that was broken off is simply given again.`,
		Example: "  postrider suppression import bounced.txt --reason 'from the old system'\n  ssh old postrider suppression export | postrider suppression import - --reason moved",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			in := cmd.InOrStdin()
			if args[0] != "-" {
				f, err := os.Open(args[0])
				if err != nil {
					return err
				}
				defer f.Close()
				in = f
			}
			all, err := readSuppressions(in, flags.scope)
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			return flags.suppress(cmd, all)
		},
	}
	flags.add(cmd)
	cmd.Flags().StringVar(&flags.scope, "scope", "", "the `scope` of those that have none (default global)")
	_ = cmd.MarkFlagRequired("reason")
	return cmd
}

// readSuppressions reads a line for each: an address, or JSON.
func readSuppressions(in io.Reader, scope string) ([]admin.Suppression, error) {
	var all []admin.Suppression
	lines := bufio.NewScanner(in)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		v := admin.Suppression{Address: line}
		switch {
		case line == "" || line[0] == '#':
			continue
		case line[0] == '{':
			v.Address = ""
			d := json.NewDecoder(bytes.NewReader([]byte(line)))
			d.DisallowUnknownFields()
			if err := d.Decode(&v); err != nil {
				return nil, fmt.Errorf("line %d: %w", n, err)
			}
		}
		if v.Scope == "" {
			v.Scope = scope
		}
		all = append(all, v)
	}
	return all, lines.Err()
}
