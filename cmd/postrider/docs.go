package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

func newDocsCommand() *cobra.Command {
	docs := &cobra.Command{
		Use:   "docs",
		Short: "Write the manual pages",
	}
	docs.AddCommand(newDocsManCommand())
	return docs
}

func newDocsManCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "man directory",
		Short: "Write a manual page for each command",
		Long: `Write a manual page in section 1 for each command into a directory, which is made if it
is not there. See also: postrider completion, which makes shells complete commands,
flags and their words.`,
		Example: `  postrider docs man /usr/local/share/man/man1
  postrider completion bash > /etc/bash_completion.d/postrider`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := args[0]
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return err
			}
			root := cmd.Root()
			root.DisableAutoGenTag = true // the same pages for the same program
			header := &doc.GenManHeader{Section: "1", Source: "Postrider " + version(), Manual: "Postrider"}
			if err := doc.GenManTree(root, header, dir); err != nil {
				return fmt.Errorf("write the manual pages: %w", err)
			}
			pages, err := filepath.Glob(filepath.Join(dir, "postrider*.1"))
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%d pages are in %s.\n", len(pages), dir)
			return nil
		},
	}
}
