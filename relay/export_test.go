package relay

// Edit makes changes to a header section.
func Edit(section []byte, utf8 bool, edits []HeaderEdit) string {
	m := &Message{Header: section, Envelope: Envelope{SMTPUTF8: utf8}}
	m.edit(edits)
	return string(m.Header)
}
