package policy

// mailbox is where an address begins and ends in the value of a field.
type mailbox struct{ start, end int }

// mailboxes finds the addresses in the value of a field (RFC 5322 section 3.4), whatever else is
// wrong with it: names in charsets that nobody knows, 8-bit letters, words that are no address.
// Those are found too, such as the "root" of a program on this host. It is for changing them where
// they stand; where a decision hangs on there being no others, relay.Mailboxes reads the field.
func mailboxes(value string) []mailbox {
	var found []mailbox
	none := mailbox{-1, -1}
	at, angle, closed := none, false, false
	end := func() {
		if at != none {
			found = append(found, at)
		}
		at, closed = none, false
	}
	for i := 0; i < len(value); i++ {
		switch c := value[i]; {
		case c == '(':
			i = closing(value, i, ')')
		case c == '<':
			at, angle = none, true // what came before is a name
		case c == '>':
			angle, closed = false, true
		case (c == ',' || c == ';') && !angle:
			end()
		case c == ':':
			at = none // a group's name, or a source route
		case closed || c == ' ' || c == '\t':
		default:
			if at == none {
				at.start = i
			}
			switch c {
			case '"':
				i = closing(value, i, '"')
			case '[':
				i = closing(value, i, ']')
			}
			at.end = i + 1
		}
	}
	end()
	return found
}

// closing is the index of what closes that which begins at i, or of the last byte if nothing
// does. Comments nest.
func closing(value string, i int, with byte) int {
	depth := 0
	for j := i + 1; j < len(value); j++ {
		switch c := value[j]; {
		case c == '\\':
			j++
		case c == with && depth == 0:
			return j
		case c == with:
			depth--
		case c == '(' && with == ')':
			depth++
		}
	}
	return len(value) - 1
}
