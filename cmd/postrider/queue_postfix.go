package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"postrider/relay/admin"
)

// listPostfix prints the queue as Postfix's mailq does (postqueue -p): a block for each
// message, with the reasons in brackets above the recipients they are about. An id with * is
// being delivered, one with ! is held.
func listPostfix(cmd *cobra.Command, client *admin.Client, query admin.QueueQuery) error {
	query.Limit = 0
	p := mailq{out: cmd.OutOrStdout()}
	for e, err := range client.Queue(cmd.Context(), query) {
		if err != nil {
			return err
		}
		p.add(e)
	}
	p.end()
	return nil
}

// mailq writes entries, of which those of one message follow each other.
type mailq struct {
	out io.Writer
	// entries are those of the message that is being put together.
	entries  []admin.Entry
	bytes    int64
	messages int
}

func (p *mailq) add(e admin.Entry) {
	if len(p.entries) > 0 && p.entries[0].ID != e.ID {
		p.flush()
	}
	p.entries = append(p.entries, e)
}

func (p *mailq) flush() {
	if len(p.entries) == 0 {
		return
	}
	if p.messages == 0 {
		fmt.Fprintf(p.out, "%-27s %8s %-20s %s\n", "-Queue ID-", "--Size--", "----Arrival Time----", "-Sender/Recipient-------")
	}
	first := p.entries[0]
	mark := " "
	for _, e := range p.entries {
		switch e.State {
		case "active":
			mark = "*"
		case "held":
			mark = "!"
		}
	}
	sender := first.Sender
	if sender == "" {
		sender = "MAILER-DAEMON"
	}
	fmt.Fprintf(p.out, "%-27s %8d %-20s %s\n", first.ID+mark, first.Size, first.Received.Local().Format("Mon Jan _2 15:04:05"), plain(sender))
	for _, e := range p.entries {
		if e.State != "active" && e.State != "due" {
			fmt.Fprintf(p.out, "%s(%s)\n", strings.Repeat(" ", 8), plain(e.Reason))
		}
		for _, rcpt := range e.Recipients {
			fmt.Fprintf(p.out, "%58s%s\n", "", plain(rcpt))
		}
	}
	fmt.Fprintln(p.out)
	p.messages++
	p.bytes += first.Size
	p.entries = p.entries[:0]
}

func (p *mailq) end() {
	p.flush()
	switch p.messages {
	case 0:
		fmt.Fprintln(p.out, "Mail queue is empty")
	case 1:
		fmt.Fprintf(p.out, "-- %d Kbytes in 1 Request.\n", (p.bytes+1023)/1024)
	default:
		fmt.Fprintf(p.out, "-- %d Kbytes in %d Requests.\n", (p.bytes+1023)/1024, p.messages)
	}
}
