package outbound

import (
	"bufio"
	"errors"
	"fmt"
	"strings"

	"postrider/relay"
)

const (
	// maxReplyLine bounds a line of a reply, and is the size of a connection's read buffer. RFC
	// 5321 section 4.5.3.1.5 has 512; real servers exceed it.
	maxReplyLine = 4096
	// maxReplyLines bounds the lines of one reply.
	maxReplyLines = 128
	// maxReplyText bounds what is kept of a reply's text.
	maxReplyText = 1024
)

// errGarbage says that what came is not an SMTP reply. After it, nothing that the peer
// says can be attributed to a command.
var errGarbage = errors.New("not an SMTP reply")

// answerLines is one reply of a peer as it was read.
type answerLines struct {
	code int
	// lines are the texts, without codes.
	lines []string
	// mixed says that the lines had different codes. The last one counts, but who knows
	// what else the peer does (conformance S03).
	mixed bool
}

// readReply reads one reply. It is tolerant in what changes nothing, bare codes and line
// ends, and bounded in all.
func readReply(r *bufio.Reader) (answerLines, error) {
	var a answerLines
	for range maxReplyLines {
		line, err := r.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			return a, fmt.Errorf("%w: line over %d bytes", errGarbage, maxReplyLine)
		}
		if err != nil {
			return a, err
		}
		text := strings.TrimRight(string(line), "\r\n")
		code, rest, more, ok := parseReplyLine(text)
		if !ok {
			return a, fmt.Errorf("%w: %.60q", errGarbage, text)
		}
		a.mixed = a.mixed || a.code != 0 && a.code != code
		a.code, a.lines = code, append(a.lines, rest)
		if !more {
			return a, nil
		}
	}
	return a, fmt.Errorf("%w: over %d lines", errGarbage, maxReplyLines)
}

// parseReplyLine reads "250-text", "250 text" or "250" (RFC 5321 section 4.2).
func parseReplyLine(text string) (code int, rest string, more, ok bool) {
	if len(text) < 3 || text[0] < '2' || text[0] > '5' {
		return 0, "", false, false
	}
	for i := range 3 {
		if text[i] < '0' || text[i] > '9' {
			return 0, "", false, false
		}
		code = code*10 + int(text[i]-'0')
	}
	if len(text) == 3 {
		return code, "", false, true
	}
	separator := text[3]
	return code, text[4:], separator == '-', separator == '-' || separator == ' '
}

// reply gives the relay's view: one line of printable text, and the enhanced code where it is of
// the code's own class (conformance S04).
func (a *answerLines) reply() relay.Reply {
	r := relay.Reply{Code: a.code}
	var b strings.Builder
	for i, line := range a.lines {
		enhanced, rest, ok := cutEnhanced(line)
		if ok && enhanced[0] == a.code/100 {
			line = rest
			if i == 0 || r.Enhanced == (relay.EnhancedCode{}) {
				r.Enhanced = enhanced
			}
		}
		if line = strings.TrimSpace(line); line != "" && b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(line)
		if b.Len() > maxReplyText {
			break
		}
	}
	text := b.String()
	r.Text = printable(text[:min(len(text), maxReplyText)])
	return r
}

// cutEnhanced reads an enhanced code at the beginning of a text (RFC 2034 section 4).
func cutEnhanced(text string) (e relay.EnhancedCode, rest string, ok bool) {
	word, rest, _ := strings.Cut(text, " ")
	parts := strings.Split(word, ".")
	if len(parts) != len(e) {
		return e, text, false
	}
	for i, part := range parts {
		if len(part) == 0 || len(part) > 3 {
			return relay.EnhancedCode{}, text, false
		}
		for _, c := range []byte(part) {
			if c < '0' || c > '9' {
				return relay.EnhancedCode{}, text, false
			}
			e[i] = e[i]*10 + int(c-'0')
		}
	}
	return e, rest, true
}

// printable makes a peer's text fit for logs, terminals and DSNs.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || 0x80 <= r && r < 0xa0 {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
}
