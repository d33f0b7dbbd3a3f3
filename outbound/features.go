package outbound

import (
	"strconv"
	"strings"
)

// features are what a peer's EHLO reply offers.
type features struct {
	startTLS, pipelining, chunking, eightBit, smtpUTF8, dsn, requireTLS, priority bool
	// size is the most bytes that the peer takes; 0 where it does not say (RFC 1870).
	size int64
	// sized says that SIZE was offered, with a limit or without.
	sized bool
	// auth are the mechanisms, in upper case.
	auth []string
	// maxRecipients, maxMessages and maxDomains, of recipients in a transaction, are those of LIMITS
	// (RFC 9422); 0 where there is none.
	maxRecipients, maxMessages, maxDomains int
}

// parseFeatures reads the lines of an EHLO reply, the first of which is the peer's name. It
// passes over what it does not know or cannot read.
func parseFeatures(lines []string) features {
	var f features
	for _, line := range lines[min(1, len(lines)):] {
		words := strings.Fields(strings.ToUpper(line))
		if len(words) == 0 {
			continue
		}
		// "AUTH=LOGIN" is how servers older than RFC 2554 offer it.
		keyword, first, legacy := strings.Cut(words[0], "=")
		args := words[1:]
		if legacy {
			args = append([]string{first}, args...)
		}
		f.set(keyword, args)
	}
	return f
}

func (f *features) set(keyword string, args []string) {
	switch keyword {
	case "STARTTLS":
		f.startTLS = true
	case "PIPELINING":
		f.pipelining = true
	case "CHUNKING":
		f.chunking = true
	case "8BITMIME":
		f.eightBit = true
	case "SMTPUTF8":
		f.smtpUTF8 = true
	case "DSN":
		f.dsn = true
	case "REQUIRETLS":
		f.requireTLS = true
	case "MT-PRIORITY":
		f.priority = true
	case "AUTH":
		f.auth = append(f.auth, args...)
	case "SIZE":
		f.sized = true
		if len(args) > 0 {
			f.size = max(0, parseNumber(args[0]))
		}
	case "LIMITS":
		f.setLimits(args)
	}
}

func (f *features) setLimits(args []string) {
	for _, arg := range args {
		name, value, _ := strings.Cut(arg, "=")
		n := int(min(parseNumber(value), 1<<30))
		if n <= 0 {
			continue
		}
		switch name {
		case "RCPTMAX":
			f.maxRecipients = n
		case "MAILMAX":
			f.maxMessages = n
		case "RCPTDOMAINMAX":
			f.maxDomains = n
		}
	}
}

// parseNumber gives 0 for what is not a number.
func parseNumber(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0
	}
	return n
}
