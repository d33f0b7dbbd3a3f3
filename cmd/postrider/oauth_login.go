package main

import (
	"bufio"
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"postrider/outbound"
)

func newOAuthLoginCommand() *cobra.Command {
	var flags configFlags
	var route, listen string
	login := &cobra.Command{
		Use:   "login",
		Short: "Sign in as the account of a route and store its token",
		Long: `Sign in as the account of a route and store its token in the route's token_file.

At Microsoft and wherever there is a device_url, a code is shown that is entered in
a browser anywhere. Google allows that for no mail: there the browser comes back to
this host, or, where it runs elsewhere, you paste the address that it ends up at.

A running relay takes the new token at its next attempt. Run this as the user that
the relay runs as, so that it may read and renew the file.`,
		Example: `  postrider oauth login --config /etc/postrider.yaml
  postrider oauth login --config /etc/postrider.yaml --route gmail --listen 127.0.0.1:8765`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := flags.load()
			if err != nil {
				return err
			}
			cred, err := accountOf(oauthAccounts(c.Outbound.Routes), route)
			if err != nil {
				return err
			}
			return signIn(cmd, cred, outbound.Login{Listen: listen})
		},
	}
	flags.addFile(login)
	login.Flags().StringVar(&route, "route", "", "the `name` of the route; not needed where only one account needs a sign-in")
	login.Flags().StringVar(&listen, "listen", "", "the loopback `address` that the browser comes back to; default: any free port")
	return login
}

func signIn(cmd *cobra.Command, cred *outbound.Credentials, l outbound.Login) error {
	ctx, cancel := context.WithCancel(cmd.Context())
	defer cancel()
	out := cmd.OutOrStdout()
	l.Show = func(text string) { fmt.Fprintln(out, text) }
	l.Pasted = lines(ctx, cmd.InOrStdin())
	t, err := l.SignIn(ctx, cred)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "Signed in as %s; the token is in %s.\n", t.User, cred.OAuth.TokenFile)
	return nil
}

// lines sends what is typed, until ctx ends. The reading itself ends with the process: a
// terminal cannot be told to stop waiting.
func lines(ctx context.Context, from io.Reader) <-chan string {
	typed := make(chan string)
	go func() {
		for s := bufio.NewScanner(from); s.Scan(); {
			select {
			case typed <- s.Text():
			case <-ctx.Done():
				return
			}
		}
	}()
	return typed
}
