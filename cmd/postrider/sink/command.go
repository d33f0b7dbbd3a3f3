// Package sink is the command postrider sink: an SMTP server that takes everything, delivers nothing,
// and does wrong what a next hop can do wrong.
package sink

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"
)

// flags are the command line of postrider sink.
type flags struct {
	listen, hostname, size  string
	count                   int64
	print, dir              string
	rejects, delays, drops  []string
	certificate, privateKey string
	json                    bool
	// watched says whether somebody looks at a stream: what is counted is drawn for people only.
	watched func(io.Writer) bool
}

// idle is how long a silent client is borne with (RFC 5321 section 4.5.3.2.7).
const idle = 5 * time.Minute

// Command makes the command. Watched says whether a stream is a terminal.
func Command(watched func(io.Writer) bool) *cobra.Command {
	f := flags{watched: watched}
	cmd := &cobra.Command{
		Use:   "sink",
		Short: "A mail server that swallows everything, with faults on request",
		Long: `Sink is an SMTP server for trying things out. It takes every message, delivers
none, and counts them; it can show or store what it gets, and do wrong what a next
hop can do wrong. Press Ctrl-C for the summary.

Stages for faults: connect, ehlo, starttls, mail, rcpt, data (the command), dot
(the end of the content), quit. A fault may end in a chance, such as @30%. A
message that is refused or dropped at dot is not counted as taken.`,
		Example: `  postrider sink --print headers
  postrider sink --dir mails --count 100
  postrider sink --reject "rcpt:550 5.1.1 no such user@30%" --reject "mail:421 4.3.2 not now@1%"
  postrider sink --delay data:2s --drop dot@5%
  postrider sink --print envelope --json | jq .to`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	fs := cmd.Flags()
	fs.StringVar(&f.listen, "listen", "127.0.0.1:2626", "address to listen on")
	fs.StringVar(&f.hostname, "hostname", "sink.example", "name in the greeting")
	fs.StringVar(&f.size, "size", "100MB", "largest message taken")
	fs.Int64Var(&f.count, "count", 0, "end after so many messages (0: never)")
	fs.StringVar(&f.print, "print", "", "show each message: envelope, headers or full")
	fs.StringVar(&f.dir, "dir", "", "store each message as a .eml file in this folder")
	fs.StringArrayVar(&f.rejects, "reject", nil, "refuse at a stage: `STAGE:REPLY[@CHANCE%]`, repeatable")
	fs.StringArrayVar(&f.delays, "delay", nil, "wait before the reply of a stage: `STAGE:DURATION[@CHANCE%]`, repeatable")
	fs.StringArrayVar(&f.drops, "drop", nil, "close the connection at a stage: `STAGE[@CHANCE%]`, repeatable")
	fs.StringVar(&f.certificate, "tls-cert", "", "offer STARTTLS with this certificate `file` (PEM)")
	fs.StringVar(&f.privateKey, "tls-key", "", "private key `file` of --tls-cert (PEM)")
	fs.BoolVar(&f.json, "json", false, "print one JSON object per message and per summary")
	return cmd
}

// run serves until the context ends, then prints the summary.
func (f *flags) run(ctx context.Context, stdout, stderr io.Writer) error {
	o, err := f.options(stdout)
	if err != nil {
		return err
	}
	sink, err := New(o)
	if err != nil {
		return err
	}
	if f.json {
		fmt.Fprintf(stderr, `{"level":"info","addr":%q,"message":"listening"}`+"\n", sink.Addr())
	} else {
		fmt.Fprintln(stderr, "listening on", sink.Addr())
	}
	done := make(chan struct{})
	if !f.json && f.print == "" && f.watched(stderr) {
		drawn := make(chan struct{})
		go func() { defer close(drawn); liveLine(stderr, &sink.counters, done) }()
		defer func() { <-drawn }()
	}
	err = sink.Run(ctx)
	close(done)
	if err != nil {
		return err
	}
	return f.report(stdout, sink.Summary())
}

func (f *flags) report(w io.Writer, s Summary) error {
	if f.json {
		return json.NewEncoder(w).Encode(map[string]Summary{"summary": s})
	}
	_, err := fmt.Fprintln(w, s)
	return err
}

func (f *flags) options(stdout io.Writer) (o Options, err error) {
	o = Options{Listen: f.listen, Hostname: f.hostname, Count: f.count, Idle: idle, Now: time.Now, Dice: rand.Float64}
	size, err := humanize.ParseBytes(f.size)
	if err != nil {
		return o, fmt.Errorf("--size %q: want a size such as 100MB", f.size)
	}
	o.Size = int64(size)
	if o.Faults, err = ParseFaults(f.rejects, f.delays, f.drops); err != nil {
		return o, err
	}
	if o.TLS, err = f.tls(); err != nil {
		return o, err
	}
	o.Keep, err = f.keep(stdout)
	return o, err
}

func (f *flags) tls() (*tls.Config, error) {
	if f.certificate == "" && f.privateKey == "" {
		return nil, nil
	}
	if f.certificate == "" || f.privateKey == "" {
		return nil, fmt.Errorf("--tls-cert and --tls-key go together")
	}
	cert, err := tls.LoadX509KeyPair(f.certificate, f.privateKey)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	return &tls.Config{Certificates: []tls.Certificate{cert}}, nil
}

// keep gives what is done with each message; nil when it is only counted.
func (f *flags) keep(stdout io.Writer) (func(*Message) error, error) {
	var keepers []func(*Message) error
	if f.print != "" {
		if !slices.Contains([]string{printEnvelope, printHeaders, printFull}, f.print) {
			return nil, fmt.Errorf("--print %q: want %s, %s or %s", f.print, printEnvelope, printHeaders, printFull)
		}
		keepers = append(keepers, (&printer{show: f.print, json: f.json, w: stdout}).keep)
	}
	if f.dir != "" {
		folder, err := newFolder(f.dir)
		if err != nil {
			return nil, err
		}
		keepers = append(keepers, folder.keep)
	}
	if len(keepers) == 0 {
		return nil, nil
	}
	return func(m *Message) error {
		for _, keep := range keepers {
			if err := keep(m); err != nil {
				return err
			}
		}
		return nil
	}, nil
}
