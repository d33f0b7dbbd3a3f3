package hook

import (
	"strings"
	"time"

	"postrider/relay"
)

// Question is what is posted, with Content-Type application/json. Text that is not UTF-8 has the
// replacement character where it is not.
type Question struct {
	// Version is 1. Members may be added to it.
	Version int `json:"version"`
	// ID is the message's, and Received when it came.
	ID       string    `json:"id"`
	Received time.Time `json:"received"`
	Listener string    `json:"listener"`
	// Client is an address, "" on a Unix socket; Helo the name that it gave; User who has
	// authenticated, "" for nobody; TLS the session's, "" for none.
	Client   string `json:"client"`
	Helo     string `json:"helo"`
	User     string `json:"user"`
	TLS      string `json:"tls"`
	Protocol string `json:"protocol"`
	// Sender is the reverse-path, "" for the null one.
	Sender     string   `json:"sender"`
	Recipients []string `json:"recipients"`
	// Size is that of header and body in bytes.
	Size int64 `json:"size"`
	// Header has the fields in their order, unfolded, our own Received field first.
	Header []Field  `json:"header"`
	Tags   []string `json:"tags"`
	// SPF, DKIM and DMARC are results as in Authentication-Results, "" where the listener does
	// not look for them.
	SPF   string `json:"spf"`
	DKIM  string `json:"dkim"`
	DMARC string `json:"dmarc"`
}

// Field is a field of a header section.
type Field struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

func newQuestion(m *relay.Message) *Question {
	o := &m.Origin
	q := &Question{
		Version: 1, ID: m.ID.String(), Received: m.Received.UTC(), Listener: o.Listener, Helo: o.Greeting, User: o.User, TLS: o.TLS,
		Protocol: o.Protocol, Sender: m.Envelope.Sender.String(), Recipients: []string{}, Size: m.Size, Header: fields(m.Header),
		Tags: append([]string{}, m.Tags...), SPF: m.Verified.SPF, DKIM: m.Verified.DKIM, DMARC: m.Verified.DMARC,
	}
	if o.Client.IsValid() {
		q.Client = o.Client.String()
	}
	for _, r := range m.Envelope.Recipients {
		q.Recipients = append(q.Recipients, r.Address.String())
	}
	return q
}

// fields takes a header section apart, and unfolds it (RFC 5322 section 2.2.3).
func fields(section []byte) []Field {
	list := []Field{}
	for line := range strings.SplitSeq(string(section), "\r\n") {
		if line == "" {
			continue
		}
		if n := len(list); n > 0 && (line[0] == ' ' || line[0] == '\t') {
			list[n-1].Value = strings.TrimSpace(list[n-1].Value + line)
			continue
		}
		name, value, _ := strings.Cut(line, ":")
		list = append(list, Field{Name: strings.TrimSpace(name), Value: strings.TrimSpace(value)})
	}
	return list
}
