package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"postrider/inbound/auth"
)

// userAdd is what user add was asked for.
type userAdd struct {
	userFlags
	password              passwordFlags
	scram, argon2, bcrypt bool
	allow                 []string
	rate, quota           string
	replace               bool
}

func newUserAddCommand() *cobra.Command {
	var a userAdd
	add := &cobra.Command{
		Use:   "add NAME",
		Short: "Add a user, or give one another password",
		Long: `Add a user to the file, which is made if there is none.

The password is asked for twice, or read from --password-file or standard input. It
is kept as a bcrypt hash, or as you say: SCRAM-SHA-256 lets clients prove that they
know the password without sending it, and is offered once all users have it;
argon2id resists cracking best, and takes 19 MiB for each check.`,
		Example: `  postrider user add app1 --file users
  postrider user add app1 --file users --replace --scram
  postrider user add shop --config /etc/postrider.yaml --allow @shop.example --rate 1000/1h --quota 5000
  pwgen -s 24 1 | tee secret | postrider user add app2 --file users`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.run(cmd, args[0]) },
	}
	a.userFlags.add(add)
	a.addDryRun(add)
	a.password.add(add)
	flags := add.Flags()
	flags.BoolVar(&a.bcrypt, "bcrypt", false, "keep the password as a bcrypt hash (the default)")
	flags.BoolVar(&a.argon2, "argon2id", false, "keep the password as an argon2id hash")
	flags.BoolVar(&a.scram, "scram", false, "keep the password in the form that SCRAM-SHA-256 needs")
	add.MarkFlagsMutuallyExclusive("bcrypt", "argon2id", "scram")
	flags.StringArrayVar(&a.allow, "allow", nil, "let the user send as this `sender`, an address or @domain (may be repeated); default: any")
	flags.StringVar(&a.rate, "rate", "", "how many messages the user may send, such as 1000/1h")
	flags.StringVar(&a.quota, "quota", "", "how many recipients the user may send to, such as 5000/24h")
	flags.BoolVar(&a.replace, "replace", false, "change a user that is there; what is not given stays")
	return add
}

func (a *userAdd) scheme() auth.Scheme {
	switch {
	case a.scram:
		return auth.SchemeSCRAM
	case a.argon2:
		return auth.SchemeArgon2
	}
	return auth.SchemeBcrypt
}

func (a *userAdd) run(cmd *cobra.Command, name string) error {
	path, err := a.path()
	if err != nil {
		return err
	}
	if err := auth.CheckName(name); err != nil {
		return err
	}
	password, err := a.password.read(cmd, true)
	if err != nil {
		return err
	}
	secret, err := auth.NewSecret(a.scheme(), password)
	if err != nil {
		return err
	}
	did := "Added"
	err = a.edit(path, func(u *auth.Users) error {
		e := u.Find(name)
		switch {
		case e == nil:
			e = &auth.Entry{Identity: auth.Identity{User: name}}
		case !a.replace:
			return fmt.Errorf("%s has user %q already; --replace changes it", path, name)
		default:
			did = "Changed"
		}
		e.Secret = secret
		if err := a.apply(e); err != nil {
			return err
		}
		return u.Set(e)
	})
	if err != nil {
		return err
	}
	a.did(cmd, "%s user %q in %s (%s)", did, name, path, secret.Scheme())
	return nil
}

// apply sets the options that were given.
func (a *userAdd) apply(e *auth.Entry) (err error) {
	if len(a.allow) > 0 {
		e.Senders = a.allow
	}
	for _, sender := range a.allow {
		if err := auth.CheckSender(sender); err != nil || sender == "" {
			return fmt.Errorf("--allow %q: want an address or @domain", sender)
		}
	}
	if a.rate != "" {
		if e.Rate, err = auth.ParseRate(a.rate); err != nil {
			return fmt.Errorf("--rate: %w", err)
		}
	}
	if a.quota != "" {
		if e.Quota, err = auth.ParseQuota(a.quota); err != nil {
			return fmt.Errorf("--quota: %w", err)
		}
	}
	return nil
}
