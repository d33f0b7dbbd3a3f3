package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"postrider/outbound"
	"postrider/relay"
)

// verdict is what classify says of a reply.
type verdict struct {
	Reply  string `json:"reply"`
	Class  string `json:"class"`
	Rule   string `json:"rule"`
	Why    string `json:"why"`
	Sample string `json:"sample,omitempty"`
	// Bounces says whether the delivery ends; else it is tried again by Retry.
	Bounces bool   `json:"bounces"`
	Retry   string `json:"retry,omitempty"`
	// Slows says that the site is given less.
	Slows bool `json:"slows_site"`
}

func newClassifyCommand() *cobra.Command {
	var flags configFlags
	var asJSON, list bool
	classify := &cobra.Command{
		Use:     "classify reply",
		GroupID: groupTools,
		Short:   "Say what a server's reply is about, which rule says so, and what follows",
		Long: `Say what a server's reply is about, which rule says so, and what follows from it: whether
the message bounces, when it is tried again, whether the site is given less.

Give the reply as it stands in the log, in a bounce, or in queue list. With --config,
the rules under "replies" there come first, and its schedules are shown.`,
		Example: `  postrider classify "550 5.4.5 Daily user sending limit exceeded"
  postrider classify --config /etc/postrider.yaml "451 4.7.1 come back on Tuesday"
  postrider classify --list`,
		Args: func(_ *cobra.Command, args []string) error {
			if (len(args) == 0) != list {
				return errors.New("give a reply, in quotes, or --list")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			own, retry := []outbound.ReplyRule(nil), relay.DefaultRetry()
			if flags.file != "" {
				c, err := flags.load()
				if err != nil {
					return err
				}
				own, retry = c.Outbound.Replies, c.Scheduler.Retry
			}
			if list {
				return listRules(cmd.OutOrStdout(), append(own, outbound.ReplyRules()...), asJSON)
			}
			v, err := judge(strings.Join(args, " "), own, retry)
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(v)
			}
			v.print(cmd.OutOrStdout())
			return nil
		},
	}
	flags.addFile(classify)
	classify.Flags().BoolVar(&asJSON, "json", false, "print JSON instead of text")
	classify.Flags().BoolVar(&list, "list", false, "list all rules, in their order, each with a reply that it is for")
	return classify
}

// judge says what becomes of a delivery after the reply.
func judge(text string, own []outbound.ReplyRule, retry relay.Retry) (verdict, error) {
	reply, err := outbound.ParseReply(text)
	if err != nil {
		return verdict{}, err
	}
	if reply.Code < 400 {
		return verdict{}, fmt.Errorf("%q is no refusal", text)
	}
	c, err := outbound.NewClassifier(own)
	if err != nil {
		return verdict{}, err
	}
	rule, known := c.Classify(reply)
	v := verdict{
		Reply: reply.String(), Class: rule.Class.String(), Rule: rule.Name, Sample: rule.Sample, Why: why(rule),
		Bounces: reply.Permanent() && rule.Class.Bounces(), Slows: rule.Class.SlowsSite(),
	}
	if !known {
		v.Why = "no rule is for it: only its code counts"
	}
	if !v.Bounces {
		b := retry.Backoff(rule.Class)
		v.Retry = fmt.Sprintf("first after %s to %s, later up to %s", b.Least, b.First, b.Max)
	}
	return v, nil
}

// why says what of a reply the rule looks at.
func why(r outbound.ReplyRule) string {
	var parts []string
	if r.Code != "" {
		parts = append(parts, "the code is "+r.Code+strings.Repeat("x", 3-len(r.Code)))
	}
	if r.Enhanced != "" {
		parts = append(parts, "the enhanced code is "+r.Enhanced)
	}
	if r.Match != "" {
		parts = append(parts, "the text matches "+r.Match)
	}
	return strings.Join(parts, " and ")
}

func (v *verdict) print(out io.Writer) {
	class := v.Class
	if class == "" {
		class = "none"
	}
	fmt.Fprintf(out, "class:  %s\n", class)
	if v.Rule != "" {
		fmt.Fprintf(out, "rule:   %s\n", plain(v.Rule))
	}
	fmt.Fprintf(out, "why:    %s\n", plain(v.Why))
	if v.Sample != "" {
		fmt.Fprintf(out, "as in:  %s\n", plain(v.Sample))
	}
	if v.Bounces {
		fmt.Fprintln(out, "then:   the message bounces")
	} else {
		fmt.Fprintf(out, "then:   it is tried again, %s\n", v.Retry)
	}
	if v.Slows {
		fmt.Fprintln(out, "        and the site is given less, or nothing after some in a row")
	}
}

func listRules(out io.Writer, rules []outbound.ReplyRule, asJSON bool) error {
	for _, r := range rules {
		if asJSON {
			v := verdict{Class: r.Class.String(), Rule: r.Name, Why: why(r), Sample: r.Sample, Slows: r.Class.SlowsSite()}
			if reply, err := outbound.ParseReply(r.Sample); err == nil {
				v.Reply, v.Bounces = reply.String(), reply.Permanent() && r.Class.Bounces()
			}
			if err := json.NewEncoder(out).Encode(v); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintf(out, "%-12s %-20s %s\n%34s%s\n", r.Class, r.Name, why(r), "", plain(r.Sample))
	}
	return nil
}
