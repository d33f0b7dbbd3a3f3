package policy

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"postrider/relay"
)

// maxText keeps a reply line well under the 512 octets of RFC 5321 section 4.5.3.1.5.
const maxText = 400

// parseReply reads "552 5.3.4 text" of the class: 5 for permanent, 4 for temporary.
// Without an enhanced code it is X.7.1, refused by policy (RFC 3463 section 3.8).
func parseReply(text string, class int) (relay.Reply, error) {
	example := map[int]string{4: "450 4.7.1 not now", 5: "550 5.7.1 not here"}[class]
	parts := regexp.MustCompile(`^(\d{3}) (?:(\d)\.(\d{1,3})\.(\d{1,3}) )?(.*)$`).FindStringSubmatch(text)
	if parts == nil {
		return relay.Reply{}, fmt.Errorf("%q is not a reply such as %q", text, example)
	}
	r := relay.Reply{Enhanced: relay.EnhancedCode{class, 7, 1}, Text: strings.TrimSpace(parts[5])}
	r.Code, _ = strconv.Atoi(parts[1])
	if parts[2] != "" {
		for i := range r.Enhanced {
			r.Enhanced[i], _ = strconv.Atoi(parts[2+i])
		}
	}
	switch {
	case r.Code/100 != class:
		return relay.Reply{}, fmt.Errorf("the code %d is not %dxx, as in %q", r.Code, class, example)
	case r.Enhanced[0] != class:
		return relay.Reply{}, fmt.Errorf("the enhanced code %s is not of the class of %d", r.Enhanced, r.Code)
	}
	return r, checkText(r.Text)
}

func checkText(text string) error {
	if text == "" {
		return errors.New("a reply needs a text")
	}
	if len(text) > maxText {
		return fmt.Errorf("the text is longer than %d characters", maxText)
	}
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return errors.New("the text of a reply is one line of ASCII")
		}
	}
	return nil
}
