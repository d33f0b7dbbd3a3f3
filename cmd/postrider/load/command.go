// Package load is the command postrider load: it sends messages to an SMTP server and times each
// 250. It needs nothing of the relay, whatever server that is.
package load

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
)

// flags are the command line of postrider load.
type flags struct {
	o        Options
	size     string
	accepted string
	json     bool
	// watched says whether somebody looks at a stream: progress is drawn for people only.
	watched func(io.Writer) bool
}

// Command makes the command. Watched says whether a stream is a terminal.
func Command(watched func(io.Writer) bool) *cobra.Command {
	f := flags{watched: watched}
	cmd := &cobra.Command{
		Use:   "load",
		Short: "A load generator: sends messages and times each 250",
		Long: `Load sends messages to an SMTP server over sessions that it reuses, and says how
many were accepted, how fast, and how long the server took for each 250.

Each message carries an ` + IDField + ` of its own and a checksum. Sink shows both
(--print envelope --json), so that what --accepted wrote can be compared with what
arrived: nothing missing, nothing twice, nothing damaged.

The exit code is 0 only when every message was accepted.`,
		Example: `  postrider load --messages 10000 --sessions 100
  postrider load --rate 50 --for 10m --messages 1000000
  postrider load --to 127.0.0.1:2626 --size 1MiB --sessions 10 --pipeline
  postrider load --to-address "user{n}@example.net" --recipients 5 --accepted ids.txt
  postrider load --to-address "user{n}@d{d}.example" --domains 1000`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	fs := cmd.Flags()
	fs.StringVar(&f.o.To, "to", "127.0.0.1:2525", "server to send to")
	fs.StringVar(&f.o.Helo, "helo", "load.example", "our name in EHLO")
	fs.Int64Var(&f.o.Messages, "messages", 1000, "how many messages to send")
	fs.DurationVar(&f.o.For, "for", 10*time.Minute, "end after this time, whatever is left")
	fs.IntVar(&f.o.Sessions, "sessions", 10, "how many sessions at once")
	fs.StringVar(&f.size, "size", "4KiB", "size of a message, header included")
	fs.Float64Var(&f.o.Rate, "rate", 0, "messages per second in all (0: as fast as it goes)")
	fs.IntVar(&f.o.Recipients, "recipients", 1, "recipients per message")
	fs.StringVar(&f.o.From, "from", "load@example.com", "sender address")
	fs.StringVar(&f.o.Address, "to-address", "user{n}@example.net", "recipient address, {n} is counted up")
	fs.Int64Var(&f.o.Domains, "domains", 10, "what {d} in the recipient address counts up to, over and over")
	fs.IntVar(&f.o.PerSession, "messages-per-session", 0, "reconnect after so many messages (0: never)")
	fs.BoolVar(&f.o.TLS, "tls", false, "encrypt by STARTTLS; the certificate is not looked at")
	fs.BoolVar(&f.o.Pipeline, "pipeline", false, "send MAIL, RCPT and DATA in one flight where that is offered")
	fs.DurationVar(&f.o.Timeout, "timeout", time.Minute, "longest wait for a reply")
	fs.StringVar(&f.accepted, "accepted", "", "write the id of each accepted message to this `file`")
	fs.BoolVar(&f.json, "json", false, "print the report as JSON")
	return cmd
}

// sizeMost bounds --size; a message is held in memory once.
const sizeMost = 1 << 30

// run sends the load and prints the report.
func (f *flags) run(ctx context.Context, stdout, stderr io.Writer) (err error) {
	size, err := humanize.ParseBytes(f.size)
	if err != nil || size > sizeMost {
		return fmt.Errorf("--size %q: want a size such as 4KiB, at most 1GiB", f.size)
	}
	if f.o.Domains < 1 {
		return fmt.Errorf("--domains %d: want at least 1", f.o.Domains)
	}
	f.o.Size, f.o.Now, f.o.Run = int(size), time.Now, strings.ToLower(rand.Text()[:10])
	if f.accepted != "" {
		file, err := os.Create(f.accepted)
		if err != nil {
			return fmt.Errorf("file for accepted ids: %w", err)
		}
		w := bufio.NewWriter(file)
		defer func() { err = errors.Join(err, w.Flush(), file.Close()) }()
		f.o.Accepted = w
	}
	finish := f.progress(stderr)
	l, err := New(f.o)
	if err != nil {
		return err
	}
	report := l.Run(ctx)
	finish()
	if err := f.print(stdout, report); err != nil {
		return err
	}
	if report.Failed > 0 {
		return fmt.Errorf("%d of %d messages were not accepted", report.Failed, report.Failed+report.Accepted)
	}
	return nil
}

// progress sets up the bar, for people only, and gives what takes it away again.
func (f *flags) progress(stderr io.Writer) (finish func()) {
	f.o.Progress = func() {}
	if f.json || !f.watched(stderr) {
		return func() {}
	}
	bar := progressbar.NewOptions64(f.o.Messages,
		progressbar.OptionSetWriter(stderr),
		progressbar.OptionSetDescription("sending"),
		progressbar.OptionShowCount(),
		progressbar.OptionShowIts(),
		progressbar.OptionSetItsString("messages"),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionClearOnFinish(),
	)
	f.o.Progress = func() { bar.Add(1) }
	return func() { bar.Clear() }
}

func (f *flags) print(w io.Writer, r Report) error {
	if f.json {
		return json.NewEncoder(w).Encode(r)
	}
	_, err := fmt.Fprint(w, r)
	return err
}
