package relay

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"
	"unicode"
)

// Transcriber knows whose sessions somebody wants to read.
type Transcriber interface {
	// Transcribe returns the transcript of a session, nil where nobody wants one, which costs
	// next to nothing to find out. It never waits. Who gets one calls its End.
	Transcribe(t Talk) *Transcript
}

// Talk says which session it is: one with a client at Listener, or one with a next hop.
type Talk struct {
	Listener string
	Client   netip.Addr
	// To is the route and, by MX, the domain that the session was opened for; Host and Addr are
	// the other end.
	To         Destination
	Host, Addr string
}

// Inbound says that it is with a client.
func (t *Talk) Inbound() bool { return t.Listener != "" }

// String says with whom the session is.
func (t *Talk) String() string {
	if t.Inbound() {
		client := "a client without an address"
		if t.Client.IsValid() {
			client = t.Client.String()
		}
		return "from " + client + " at listener " + t.Listener
	}
	return "to " + t.Host + " " + t.Addr + " for " + t.To.String()
}

// Speaker is one end of a session.
type Speaker uint8

// The two ends.
const (
	Us Speaker = iota
	Them
)

// Transcript takes down what is said in a session, a line each, without its secrets: of AUTH only
// the mechanism, of messages only how long they are. A nil one takes nothing down. It belongs
// to the session's goroutine.
type Transcript struct {
	out io.WriteCloser
	now func() time.Time
	// name is the session's, on each line.
	name string
	// partial is the beginning of a line of replies.
	partial []byte
	// secrets are what was said in AUTH, which the other end may repeat in its answer. user says
	// that what comes next is no more than a name.
	secrets []string
	user    bool
	ended   bool
}

const (
	// transcriptLine bounds a line, in bytes.
	transcriptLine = 2000
	// secretLeast and secretMost are how long a secret is that is looked for in what is said
	// afterwards, and how many are remembered.
	secretLeast, secretMost = 4, 32
)

// NewTranscript begins a transcript of the session of the name. Each line is one Write; an error
// of out has no consequences here.
func NewTranscript(out io.WriteCloser, now func() time.Time, name string) *Transcript {
	return &Transcript{out: out, now: now, name: name}
}

// End ends it. A second time does nothing.
func (t *Transcript) End() {
	if t == nil || t.ended {
		return
	}
	t.ended = true
	t.Note("closed")
	// It has been told of its errors.
	_ = t.out.Close()
}

// Note takes down what happens, as it is said to operators.
func (t *Transcript) Note(format string, values ...any) {
	if t != nil {
		t.line("**", fmt.Sprintf(format, values...))
	}
}

// transcribable are the commands that are shown with their arguments. What is none of them may be
// anything, such as a password that was sent to a server that did not ask for it.
const transcribable = " EHLO HELO LHLO MAIL RCPT DATA BDAT RSET NOOP QUIT VRFY EXPN HELP STARTTLS XCLIENT . "

// Command takes down a command, without the end of the line.
func (t *Transcript) Command(by Speaker, line string) {
	if t == nil {
		return
	}
	verb, argument, _ := strings.Cut(line, " ")
	switch verb = strings.ToUpper(verb); {
	case verb == "AUTH":
		mechanism, initial, given := strings.Cut(strings.TrimSpace(argument), " ")
		t.user = strings.EqualFold(mechanism, "LOGIN")
		shown := "AUTH " + mechanismName(mechanism)
		if given {
			shown += " " + t.keep(initial)
		}
		t.said(by, shown)
	case strings.Contains(transcribable, " "+verb+" "):
		t.said(by, line)
	default:
		t.said(by, fmt.Sprintf("(%d bytes that are no command)", len(line)))
	}
}

// mechanisms are those that are shown by name: another word may be anything.
const mechanisms = " PLAIN LOGIN XOAUTH2 OAUTHBEARER EXTERNAL ANONYMOUS CRAM-MD5 DIGEST-MD5 NTLM GSSAPI" +
	" SCRAM-SHA-1 SCRAM-SHA-1-PLUS SCRAM-SHA-256 SCRAM-SHA-256-PLUS SCRAM-SHA-512 SCRAM-SHA-512-PLUS "

