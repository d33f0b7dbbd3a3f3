package delegation

import (
	"bufio"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"postrider/relay"
)

// maxAnswer bounds an answer, in bytes.
const maxAnswer = 16 << 10

// readAction reads an answer: attributes, of which only action is ours to know, and an empty line.
func readAction(r *bufio.Reader) (string, error) {
	action, found, size := "", false, 0
	for {
		line, err := r.ReadSlice('\n')
		if size += len(line); size > maxAnswer || errors.Is(err, bufio.ErrBufferFull) {
			return "", fmt.Errorf("its answer is longer than %d bytes", maxAnswer)
		}
		if err != nil {
			return "", fmt.Errorf("read its answer: %w", err)
		}
		text := strings.TrimRight(string(line), "\r\n")
		name, value, ok := strings.Cut(text, "=")
		switch {
		case text == "" && found:
			return action, nil
		case text == "":
			return "", errors.New("its answer has no action")
		case !ok:
			return "", fmt.Errorf("its answer has %.40q, which is no attribute", text)
		case name == "action" && !found:
			action, found = strings.TrimSpace(value), true
		}
	}
}

// conclusion is what an action comes to.
type conclusion struct {
	ruling relay.Ruling
	words  string
	// unheeded says that the action wants what is not to be had here, and mail passes.
	unheeded bool
}

// conclude reads an action of access(5). What is about the whole message in Postfix (HOLD, DISCARD,
// REDIRECT) is about the recipient here: the others have been asked about, or will be. Nothing is
// asked behind us that could still permit or refuse, so that DEFER_IF_PERMIT defers and
// DEFER_IF_REJECT passes.
func conclude(action string) (conclusion, error) {
	verb, text, _ := strings.Cut(action, " ")
	text = strings.TrimSpace(text)
	switch verb = strings.ToUpper(verb); verb {
	case "DUNNO", "OK", "PERMIT", "DEFER_IF_REJECT":
		return conclusion{words: "pass"}, nil
	case "INFO", "WARN":
		return conclusion{words: "pass: " + relay.JudgeText(text)}, nil
	case "REJECT":
		return refuse(554, text, "Access denied")
	case "DEFER", "DEFER_IF_PERMIT":
		return refuse(450, text, "Try again later")
	case "HOLD":
		return edit("hold", &relay.Edits{Held: reason(text, "to be looked at")}), nil
	case "DISCARD":
		return edit("discard", &relay.Edits{Discard: true}), nil
	case "PREPEND":
		return prepend(text)
	case "REDIRECT":
		to, err := relay.ParseAddress(strings.Trim(text, "<>"))
		if err != nil || to.IsNull() {
			return conclusion{}, fmt.Errorf("its answer %.200q has no address", action)
		}
		return edit("redirect to <"+to.String()+">", &relay.Edits{Recipients: []relay.Recipient{{Address: to}}}), nil
	case "FILTER", "BCC":
		return conclusion{words: "pass: " + verb + " is not heeded", unheeded: true}, nil
	}
	return number(action, verb, text)
}

func edit(words string, e *relay.Edits) conclusion {
	return conclusion{words: words, ruling: relay.Ruling{Edits: e}}
}

func reason(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return relay.JudgeText(text)
}

// number reads an action that is a reply, or, as access(5) has it, a number that means OK.
func number(action, verb, text string) (conclusion, error) {
	code, err := strconv.ParseUint(verb, 10, 31)
	switch {
	case err == nil && len(verb) == 3 && (code/100 == 4 || code/100 == 5):
		return refuse(int(code), text, "Access denied")
	case err == nil && text == "":
		return conclusion{words: "pass"}, nil
	}
	return conclusion{}, fmt.Errorf("its answer %.200q is no action", action)
}

func refuse(code int, text, otherwise string) (conclusion, error) {
	if text == "" {
		text = otherwise
	}
	reply, err := relay.JudgeReply(code, text)
	if err != nil {
		return conclusion{}, err
	}
	return conclusion{ruling: relay.Refusal(reply), words: "reply " + reply.String()}, nil
}

// prepend reads a header field. Received is how hops are counted, and ours to write.
func prepend(text string) (conclusion, error) {
	name, value, ok := strings.Cut(text, ":")
	value = oneLine(strings.TrimSpace(value))
	if !ok || name == "" || value == "" || strings.EqualFold(name, "Received") ||
		strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return conclusion{}, fmt.Errorf("it wants the header field %.200q", text)
	}
	return edit("header "+name+" added", &relay.Edits{Header: []relay.HeaderEdit{{Name: name, Value: value}}}), nil
}
