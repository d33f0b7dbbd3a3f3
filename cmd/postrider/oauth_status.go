package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"postrider/outbound"
)

// accountReport is what oauth status says of an account.
type accountReport struct {
	User     string   `json:"user"`
	Routes   []string `json:"routes"`
	Provider string   `json:"provider"`
	Grant    string   `json:"grant"`
	// TokenFile, and the times of what is in it, are those of the account of a person.
	TokenFile string `json:"token_file,omitempty"`
	// Granted is when somebody signed in, Renewed when the refresh token last changed,
	// Refreshed when the access token was got.
	Granted   *time.Time `json:"granted,omitempty"`
	Renewed   *time.Time `json:"renewed,omitempty"`
	Refreshed *time.Time `json:"refreshed,omitempty"`
	Expires   *time.Time `json:"expires,omitempty"`
	// Checked says that a token that is good now was got.
	Checked bool   `json:"checked,omitempty"`
	Fault   string `json:"fault,omitempty"`
}

var errAccounts = errors.New("not every account has a token")

func newOAuthStatusCommand() *cobra.Command {
	var flags configFlags
	var asJSON, check bool
	status := &cobra.Command{
		Use:   "status",
		Short: "Show the accounts that routes send as, and how old their tokens are",
		Long: `Show the accounts that routes send as, and how old their tokens are: when somebody
signed in, when the refresh token was last replaced, when the access token was got.
With --check, get a token for each that has none that is good. The exit code is 1
when an account has none.`,
		Example: `  postrider oauth status --config /etc/postrider.yaml --check`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := flags.load()
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			faulty := false
			for _, a := range oauthAccounts(c.Outbound.Routes) {
				var failed error
				if check {
					failed = a.cred.Check(cmd.Context(), nil, time.Now)
				}
				r := report(a, check, failed)
				faulty = faulty || r.Fault != ""
				if asJSON {
					if err := json.NewEncoder(out).Encode(r); err != nil {
						return err
					}
					continue
				}
				r.print(out)
			}
			if faulty {
				return errAccounts
			}
			return nil
		},
	}
	flags.addFile(status)
	status.Flags().BoolVar(&asJSON, "json", false, "print JSON instead of text")
	status.Flags().BoolVar(&check, "check", false, "get a token where none is good")
	return status
}

func report(a oauthAccount, check bool, failed error) accountReport {
	o := a.cred.OAuth
	r := accountReport{User: a.cred.User, Routes: a.routes, Provider: o.Provider, Grant: o.Grant(), TokenFile: o.TokenFile}
	if o.TokenFile != "" {
		t, err := outbound.ReadToken(o.TokenFile)
		if err != nil {
			r.Fault = err.Error() + ": run postrider oauth login"
		}
		r.Granted, r.Renewed, r.Refreshed, r.Expires = known(t.Granted), known(t.Renewed), known(t.Refreshed), known(t.Expires)
	}
	r.Checked = check && failed == nil
	if failed != nil {
		r.Fault = failed.Error()
	}
	return r
}

// known is nil for a time that is not.
func known(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func (r *accountReport) print(out io.Writer) {
	fmt.Fprintf(out, "%s, a %s at %s, for %s\n", r.User, r.Grant, r.Provider, strings.Join(r.Routes, ", "))
	for _, line := range []struct {
		what string
		at   *time.Time
	}{{"signed in", r.Granted}, {"refresh token renewed", r.Renewed}, {"access token got", r.Refreshed}} {
		if line.at != nil {
			fmt.Fprintf(out, "    %s %s ago\n", line.what, age(*line.at))
		}
	}
	if r.Expires != nil {
		fmt.Fprintf(out, "    access token good until %s\n", r.Expires.Format(time.RFC3339))
	}
	switch {
	case r.Fault != "":
		fmt.Fprintf(out, "    FAULT: %s\n", plain(r.Fault))
	case r.Checked:
		fmt.Fprintln(out, "    a token that is good now was got")
	}
}