func mechanismName(name string) string {
	if strings.Contains(mechanisms, " "+strings.ToUpper(name)+" ") {
		return name
	}
	return fmt.Sprintf("(%d bytes that are no mechanism)", len(name))
}

// Secret takes down that a line was said which answers a challenge of AUTH.
func (t *Transcript) Secret(by Speaker, line string) {
	if t != nil {
		t.said(by, t.keep(line))
	}
}

// keep remembers a response of AUTH, to know it again, and gives what is shown of it.
func (t *Transcript) keep(response string) string {
	response = strings.TrimSpace(response)
	if response == "*" || response == "=" || response == "" {
		return response
	}
	known := []string{response}
	if decoded, err := base64.StdEncoding.DecodeString(response); err == nil && !t.user {
		known = append(known, secretsOf(string(decoded))...)
	}
	t.user = false
	for _, s := range known {
		if len(s) >= secretLeast && len(t.secrets) < secretMost {
			t.secrets = append(t.secrets, s)
		}
	}
	return fmt.Sprintf("(secret, %d bytes)", len(response))
}

// secretsOf finds the secret in a response: what comes last in PLAIN, XOAUTH2 and OAUTHBEARER, all of
// it in LOGIN.
func secretsOf(response string) []string {
	parts := strings.FieldsFunc(response, func(r rune) bool { return r <= 1 })
	if len(parts) == 0 {
		return nil
	}
	last := parts[len(parts)-1]
	if token, ok := strings.CutPrefix(last, "auth=Bearer "); ok {
		return []string{token}
	}
	return []string{last}
}

// Answer takes down a line of a reply, without the end of the line.
func (t *Transcript) Answer(by Speaker, line string) {
	if t == nil {
		return
	}
	if challenge, ok := strings.CutPrefix(line, "334 "); ok && challenge != "" {
		line = fmt.Sprintf("334 (challenge, %d bytes)", len(challenge))
	}
	t.said(by, line)
}

// Answers takes down replies as they are on the wire, in pieces of any size.
func (t *Transcript) Answers(by Speaker, p []byte) {
	if t == nil {
		return
	}
	for line := range bytes.Lines(p) {
		t.partial = append(t.partial, line...)
		if line[len(line)-1] == '\n' || len(t.partial) > transcriptLine {
			t.Answer(by, string(bytes.TrimRight(t.partial, "\r\n")))
			t.partial = t.partial[:0]
		}
	}
}

// Length is how long a message is. It is a writer that keeps nothing.
type Length struct{ bytes, lines int64 }

// Write implements io.Writer.
func (l *Length) Write(p []byte) (int, error) {
	l.bytes += int64(len(p))
	l.lines += int64(bytes.Count(p, []byte("\n")))
	return len(p), nil
}

// Content takes down that a message, or a piece of one, was sent.
func (t *Transcript) Content(by Speaker, l Length) {
	if t != nil {
		t.said(by, fmt.Sprintf("(content: %d bytes, %d lines)", l.bytes, l.lines))
	}
}

func (t *Transcript) said(by Speaker, text string) {
	arrow := "->"
	if by == Them {
		arrow = "<-"
	}
	t.line(arrow, text)
}

// line writes a line that is fit for terminals.
func (t *Transcript) line(mark, text string) {
	for _, s := range t.secrets {
		text = strings.ReplaceAll(text, s, "(secret)")
	}
	if more := len(text) - transcriptLine; more > 0 {
		text = fmt.Sprintf("%s (and %d bytes more)", text[:transcriptLine], more)
	}
	var b strings.Builder
	b.WriteString(t.now().UTC().Format("2006-01-02T15:04:05.000Z") + " " + t.name + " " + mark + " ")
	for _, r := range text {
		if unicode.IsPrint(r) {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, `\x%02x`, r)
		}
	}
	b.WriteByte('\n')
	// Whoever keeps transcripts says what is wrong with them.
	_, _ = io.WriteString(t.out, b.String())
}
