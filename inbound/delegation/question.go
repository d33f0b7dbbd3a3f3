package delegation

import (
	"strconv"
	"strings"

	"postrider/relay"
)

// question is what a service is asked.
type question struct {
	// stage is what we call it, state what Postfix does.
	stage, state string
	m            *relay.Message
	// rcpt is whom it is about, "" for several; count is how many recipients there are, which is
	// not known before the data.
	rcpt  string
	count int
}

// text gives the attributes in the order of SMTPD_POLICY_README, and the empty line behind them.
// What we do not know is empty, as it is in Postfix, and names of clients are not looked up.
func (q *question) text() string {
	o, id := &q.m.Origin, q.m.ID.String()
	queued := ""
	if q.stage == "data" {
		queued = id
	}
	protocol, method := "ESMTP", ""
	if o.Protocol == "SMTP" {
		protocol = "SMTP"
	}
	if o.User != "" {
		method = "PLAIN" // which one it was is not kept; that there was one is what services ask
	}
	client := "unknown"
	if o.Client.IsValid() {
		client = o.Client.Unmap().WithZone("").String()
	}
	version, cipher, _ := strings.Cut(o.TLS, ", ")
	var b strings.Builder
	for _, a := range [...][2]string{
		{"request", "smtpd_access_policy"}, {"protocol_state", q.state}, {"protocol_name", protocol},
		{"client_address", client}, {"client_name", "unknown"}, {"client_port", ""}, {"reverse_client_name", "unknown"},
		{"server_address", ""}, {"server_port", ""}, {"helo_name", o.Greeting},
		{"sender", q.m.Envelope.Sender.String()}, {"recipient", q.rcpt}, {"recipient_count", strconv.Itoa(q.count)},
		{"queue_id", queued}, {"instance", id}, {"size", strconv.FormatInt(q.m.Size, 10)}, {"etrn_domain", ""}, {"stress", ""},
		{"sasl_method", method}, {"sasl_username", o.User}, {"sasl_sender", ""},
		{"ccert_subject", ""}, {"ccert_issuer", ""}, {"ccert_fingerprint", ""}, {"ccert_pubkey_fingerprint", ""},
		{"encryption_protocol", version}, {"encryption_cipher", cipher}, {"encryption_keysize", "0"},
		{"policy_context", o.Listener},
	} {
		b.WriteString(a[0] + "=" + oneLine(a[1]) + "\n")
	}
	b.WriteString("\n")
	return b.String()
}

// oneLine keeps what a client wrote from being an attribute of its own.
func oneLine(value string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, value)
}
