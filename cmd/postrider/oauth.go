package main

import (
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/spf13/cobra"

	"postrider/outbound"
)

func newOAuthCommand() *cobra.Command {
	oauth := &cobra.Command{
		Use:     "oauth",
		GroupID: groupRelay,
		Short:   "Sign in to the accounts that routes send as, and see their tokens",
		Long: `Sign in to the accounts that routes send as, and see how their tokens are.

Microsoft 365 and Gmail take access tokens in place of passwords. An application
or a service account gets them by itself; the account of a person needs one
sign-in, whose token is kept in the token_file of the route and renewed by the
relay. See configs/m365.md for both, step by step.`,
	}
	oauth.AddCommand(newOAuthLoginCommand(), newOAuthStatusCommand())
	return oauth
}

// oauthAccount is an account of one or more routes.
type oauthAccount struct {
	routes []string
	cred   *outbound.Credentials
}

// oauthAccounts finds the accounts of the routes, each once.
func oauthAccounts(routes []outbound.Route) []oauthAccount {
	var all []oauthAccount
	for i := range routes {
		r := &routes[i]
		if r.Auth == nil || r.Auth.OAuth == nil {
			continue
		}
		same := func(a oauthAccount) bool {
			return a.cred.User == r.Auth.User && reflect.DeepEqual(a.cred.OAuth, r.Auth.OAuth)
		}
		if k := slices.IndexFunc(all, same); k >= 0 {
			all[k].routes = append(all[k].routes, r.Name)
			continue
		}
		all = append(all, oauthAccount{[]string{r.Name}, r.Auth})
	}
	return all
}

// accountOf finds the account to sign in to: that of the route, or the only one there is.
func accountOf(all []oauthAccount, route string) (*outbound.Credentials, error) {
	var found []oauthAccount
	for _, a := range all {
		if route == "" && a.cred.OAuth.TokenFile != "" || slices.Contains(a.routes, route) {
			found = append(found, a)
		}
	}
	switch {
	case len(found) == 1:
		return found[0].cred, nil
	case route != "":
		return nil, fmt.Errorf("no route %q with oauth2 in its auth", route)
	case len(found) == 0:
		return nil, errors.New("no route has oauth2 with a token_file in its auth: nobody has to sign in")
	}
	return nil, errors.New("several accounts need a sign-in: give --route")
}
