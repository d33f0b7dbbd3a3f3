package tlsrpt

import (
	"net/url"
	"strings"

	"postrider/relay"
)

// maxRecipients bounds to how many addresses one report goes.
const maxRecipients = 5

// parseRecord reads where a domain wants its reports from the TXT records at _smtp._tls (RFC
// 8460 section 3): "mailto:" and "https:" URIs, in order. There must be one record alone that
// says "v=TLSRPTv1". What it does not know it passes over.
func parseRecord(txts []string) []*url.URL {
	var record []string
	found := 0
	for _, txt := range txts {
		fields := strings.Split(txt, ";")
		if strings.TrimSpace(fields[0]) == "v=TLSRPTv1" {
			found++
			record = fields[1:]
		}
	}
	if found != 1 {
		return nil
	}
	for _, field := range record {
		name, value, ok := strings.Cut(field, "=")
		if ok && strings.TrimSpace(name) == "rua" {
			return parseURIs(value)
		}
	}
	return nil
}

func parseURIs(list string) []*url.URL {
	var uris []*url.URL
	for text := range strings.SplitSeq(list, ",") {
		u, err := url.Parse(strings.TrimSpace(text))
		if err != nil || len(uris) >= maxRecipients {
			continue
		}
		_, isMail := mailbox(u)
		if isMail || u.Scheme == "https" && u.Host != "" && u.User == nil {
			uris = append(uris, u)
		}
	}
	return uris
}

// mailbox gives the address of a mailto URI (RFC 6068). Fields that it wants to be set are not.
func mailbox(u *url.URL) (relay.Address, bool) {
	if u.Scheme != "mailto" {
		return relay.Address{}, false
	}
	text, err := url.PathUnescape(u.Opaque)
	if err != nil {
		return relay.Address{}, false
	}
	a, err := relay.ParseAddress(text)
	return a, err == nil && a.Domain != "" && a.IsASCII()
}
