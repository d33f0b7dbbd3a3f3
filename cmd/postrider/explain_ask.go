package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"os"
	"time"

	"postrider/configs"
	"postrider/inbound/auth"
	"postrider/relay"
	"postrider/relay/admin"
	"postrider/relay/suppression"
)

// askFor are what explain asks of others, where it is told to.
type askFor struct {
	// passwordFile has the password of the user.
	passwordFile string
	// suppressions of a relay that runs.
	suppressions bool
}

// fill asks what there is to be asked before the question.
func (a *askFor) fill(ctx context.Context, config *configs.Config, q *question) error {
	if a.passwordFile != "" {
		if q.user == "" {
			return errors.New("--password-file goes with --user")
		}
		f, err := os.Open(a.passwordFile)
		if err != nil {
			return err
		}
		defer f.Close()
		if q.password, err = readPassword(f); err != nil {
			return err
		}
	}
	if !a.suppressions {
		return nil
	}
	list, err := runningSuppressions(ctx, config)
	if err != nil {
		return fmt.Errorf("ask the relay who is suppressed: %w", err)
	}
	q.suppressions = list
	return nil
}

// runningSuppressions is the list of the relay that runs with the configuration, as it is now.
func runningSuppressions(ctx context.Context, config *configs.Config) (*suppression.List, error) {
	var copied notesCopy
	for v, err := range admin.NewClient(config.Admin.Socket).Suppressions(ctx, "", 0) {
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(v)
		if err != nil {
			return nil, err
		}
		copied = append(copied, relay.Note{Key: v.Address, Value: value})
	}
	return suppression.New(ctx, suppression.Options{Terms: config.Suppression, Notes: copied, Now: time.Now})
}

// notesCopy are notes to be read once.
type notesCopy []relay.Note

// Remember has nothing to do.
func (notesCopy) Remember(context.Context, ...relay.Note) error { return nil }

// Recall yields them all.
func (n notesCopy) Recall(context.Context, string) iter.Seq2[relay.Note, error] {
	return func(yield func(relay.Note, error) bool) {
		for _, note := range n {
			if !yield(note, nil) {
				return
			}
		}
	}
}

// identify is who the user is: what the users file says, or, with a password, what the store of users
// says that knows him. Nil is a user of whom nothing is known.
func (q *question) identify(ctx context.Context, users *auth.Authority, o *relay.Origin) (*auth.Identity, *relay.Reply) {
	if q.password == "" {
		return users.Identify(o.User), nil
	}
	x, ok := users.Begin(auth.Plain, o.Client, o.Listener)
	if !ok {
		return nil, relay.NewReply(504, relay.EnhancedCode{5, 5, 4}, "PLAIN is not among the mechanisms, by which explain asks")
	}
	_, id, reply := x.Next(ctx, []byte("\x00"+o.User+"\x00"+q.password))
	return id, reply
}

// suppressedAnyway are recipients whom rules have added at data though they are suppressed: mail for
// them is tried, and comes back.
func (e *explanation) suppressedAnyway(q *question, m *relay.Message) {
	if q.suppressions == nil || m == nil {
		return
	}
	for _, d := range e.Deliveries {
		for _, text := range d.Recipients {
			to, err := relay.ParseAddress(text)
			if err != nil {
				continue
			}
			if reply := q.suppressions.Suppressed(m, to); reply != nil {
				e.Suppressed = append(e.Suppressed, text+": "+reply.Text)
			}
		}
	}
}
