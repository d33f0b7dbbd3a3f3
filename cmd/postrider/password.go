package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// maxPassword bounds what is read as a password, in bytes.
const maxPassword = 4096

// passwordFlags say where a password comes from. It is never an argument: others on the
// host can see those.
type passwordFlags struct{ file string }

func (f *passwordFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.file, "password-file", "", "read the password from this `file`; default: ask, or read standard input")
}

// read gets the password, without the line end behind it. At a terminal it is asked for
// without showing it, and again where it is a new one.
func (f *passwordFlags) read(cmd *cobra.Command, isNew bool) (string, error) {
	if f.file != "" {
		opened, err := os.Open(f.file)
		if err != nil {
			return "", err
		}
		defer opened.Close()
		return readPassword(opened)
	}
	in, ok := cmd.InOrStdin().(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return readPassword(cmd.InOrStdin())
	}
	password, err := ask(in, cmd.ErrOrStderr(), "Password: ")
	if err != nil || !isNew {
		return password, err
	}
	again, err := ask(in, cmd.ErrOrStderr(), "Again: ")
	if err == nil && again != password {
		err = errors.New("these were two different passwords")
	}
	return password, err
}

func ask(in *os.File, out io.Writer, prompt string) (string, error) {
	fmt.Fprint(out, prompt)
	defer fmt.Fprintln(out)
	password, err := term.ReadPassword(int(in.Fd()))
	return string(password), err
}

func readPassword(r io.Reader) (string, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxPassword+1))
	if err != nil {
		return "", fmt.Errorf("read the password: %w", err)
	}
	password := strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")
	switch {
	case len(text) > maxPassword:
		return "", fmt.Errorf("the password is longer than %d bytes", maxPassword)
	case strings.ContainsAny(password, "\r\n\x00"):
		return "", errors.New("the password is more than a line")
	}
	return password, nil
}
