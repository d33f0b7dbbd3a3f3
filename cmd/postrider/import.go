package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
)

func newImportCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "import",
		GroupID: groupRelay,
		Short:   "Make a configuration of another mail server's",
	}
	cmd.AddCommand(newImportPostfixCommand())
	return cmd
}

func newImportPostfixCommand() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "postfix [directory]",
		Short: "Make a configuration of Postfix's",
		Long: `Read main.cf, and the transport and password maps that it names, from a directory, which is
/etc/postfix by default, and write a configuration that relays as they say. A main.cf can be
the output of postconf -n. What is not translated is in comments at the end, each with what does it
here where there is something: read them.

Passwords do not go into the configuration. With --output they go into files in the directory
secrets beside it; without, the configuration is printed and says which files it wants.`,
		Example: "  postrider import postfix --output /etc/postrider/postrider.yaml\n  postrider check --config /etc/postrider/postrider.yaml",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := "/etc/postfix"
			if len(args) > 0 {
				dir = args[0]
			}
			p, err := readPostfix(dir)
			if err != nil {
				return err
			}
			text, secrets := p.convert()
			if output == "" {
				fmt.Fprint(cmd.OutOrStdout(), text)
				return nil
			}
			return writeImported(cmd.OutOrStdout(), output, text, secrets)
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "write the configuration to this `file`, which must not exist")
	return cmd
}

// writeImported writes the configuration and its secrets. Nothing is overwritten.
func writeImported(out io.Writer, name, text string, secrets map[string]string) error {
	dir := filepath.Join(filepath.Dir(name), "secrets")
	if len(secrets) > 0 {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	for secret, value := range secrets {
		if err := createFile(filepath.Join(dir, secret), value+"\n", 0o600); err != nil {
			return err
		}
	}
	if err := createFile(name, text, 0o640); err != nil {
		return err
	}
	fmt.Fprintf(out, "%s is written, with %s beside it. Look at the comments, then: postrider check --config %s\n", name, count(len(secrets), "secret"), name)
	return nil
}

func createFile(name, text string, mode os.FileMode) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}
