package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"postrider/inbound/auth"
)

func newUserCommand() *cobra.Command {
	user := &cobra.Command{
		Use:     "user",
		GroupID: groupRelay,
		Short:   "Manage who may authenticate",
		Long: `Manage the users file: who may authenticate, as whom they may send, and how much.

The file has a line for each user, name:secret[:options]. The secret is a bcrypt,
argon2id or SCRAM-SHA-256 hash; the options, between commas, are addresses and
@domains that the user may send as (any, without one), rate=1000/1h (messages) and
quota=5000 (recipients a day). It is changed in one piece and keeps its comments,
owner and mode; a running relay knows the change at the next AUTH.`,
	}
	user.AddCommand(newUserAddCommand(), newUserRemoveCommand(), newUserListCommand(), newUserVerifyCommand())
	return user
}

// userFlags say which file is meant.
type userFlags struct {
	config configFlags
	file   string
	dryRun bool
}

func (f *userFlags) add(cmd *cobra.Command) {
	f.config.addFile(cmd)
	cmd.Flags().StringVarP(&f.file, "file", "f", "", "the users `file`; default: that of the configuration")
}

func (f *userFlags) addDryRun(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "say what would be done, and do nothing")
}

// path finds the file.
func (f *userFlags) path() (string, error) {
	if f.file != "" {
		return f.file, nil
	}
	if f.config.file == "" {
		return "", errors.New("which users file? Give --file, or --config with users: {file: ...}")
	}
	c, err := f.config.load()
	if err != nil {
		return "", fmt.Errorf("%w\n(--file names the users file without the configuration)", err)
	}
	if c.Inbound.Users.File == "" {
		return "", fmt.Errorf("%s has no users file", f.config.file)
	}
	return c.Inbound.Users.File, nil
}

var errDryRun = errors.New("nothing is to be done")

// edit changes the file, or does as if.
func (f *userFlags) edit(path string, change func(*auth.Users) error) error {
	err := auth.EditUsers(path, func(u *auth.Users) error {
		if err := change(u); err != nil || !f.dryRun {
			return err
		}
		return errDryRun
	})
	if errors.Is(err, errDryRun) {
		return nil
	}
	return err
}

// did says what was done.
func (f *userFlags) did(cmd *cobra.Command, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if f.dryRun {
		text += " (a dry run: nothing was changed)"
	}
	fmt.Fprintln(cmd.OutOrStdout(), text+".")
}

func newUserRemoveCommand() *cobra.Command {
	var flags userFlags
	remove := &cobra.Command{
		Use:     "remove NAME...",
		Short:   "Take users out of the file",
		Long:    "Take users out of the file. Sessions that they have open go on to their end.",
		Example: "  postrider user remove app1 app2 --file /etc/postrider/users",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, names []string) error {
			path, err := flags.path()
			if err != nil {
				return err
			}
			err = flags.edit(path, func(u *auth.Users) error {
				for _, name := range names {
					if !u.Remove(name) {
						return fmt.Errorf("%s has no user %q; nobody was removed", path, name)
					}
				}
				return nil
			})
			if err != nil {
				return err
			}
			flags.did(cmd, "Removed %s from %s: %s", count(len(names), "user"), path, strings.Join(names, ", "))
			return nil
		},
	}
	flags.add(remove)
	flags.addDryRun(remove)
	return remove
}

// userView is a user as list --json shows it.
type userView struct {
	User    string      `json:"user"`
	Scheme  auth.Scheme `json:"scheme"`
	Senders []string    `json:"senders,omitempty"`
	Rate    string      `json:"rate,omitempty"`
	Quota   string      `json:"quota,omitempty"`
}

func newUserListCommand() *cobra.Command {
	var flags userFlags
	var asJSON bool
	list := &cobra.Command{
		Use:   "list",
		Short: "List the users, without their secrets",
		Example: `  postrider user list --config /etc/postrider.yaml
  postrider user list --file users --json | jq -r 'select(.scheme == "bcrypt") | .user'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			path, err := flags.path()
			if err != nil {
				return err
			}
			users, err := auth.ReadUsers(path)
			if err != nil {
				return err
			}
			return listUsers(cmd, users.Entries(), asJSON)
		},
	}
	flags.add(list)
	list.Flags().BoolVar(&asJSON, "json", false, "print JSON instead of text")
	return list
}

func listUsers(cmd *cobra.Command, entries []*auth.Entry, asJSON bool) error {
	encoder := json.NewEncoder(cmd.OutOrStdout())
	table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	if !asJSON {
		fmt.Fprintln(table, "USER\tSECRET\tRATE\tQUOTA\tSENDERS")
	}
	for _, e := range entries {
		v := userView{e.User, e.Secret.Scheme(), e.Senders, e.Rate.String(), e.Quota.String()}
		if asJSON {
			if err := encoder.Encode(v); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", v.User, v.Scheme,
			orDefault(v.Rate, "-"), orDefault(v.Quota, "-"), orDefault(strings.Join(v.Senders, ", "), "any"))
	}
	return table.Flush()
}

func orDefault(text, without string) string {
	if text == "" {
		return without
	}
	return text
}

func newUserVerifyCommand() *cobra.Command {
	var flags userFlags
	var password passwordFlags
	verify := &cobra.Command{
		Use:     "verify NAME",
		Short:   "Check a user's password",
		Long:    "Check a user's password against the file. The exit code is 0 when it is right.",
		Example: "  postrider user verify app1 --file users",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := flags.path()
			if err != nil {
				return err
			}
			users, err := auth.ReadUsers(path)
			if err != nil {
				return err
			}
			e := users.Find(args[0])
			if e == nil {
				return fmt.Errorf("%s has no user %q", path, args[0])
			}
			given, err := password.read(cmd, false)
			if err != nil {
				return err
			}
			if !e.Secret.Verify(given) {
				return fmt.Errorf("the password of user %q is another one", e.User)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "The password of user %q is right.\n", e.User)
			return nil
		},
	}
	flags.add(verify)
	password.add(verify)
	return verify
}
