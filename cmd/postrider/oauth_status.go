package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"postrider/outbound"
	"postrider/relay/admin"
)

// The sources of what oauth status says.
const (
	sourceRelay     = "relay"
	sourceFiles     = "files"
	sourceProviders = "providers"
)

// accountReport is what oauth status says of an account.
type accountReport struct {
	admin.OAuthToken
	// Source says who knows it: the running "relay", the token "files", or with a check the
	// "providers".
	Source string `json:"source"`
	// Checked says that a token that is good now was got.
	Checked bool `json:"checked,omitempty"`
}

var errAccounts = errors.New("not every account has a token")

func newOAuthStatusCommand() *cobra.Command {
	var flags askFlags
	var check bool
	status := &cobra.Command{
		Use:   "status",
		Short: "Show the accounts that routes send as, and how old their tokens are",
		Long: `Show the accounts that routes send as, and how old their tokens are: when somebody
signed in, when the refresh token was last replaced, when the access token was got,
and why the latest try to get one failed. The running relay says so. Where none runs,
it is told what is in the token files, which know nothing of applications and of
failures. With --check, get a token for each that has none that is good, from here
and by the files. The exit code is 1 when an account has none.`,
		Example: `  postrider oauth status --config /etc/postrider.yaml
  postrider oauth status --config /etc/postrider.yaml --check`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			all, err := flags.accounts(cmd.Context(), check)
			if err != nil {
				return err
			}
			return printAccounts(cmd.OutOrStdout(), all, flags.json)
		},
	}
	flags.add(status)
	status.Flags().BoolVar(&check, "check", false, "get a token where none is good")
	return status
}

// accounts asks the relay that runs, or looks into the files.
func (f *askFlags) accounts(ctx context.Context, check bool) ([]accountReport, error) {
	if f.socket != "" && !check {
		return runningAccounts(ctx, admin.NewClient(f.socket))
	}
	if check {
		c, err := f.config.load()
		if err != nil {
			return nil, err
		}
		return storedAccounts(ctx, c.Outbound.Routes, true), nil
	}
	c, err := f.config.loadForAsking()
	if err != nil {
		return nil, err
	}
	if isRunning(c.Admin.Socket) {
		return runningAccounts(ctx, admin.NewClient(c.Admin.Socket))
	}
	return storedAccounts(ctx, c.Outbound.Routes, false), nil
}

func runningAccounts(ctx context.Context, client *admin.Client) ([]accountReport, error) {
	states, err := client.OAuthTokens(ctx)
	if err != nil {
		return nil, err
	}
	var all []accountReport
	for _, s := range states {
		all = append(all, accountReport{OAuthToken: s, Source: sourceRelay})
	}
	return all, nil
}

// storedAccounts are those of the routes, by what is in their files. With check each gets a token.
func storedAccounts(ctx context.Context, routes []outbound.Route, check bool) []accountReport {
	var all []accountReport
	for _, a := range oauthAccounts(routes) {
		var failed error
		if check {
			failed = a.cred.Check(ctx, nil, time.Now)
		}
		all = append(all, stored(a, check, failed))
	}
	return all
}

func stored(a oauthAccount, check bool, failed error) accountReport {
	o := a.cred.OAuth
	r := accountReport{Source: sourceFiles, OAuthToken: admin.OAuthToken{
		User: a.cred.User, Routes: a.routes, Provider: o.Provider, Grant: o.Grant(), TokenFile: o.TokenFile,
	}}
	if o.TokenFile != "" {
		t, err := outbound.ReadToken(o.TokenFile)
		if err != nil {
			r.Fault = err.Error() + ": run postrider oauth login"
		}
		r.Granted, r.Renewed, r.Refreshed, r.Expires = t.Granted, t.Renewed, t.Refreshed, t.Expires
	}
	if check {
		r.Source, r.Checked = sourceProviders, failed == nil
	}
	if failed != nil {
		r.Fault = failed.Error()
	}
	return r
}

// printAccounts says how all are, and gives an error when one is not well.
func printAccounts(out io.Writer, all []accountReport, asJSON bool) error {
	if !asJSON {
		fmt.Fprintln(out, accountsHeading(all))
	}
	var err error
	for _, r := range all {
		if r.Fault != "" {
			err = errAccounts
		}
		if !asJSON {
			r.print(out)
		} else if err := json.NewEncoder(out).Encode(r); err != nil {
			return err
		}
	}
	return err
}

func accountsHeading(all []accountReport) string {
	if len(all) == 0 {
		return "No route has oauth2 in its auth."
	}
	switch all[0].Source {
	case sourceRelay:
		return "As the running relay has it:"
	case sourceProviders:
		return "As the providers say now:"
	}
	return "No relay runs. As the token files have it:"
}

func (r *accountReport) print(out io.Writer) {
	article := "a"
	if r.Grant == "application" {
		article = "an"
	}
	fmt.Fprintf(out, "%s, %s %s at %s, for %s\n", plain(r.User), article, r.Grant, r.Provider, plain(strings.Join(r.Routes, ", ")))
	for _, line := range []struct {
		what string
		at   time.Time
	}{{"signed in", r.Granted}, {"refresh token renewed", r.Renewed}, {"access token got", r.Refreshed}} {
		if !line.at.IsZero() {
			fmt.Fprintf(out, "    %s %s ago\n", line.what, age(line.at))
		}
	}
	switch {
	case !r.Expires.IsZero():
		fmt.Fprintf(out, "    access token good until %s\n", r.Expires.Format(time.RFC3339))
	case r.Source == sourceRelay && r.Fault == "":
		fmt.Fprintln(out, "    no access token yet: none was needed since the start")
	}
	switch {
	case r.Fault != "":
		fmt.Fprintf(out, "    FAULT: %s\n", plain(r.Fault))
	case r.Checked:
		fmt.Fprintln(out, "    a token that is good now was got")
	}
	if !r.Failed.IsZero() {
		fmt.Fprintf(out, "    that was %s ago\n", age(r.Failed))
	}
}
