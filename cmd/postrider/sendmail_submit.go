package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/smtp"
	"net/textproto"
	"os"
	"strings"
	"time"
)

// submitTime is how long the relay may take over a message.
const submitTime = 10 * time.Minute

// envelope is what a message is submitted with.
type envelope struct {
	sender     string
	recipients []string
	// notify, ret and id are DSN parameters (RFC 3461), in upper case but for the id.
	notify, ret, id string
}

// submit hands a message to a relay and gives its last reply. The error has an exit code.
func submit(ctx context.Context, server string, e *envelope, content io.Reader) (string, error) {
	network, address := "tcp", server
	if path, ok := strings.CutPrefix(server, "unix:"); ok {
		network, address = "unix", path
	}
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return "", exitf(exitTemporary, "no relay answers at %s, the message is not sent: %w", server, err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if err := conn.SetDeadline(time.Now().Add(submitTime)); err != nil {
		return "", exitf(exitTemporary, "%w", err)
	}
	client, err := smtp.NewClient(conn, "localhost")
	if err != nil {
		return "", refused("greeting", exitUnavailable, err)
	}
	name, err := os.Hostname()
	if err != nil || name == "" {
		name = "localhost"
	}
	if err := client.Hello(name); err != nil {
		return "", refused("EHLO", exitUnavailable, err)
	}
	return converse(client, e, content)
}

func converse(client *smtp.Client, e *envelope, content io.Reader) (string, error) {
	if err := say(client, 250, "MAIL FROM:<%s>%s", e.sender, e.mailParameters(client)); err != nil {
		return "", refused("sender <"+e.sender+">", exitUnavailable, err)
	}
	var unwanted error
	accepted := 0
	for _, to := range e.recipients {
		notify := ""
		if ok, _ := client.Extension("DSN"); ok && e.notify != "" {
			notify = " NOTIFY=" + e.notify
		}
		if err := say(client, 25, "RCPT TO:<%s>%s", to, notify); err != nil {
			unwanted = errors.Join(unwanted, refused("recipient <"+to+">", exitNoUser, err))
			continue
		}
		accepted++
	}
	if accepted == 0 {
		return "", unwanted
	}
	if err := say(client, 354, "DATA"); err != nil {
		return "", refused("DATA", exitUnavailable, err)
	}
	w := client.Text.DotWriter()
	if _, err := io.Copy(w, content); err != nil {
		return "", exitf(exitTemporary, "send the message: %w", err) // without its end it is nothing
	}
	if err := w.Close(); err != nil {
		return "", exitf(exitTemporary, "send the message: %w", err)
	}
	code, text, err := client.Text.ReadResponse(250)
	if err != nil {
		return "", refused("message", exitUnavailable, err)
	}
	_ = client.Quit() // the relay has the message
	return fmt.Sprintf("%d %s", code, text), unwanted
}

// say sends a command and wants a reply that begins with the digits of the code.
func say(client *smtp.Client, code int, format string, args ...any) error {
	id, err := client.Text.Cmd(format, args...)
	if err != nil {
		return err
	}
	client.Text.StartResponse(id)
	defer client.Text.EndResponse(id)
	_, _, err = client.Text.ReadResponse(code)
	return err
}

// mailParameters declare what the message may be, where the relay knows of that.
func (e *envelope) mailParameters(client *smtp.Client) string {
	var b strings.Builder
	if ok, _ := client.Extension("8BITMIME"); ok {
		b.WriteString(" BODY=8BITMIME")
	}
	if ok, _ := client.Extension("SMTPUTF8"); ok && e.international() {
		b.WriteString(" SMTPUTF8")
	}
	if ok, _ := client.Extension("DSN"); ok {
		if e.ret != "" {
			b.WriteString(" RET=" + e.ret)
		}
		if e.id != "" {
			b.WriteString(" ENVID=" + xtext(e.id))
		}
	}
	return b.String()
}

// international says whether an address is more than ASCII.
func (e *envelope) international() bool {
	for _, a := range append([]string{e.sender}, e.recipients...) {
		for i := range len(a) {
			if a[i] >= 0x80 {
				return true
			}
		}
	}
	return false
}

// xtext encodes a parameter (RFC 3461 section 4).
func xtext(text string) string {
	var b strings.Builder
	for i := range len(text) {
		if c := text[i]; c < '!' || c > '~' || c == '+' || c == '=' {
			fmt.Fprintf(&b, "+%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// refused gives a refusal its exit code: the one for 5xx, or that it may work later.
func refused(what string, permanent int, err error) error {
	var reply *textproto.Error
	if errors.As(err, &reply) && reply.Code >= 500 {
		return exitf(permanent, "%s refused: %w", what, err)
	}
	return exitf(exitTemporary, "%s not taken for now: %w", what, err)
}
