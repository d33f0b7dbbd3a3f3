package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// sendmailFlags are what programs give to sendmail.
type sendmailFlags struct {
	server, sender, name          string
	senderGiven, fromHeader, dots bool
	mode, notify, ret, id, eight  string
	options                       []string
	verbose                       bool
}

func newSendmailCommand() *cobra.Command {
	var f sendmailFlags
	cmd := &cobra.Command{
		Use:     "sendmail [recipient...]",
		GroupID: groupRelay,
		Short:   "Submit a message as the sendmail command does",
		Long: `Read a message from standard input and hand it to a relay, as programs expect of the
sendmail command. To be that command: ln -s /usr/bin/postrider /usr/sbin/sendmail

The relay is at --server, else at $POSTRIDER_SERVER, else at 127.0.0.1:2525. Nothing is
kept here: the exit code is 0 only once the relay has the message on stable storage, 75 where it
may work later, 67 where a recipient is refused (the others get the message), 69 where the message is,
65 where it makes no sense, and 64 for the command line. Fields that every message needs
are added where they are missing: From, Date and Message-ID. A name without a domain is of
the domain in /etc/mailname, else of this host.`,
		Example: `  echo "Subject: hello" | postrider sendmail -i ann@example.com
  postrider sendmail -t -i -f billing@example.com < message.eml`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.run(cmd, args)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.server, "server", cmp.Or(os.Getenv("POSTRIDER_SERVER"), "127.0.0.1:2525"), "the relay, `host:port` or unix:/path")
	flags.StringVarP(&f.sender, "from", "f", "", "the sender's `address`, to whom failures are reported; <> for nobody")
	flags.StringVarP(&f.sender, "return", "r", "", "the same")
	flags.StringVarP(&f.name, "full-name", "F", "", "the sender's `name`, where the message has no From field")
	flags.BoolVarP(&f.fromHeader, "to-header", "t", false, "send it to those in To, Cc and Bcc as well, and take Bcc out")
	flags.BoolVarP(&f.dots, "ignore-dots", "i", false, "a line of a single dot does not end the message")
	flags.StringVarP(&f.notify, "notify", "N", "", "`when` to report to the sender: never, or of success, failure, delay")
	flags.StringVarP(&f.ret, "report", "R", "", "`what` a report returns: full or hdrs")
	flags.StringVarP(&f.id, "envelope-id", "V", "", "the `id` that a report names")
	flags.StringVarP(&f.mode, "mode", "b", "m", "what to do: `m` submits a message, and nothing else can be done")
	flags.StringVarP(&f.eight, "body", "B", "", "the `type` of the body: 7BIT or 8BITMIME; it is looked at anyway")
	flags.StringArrayVarP(&f.options, "option", "o", nil, "an option of sendmail: i is -i, all others are ignored")
	flags.BoolVarP(&f.verbose, "verbose", "v", false, "say what the relay answers")
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &exitError{exitUsage, err} })
	return cmd
}

// asSendmail gives the arguments of a program that is called by the name of sendmail.
func asSendmail(args []string) []string {
	if len(args) > 0 && filepath.Base(args[0]) == "sendmail" {
		return append([]string{"sendmail"}, args[1:]...)
	}
	return nil
}

func (f *sendmailFlags) run(cmd *cobra.Command, args []string) error {
	if err := f.check(); err != nil {
		return err
	}
	f.senderGiven = cmd.Flags().Changed("from") || cmd.Flags().Changed("return")
	domain := localDomain()
	input := newMessageInput(cmd.InOrStdin(), f.dots)
	m, err := readLetter(input)
	if err != nil {
		return &exitError{exitData, err}
	}
	e := envelope{notify: strings.ToUpper(f.notify), ret: strings.ToUpper(f.ret), id: f.id}
	if e.sender, err = f.from(domain); err != nil {
		return &exitError{exitData, err}
	}
	if f.fromHeader {
		if args, err = m.recipients(args); err != nil {
			return &exitError{exitData, err}
		}
	}
	for _, to := range args {
		address, err := qualified(to, domain)
		if err != nil {
			return exitf(exitData, "recipient %q: %w", to, err)
		}
		e.recipients = append(e.recipients, address)
	}
	if len(e.recipients) == 0 {
		return exitf(exitUsage, "no recipients: name them, or use -t")
	}
	m.complete(e.sender, f.name, domain, time.Now())
	reply, err := submit(cmd.Context(), f.server, &e, io.MultiReader(strings.NewReader(m.String()), input))
	if f.verbose && reply != "" {
		fmt.Fprintln(cmd.OutOrStdout(), reply)
	}
	return err
}

func (f *sendmailFlags) check() error {
	for _, o := range f.options {
		f.dots = f.dots || o == "i"
	}
	switch {
	case f.mode != "m":
		return exitf(exitUsage, "-b%s: only messages are submitted; see postrider queue and postrider serve", f.mode)
	case f.ret != "" && !strings.EqualFold(f.ret, "full") && !strings.EqualFold(f.ret, "hdrs"):
		return exitf(exitUsage, "-R %s: want full or hdrs", f.ret)
	}
	for word := range strings.SplitSeq(f.notify, ",") {
		switch strings.ToLower(word) {
		case "never", "success", "failure", "delay":
		case "":
			if f.notify == "" {
				continue
			}
			fallthrough
		default:
			return exitf(exitUsage, "-N %s: want never, or some of success,failure,delay", f.notify)
		}
	}
	return nil
}

// from is the reverse-path: "" for nobody, whoever runs this if nobody is named.
func (f *sendmailFlags) from(domain string) (string, error) {
	switch f.sender {
	case "<>":
		return "", nil
	case "":
		if f.senderGiven {
			return "", nil
		}
		u, err := user.Current()
		if err != nil {
			return "", fmt.Errorf("who sends this is not known: %w; use -f", err)
		}
		return qualified(u.Username, domain)
	}
	address, err := qualified(f.sender, domain)
	if err != nil {
		return "", fmt.Errorf("sender %q: %w", f.sender, err)
	}
	return address, nil
}

// localDomain is what addresses without a domain belong to.
func localDomain() string {
	if text, err := os.ReadFile("/etc/mailname"); err == nil && strings.TrimSpace(string(text)) != "" {
		return strings.TrimSpace(string(text))
	}
	name, err := os.Hostname()
	if err != nil {
		return "localhost"
	}
	return name
}

// errAddress refuses what is no address.
var errAddress = errors.New("not an address")
