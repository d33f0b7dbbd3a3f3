package verify

import (
	"bytes"
	"iter"
	"strings"

	"postrider/relay"
)

// results is all that was found about a message. What nobody asked for has no result.
type results struct {
	spf        spfResult
	signatures []signature
	dmarc      dmarcResult
}

// dkim gives the best result of all signatures.
func (r *results) dkim() string {
	for _, best := range []string{pass, temperror, fail, permerror, neutral} {
		for _, s := range r.signatures {
			if s.result == best {
				return best
			}
		}
	}
	return none
}

func (r *results) verified(dkim bool) relay.Verified {
	v := relay.Verified{SPF: r.spf.result, DMARC: r.dmarc.result, DMARCPolicy: r.dmarc.policy}
	if dkim {
		v.DKIM = r.dkim()
	}
	return v
}

// stamp gives the Authentication-Results field (RFC 8601 section 2.2).
func (r *results) stamp(hostname string, dkim bool) string {
	var b strings.Builder
	b.WriteString("Authentication-Results: " + hostname)
	add := func(text string, properties ...string) {
		b.WriteString(";\r\n\t" + text)
		for i := 0; i+1 < len(properties); i += 2 {
			if value := word(properties[i+1]); value != "" {
				b.WriteString(" " + properties[i] + "=" + value)
			}
		}
	}
	if r.spf.result != "" {
		name := map[bool]string{false: "smtp.mailfrom", true: "smtp.helo"}[r.spf.helo]
		add("spf="+r.spf.result, name, r.spf.domain)
	}
	for _, s := range r.signatures {
		add("dkim="+s.result+comment(s.reason), "header.d", s.domain, "header.s", s.selector, "header.a", s.algorithm, "header.b", quotable(s.start))
	}
	if dkim && len(r.signatures) == 0 {
		add("dkim=none")
	}
	if r.dmarc.result != "" {
		policy := r.dmarc.policy
		if policy != "" {
			policy = "p=" + policy
		}
		add("dmarc="+r.dmarc.result+comment(policy), "header.from", r.dmarc.from)
	}
	b.WriteString("\r\n")
	return b.String()
}

// maxWord bounds what is repeated of what others wrote, in bytes.
const maxWord = 128

// word makes a value that others wrote fit to stand as a token, or a quoted one as it is.
func word(text string) string {
	if strings.HasPrefix(text, `"`) {
		return text
	}
	return clean(text, func(r rune) bool { return strings.ContainsRune("-._", r) })
}

// quotable makes base64 fit to stand between quotes.
func quotable(text string) string {
	text = clean(text, func(r rune) bool { return strings.ContainsRune("+/=", r) })
	if text == "" {
		return ""
	}
	return `"` + text + `"`
}

// comment makes a reason fit to stand in a comment.
func comment(text string) string {
	text = clean(text, func(r rune) bool { return strings.ContainsRune(" -._=:,'", r) })
	if text == "" {
		return ""
	}
	return " (" + text + ")"
}

// clean keeps letters and digits of ASCII and what may stand beside them.
func clean(text string, also func(rune) bool) string {
	text = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || also(r) {
			return r
		}
		return -1
	}, text)
	return text[:min(len(text), maxWord)]
}

// named is a field of a header section, its folded lines and line end included.
type named struct {
	name string
	place
}

// fields yields the fields of a header section, top first.
func fields(header []byte) iter.Seq[named] {
	return func(yield func(named) bool) {
		for start := 0; start < len(header); {
			end := start
			for {
				n := bytes.IndexByte(header[end:], '\n') + 1
				if n == 0 {
					end = len(header)
					break
				}
				end += n
				if end >= len(header) || header[end] != ' ' && header[end] != '\t' {
					break
				}
			}
			name, _, ok := bytes.Cut(header[start:end], []byte{':'})
			if ok && !yield(named{strings.TrimRight(string(name), " \t"), place{start, end}}) {
				return
			}
			start = end
		}
	}
}

// withoutOurs leaves out the results that claim to be ours: others may not speak in our
// name (RFC 8601 section 5).
func withoutOurs(header []byte, hostname string) []byte {
	kept := make([]byte, 0, len(header))
	last := 0
	for f := range fields(header) {
		if !strings.EqualFold(f.name, "authentication-results") || !claims(string(header[f.start:f.end]), hostname) {
			continue
		}
		kept = append(kept, header[last:f.start]...)
		last = f.end
	}
	return append(kept, header[last:]...)
}

// claims says whether a field's authserv-id is the name, or cannot be read.
func claims(field, hostname string) bool {
	_, value, _ := strings.Cut(field, ":")
	rest, ok := skipComments(value)
	if !ok {
		return true
	}
	id := rest
	if quoted, isQuoted := strings.CutPrefix(rest, `"`); isQuoted {
		text, _, closed := strings.Cut(quoted, `"`)
		if !closed || strings.Contains(text, `\`) {
			return true
		}
		id = text
	} else if n := strings.IndexAny(rest, "; \t\r\n("); n >= 0 {
		id = rest[:n]
	}
	return id == "" || strings.EqualFold(strings.TrimSuffix(id, "."), hostname)
}

// skipComments drops white space and comments at the beginning (RFC 5322 section 3.2.2). A
// comment that does not end is not ok.
func skipComments(text string) (rest string, ok bool) {
	for {
		text = strings.TrimLeft(text, " \t\r\n")
		if !strings.HasPrefix(text, "(") {
			return text, true
		}
		depth, end := 0, -1
		for i := 0; i < len(text) && end < 0; i++ {
			switch text[i] {
			case '\\':
				i++
			case '(':
				depth++
			case ')':
				if depth--; depth == 0 {
					end = i + 1
				}
			}
		}
		if end < 0 {
			return "", false
		}
		text = text[end:]
	}
}
