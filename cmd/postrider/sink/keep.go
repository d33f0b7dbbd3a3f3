package sink

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// What --print shows of each message.
const (
	printEnvelope = "envelope"
	printHeaders  = "headers"
	printFull     = "full"
)

// printer shows messages as they come, one at a time.
type printer struct {
	show string
	json bool

	mu sync.Mutex
	w  io.Writer
}

// keep prints the message. It is one write, so that a reader never sees half of one.
func (p *printer) keep(m *Message) error {
	var out []byte
	if p.json {
		line, err := json.Marshal(p.shown(m))
		if err != nil {
			return err
		}
		out = append(line, '\n')
	} else {
		out = p.text(m)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	_, err := p.w.Write(out)
	return err
}

// shown is the message with as much of its content as was asked for.
func (p *printer) shown(m *Message) Message {
	shown := *m
	header, _ := splitContent(m.content)
	switch p.show {
	case printHeaders:
		shown.Header = string(header)
	case printFull:
		shown.Content = string(m.content)
	}
	return shown
}

func (p *printer) text(m *Message) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "message %d, session %d from %s, %d bytes\n", m.Number, m.Session, m.Client, m.Size)
	fmt.Fprintf(&b, "  MAIL FROM:<%s> %s\n", m.Sender, m.Parameters)
	for _, r := range m.Recipients {
		fmt.Fprintf(&b, "  RCPT TO:<%s>\n", r)
	}
	header, _ := splitContent(m.content)
	switch p.show {
	case printHeaders:
		b.Write(bytes.ReplaceAll(header, []byte("\r\n"), []byte("\n")))
		b.WriteByte('\n')
	case printFull:
		b.Write(bytes.ReplaceAll(m.content, []byte("\r\n"), []byte("\n")))
		b.WriteByte('\n')
	}
	return b.Bytes()
}

// folder stores each message as a file of its own, with the envelope as header
// fields in front. Content is byte for byte as it came.
type folder struct{ dir string }

func newFolder(dir string) (*folder, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("folder for messages: %w", err)
	}
	return &folder{dir: dir}, nil
}

func (f *folder) keep(m *Message) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "X-Envelope-From: <%s>\r\n", m.Sender)
	for _, r := range m.Recipients {
		fmt.Fprintf(&b, "X-Envelope-To: <%s>\r\n", r)
	}
	fmt.Fprintf(&b, "X-Envelope-Client: %s (%s)\r\n", m.Client, m.Helo)
	b.Write(m.content)
	// The time keeps runs apart, the number orders messages within one.
	name := fmt.Sprintf("%s-%06d.eml", m.At.UTC().Format("20060102T150405.000"), m.Number)
	return writeWhole(filepath.Join(f.dir, name), b.Bytes())
}

// writeWhole makes a file appear under its name only when it is complete, for whoever
// watches the folder.
func writeWhole(path string, content []byte) error {
	part := path + ".part"
	if err := os.WriteFile(part, content, 0o644); err != nil {
		return err
	}
	return os.Rename(part, path)
}

// liveLine draws what is counted on one line of a terminal until done is closed.
func liveLine(w io.Writer, c *counters, done <-chan struct{}) {
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-done:
			fmt.Fprint(w, "\r\x1b[K")
			return
		case <-tick.C:
			fmt.Fprintf(w, "\r\x1b[K%d sessions open, %s", c.open.Load(), c.summary())
		}
	}
}
