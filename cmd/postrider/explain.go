package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

func newExplainCommand() *cobra.Command {
	var flags configFlags
	var q question
	var file string
	var asJSON, offline bool
	var asked askFor
	explain := &cobra.Command{
		Use:     "explain",
		GroupID: groupRelay,
		Short:   "Say what would become of a message: rules, changes, route, hosts, signature and answer",
		Long: `Say what would become of a message, without sending anything: each rule that is
looked at and what it says, what is changed, where the mail goes with which
credentials, the hosts as they resolve now, what is asked of TLS, the limits of the
way, the keys that sign, and the answer that the client gets.

The configuration decides, not the state of a running relay: rates begin at zero, and
queues are empty. Milters, policy services and hooks are named and not asked. Whom a
user may send as is what the users file says; other stores of users are asked where
--password-file has the user's password, and a relay that runs is asked who is
suppressed with --suppressions. The hosts, the MTA-STS policy of a domain and, where the route
wants DANE, the TLSA records are asked for now, and again by the relay at the attempt.`,
		Example: `  postrider explain --config /etc/postrider.yaml --client 10.1.2.3 --from app@example.com --to ann@example.net
  postrider explain --config /etc/postrider.yaml --listener submission --user shop --from a@b.example --to c@d.example --message mail.eml
  postrider explain --config /etc/postrider.yaml --from a@b.example --to c@d.example --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if len(q.to) == 0 {
				return errors.New("give at least one recipient with --to")
			}
			if file != "" {
				text, err := os.ReadFile(file)
				if err != nil {
					return err
				}
				q.message = string(text)
			}
			config, err := flags.load()
			if err != nil {
				return err
			}
			if err := asked.fill(cmd.Context(), config, &q); err != nil {
				return err
			}
			e, err := explainMessage(cmd.Context(), config, q)
			if err != nil {
				return err
			}
			if !offline {
				if err := e.resolve(cmd.Context(), config); err != nil {
					return err
				}
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(e)
			}
			e.print(cmd.OutOrStdout())
			return nil
		},
	}
	flags.addFile(explain)
	flags.addOverrides(explain)
	f := explain.Flags()
	f.StringVar(&q.client, "client", "127.0.0.1", "the client's `address`")
	f.StringVar(&q.helo, "helo", "client.example", "the `name` that the client gives with EHLO")
	f.StringVar(&q.user, "user", "", "the `user` who has authenticated; default: nobody has")
	f.StringVar(&q.listener, "listener", "", "the listener's `name`; default: the first one")
	f.StringVar(&q.tls, "tls", "", "the session's TLS `version`, such as TLSv1.3; default: none")
	f.StringVar(&q.from, "from", "", "the envelope's sender `address`; default: the null reverse-path")
	f.StringArrayVar(&q.to, "to", nil, "a recipient's `address` (may be repeated)")
	f.StringVar(&file, "message", "", "`file` with the message; default: a short one")
	f.StringVar(&asked.passwordFile, "password-file", "", "`file` with the user's password: have the user authenticate, at LDAP and HTTP too")
	f.BoolVar(&asked.suppressions, "suppressions", false, "ask the running relay who is suppressed")
	f.BoolVar(&offline, "offline", false, "do not look up hosts")
	f.BoolVar(&asJSON, "json", false, "print JSON instead of text")
	return explain
}

// explanation is what would become of a message.
type explanation struct {
	// Reply is the last answer that the client gets, and Stage to what.
	Reply string `json:"reply"`
	Stage string `json:"stage"`
	// Refused are recipients that are not taken, with the answers.
	Refused []string `json:"refused,omitempty"`
	// Rules are the rules that were looked at.
	Rules []ruleView `json:"rules"`
	// Judges are the milters, policy services and hooks that a listener asks, and explain does not.
	Judges []string `json:"judges,omitempty"`
	// Sender, Tags and Priority are the message's as it is queued, Changes what rules did to it.
	Sender   string   `json:"sender"`
	Tags     []string `json:"tags,omitempty"`
	Priority int8     `json:"priority,omitempty"`
	Changes  []string `json:"changes,omitempty"`
	// Header is the header section as it would go out.
	Header string `json:"header,omitempty"`
	// Signed are the keys that sign, and Unsigned why one does not.
	Signed   []string `json:"signed,omitempty"`
	Unsigned string   `json:"unsigned,omitempty"`
	// keys says that there are any.
	keys bool
	// Discarded are recipients whose mail is thrown away.
	Discarded []string `json:"discarded,omitempty"`
	// Suppressed are recipients whom rules have added at data though they are suppressed.
	Suppressed []string       `json:"suppressed,omitempty"`
	Deliveries []deliveryView `json:"deliveries,omitempty"`
	// Limits are those of the way in.
	Limits string `json:"limits"`
}

type ruleView struct {
	Stage     string `json:"stage"`
	Rule      string `json:"rule"`
	Recipient string `json:"recipient,omitempty"`
	// Said is what the rule does; "" where it does not match.
	Said string `json:"said,omitempty"`
}

// deliveryView is where mail goes and how.
type deliveryView struct {
	Destination string   `json:"destination"`
	Recipients  []string `json:"recipients"`
	Flow        string   `json:"flow"`
	Held        string   `json:"held,omitempty"`
	Protocol    string   `json:"protocol,omitempty"`
	TLS         string   `json:"tls,omitempty"`
	User        string   `json:"user,omitempty"`
	Limits      string   `json:"limits,omitempty"`
	Hosts       []string `json:"hosts,omitempty"`
	// Proof is what each host's session would have to prove, and by whose word.
	Proof []string `json:"proof,omitempty"`
	// Fault says why there are no hosts.
	Fault string `json:"fault,omitempty"`
}

func (e *explanation) print(w io.Writer) {
	fmt.Fprintln(w, "Rules:")
	for _, r := range e.Rules {
		said := r.Said
		if said == "" {
			said = "does not match"
		}
		about := ""
		if r.Recipient != "" {
			about = " <" + r.Recipient + ">"
		}
		fmt.Fprintf(w, "  %-8s%s%s: %s\n", r.Stage, r.Rule, about, said)
	}
	if len(e.Rules) == 0 {
		fmt.Fprintln(w, "  none are asked")
	}
	e.printJudges(w)
	printList(w, "Refused", e.Refused)
	printList(w, "Changes", e.Changes)
	printList(w, "Thrown away", e.Discarded)
	printList(w, "Added by rules at data though suppressed, to be tried all the same", e.Suppressed)
	for _, d := range e.Deliveries {
		d.print(w)
	}
	printList(w, "Signed by", e.Signed)
	if e.Unsigned != "" {
		fmt.Fprintf(w, "Not signed: %s\n", e.Unsigned)
	}
	fmt.Fprintf(w, "Limits: %s\nAnswer to %s: %s\n", e.Limits, strings.ToUpper(e.Stage), e.Reply)
}

func printList(w io.Writer, title string, list []string) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintf(w, "%s:\n", title)
	for _, text := range list {
		fmt.Fprintf(w, "  %s\n", text)
	}
}

func (d *deliveryView) print(w io.Writer) {
	fmt.Fprintf(w, "To %s:\n  recipients: %s\n  flow: %s\n", d.Destination, strings.Join(d.Recipients, ", "), d.Flow)
	for _, line := range []struct{ name, text string }{
		{"held", d.Held}, {"protocol", d.Protocol}, {"TLS", d.TLS}, {"credentials of", d.User}, {"limits", d.Limits},
		{"hosts", strings.Join(d.Hosts, ", ")}, {"TLS now", strings.Join(d.Proof, "\n           ")}, {"no hosts", d.Fault},
	} {
		if line.text != "" {
			fmt.Fprintf(w, "  %s: %s\n", line.name, line.text)
		}
	}
}
