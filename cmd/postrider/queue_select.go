package main

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"postrider/relay"
	"postrider/relay/admin"
)

// selectFlags are the flags that say which deliveries are meant.
type selectFlags struct {
	selection                       admin.Selection
	older, younger, larger, smaller string
}

func (f *selectFlags) add(cmd *cobra.Command) {
	s, flags := &f.selection, cmd.Flags()
	flags.StringVar(&s.Sender, "sender", "", "only senders like this `pattern`, in which * stands for any characters; '<>' for none")
	flags.StringVar(&s.Recipient, "recipient", "", "only recipients like this `pattern`")
	flags.StringVar(&s.Destination, "destination", "", "only this destination, as route or route/domain, or a `pattern`")
	flags.StringVar(&s.Route, "route", "", "only this route, or a `pattern`")
	flags.StringVar(&s.User, "user", "", "only mail of users like this `pattern`")
	flags.StringVar(&s.Tag, "tag", "", "only mail with a tag like this `pattern`")
	flags.StringVar(&f.older, "older", "", "only mail that came longer ago than this, such as 90m, 12h or 3d")
	flags.StringVar(&f.younger, "younger", "", "only mail that came within this time")
	flags.StringVar(&f.larger, "larger", "", "only messages larger than this, such as 500kB or 10MB")
	flags.StringVar(&f.smaller, "smaller", "", "only messages smaller than this")
	flags.StringSliceVar(&s.States, "state", nil, "only these `states`: "+strings.Join(stateWords(), ", "))
	flags.StringSliceVar(&s.Classes, "class", nil, "only where the last reply was about `one` of: "+strings.Join(relay.ClassWords(), ", "))
	_ = cmd.RegisterFlagCompletionFunc("state", cobra.FixedCompletions(stateWords(), cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("class", cobra.FixedCompletions(relay.ClassWords(), cobra.ShellCompDirectiveNoFileComp))
}

func stateWords() []string {
	var words []string
	for s := relay.StateHeld; s <= relay.StateDue; s++ {
		words = append(words, s.String())
	}
	return words
}

// parse reads what is given as text, with the ids that were named.
func (f *selectFlags) parse(ids []string) (admin.Selection, error) {
	s := f.selection
	s.IDs = ids
	for _, d := range []struct {
		flag, text string
		to         *int64
	}{{"older", f.older, &s.OlderSeconds}, {"younger", f.younger, &s.YoungerSeconds}} {
		if d.text == "" {
			continue
		}
		age, err := parseAge(d.text)
		if err != nil {
			return s, fmt.Errorf("--%s: %w", d.flag, err)
		}
		*d.to = int64(age / time.Second)
	}
	for _, b := range []struct {
		flag, text string
		to         *int64
	}{{"larger", f.larger, &s.LargerBytes}, {"smaller", f.smaller, &s.SmallerBytes}} {
		if b.text == "" {
			continue
		}
		n, err := humanize.ParseBytes(b.text)
		if err != nil || n > 1<<50 {
			return s, fmt.Errorf("--%s %q: want a size such as 500kB or 10MB", b.flag, b.text)
		}
		*b.to = int64(n)
	}
	return s, nil
}

// parseAge reads a duration of at least a second; days are allowed, as in 3d or 1d12h.
func parseAge(text string) (time.Duration, error) {
	fault := fmt.Errorf("%q: want a time such as 90m, 12h or 3d", text)
	var d time.Duration
	rest := text
	if days, after, found := strings.Cut(text, "d"); found {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil {
			return 0, fault
		}
		d, rest = time.Duration(n)*24*time.Hour, after
	}
	if rest != "" {
		part, err := time.ParseDuration(rest)
		if err != nil || part < 0 {
			return 0, fault
		}
		d += part
	}
	if d < time.Second {
		return 0, fault
	}
	return d, nil
}

// author is who asks: the person behind sudo, if there is one.
func author() string {
	if name := os.Getenv("SUDO_USER"); name != "" {
		return name
	}
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "uid " + strconv.Itoa(os.Getuid())
}
