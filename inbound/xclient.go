package inbound

import (
	"net/netip"
	"strings"

	"github.com/emersion/go-smtp"

	"postrider/inbound/auth"
	"postrider/relay"
)

// xclientNames are the attributes of XCLIENT that are understood. A reverse name, ports and
// our own address mean nothing to us.
const xclientNames = "NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT"

// mayXClient says whether the other end may speak for clients.
func (s *session) mayXClient() bool {
	return s.listener.offers("XCLIENT") && within(s.listener.XClient, s.peer)
}

// xclient takes over what a filter or proxy knows of its client (Postfix XCLIENT). The session
// begins anew, with a greeting.
func (s *session) xclient(argument string) *smtp.SMTPError {
	switch {
	case !s.mayXClient():
		return &replyNoXClient
	case s.begun:
		return &replyInMail
	case argument == "":
		return &replySyntax
	}
	told := *s.origin
	told.User = "" // neither the other end's own login nor that of a client before this one
	for attribute := range strings.FieldsSeq(argument) {
		name, value, ok := strings.Cut(attribute, "=")
		value, valid := decodeXtext(value)
		if !ok || !valid || !tell(&told, strings.ToUpper(name), value) {
			return &replySyntax
		}
	}
	s.reset()
	*s.origin = told
	s.greeted, s.esmtp, s.certified, s.unheard = false, false, false, false
	s.identity = s.server.users.Load().Identify(told.User) // what holds for a user holds behind a filter
	s.setProtocol()
	if !s.settle() {
		return nil
	}
	if reply := s.server.options.Receiver.Connect(s.ctx, s.origin); reply != nil {
		s.end(edge(reply))
		return nil
	}
	s.greet()
	return nil
}

// tell takes one attribute. False means that it makes no sense.
func tell(o *relay.Origin, name, value string) bool {
	known := value != "[UNAVAILABLE]" && value != "[TEMPUNAVAIL]"
	if !known {
		value = ""
	}
	switch name {
	case "ADDR":
		// A client that nobody knows the address of is none of ours: no address at all would mean
		// one on a Unix socket.
		o.Client = netip.IPv4Unspecified()
		if known {
			addr, err := netip.ParseAddr(strings.TrimPrefix(strings.ToUpper(value), "IPV6:"))
			o.Client = addr.Unmap()
			return err == nil
		}
	case "HELO":
		o.Greeting = value
		return !known || isName(value)
	case "LOGIN":
		o.User = value
		return auth.IsName(value)
	default:
		return strings.Contains(" "+xclientNames+" ", " "+name+" ")
	}
	return true
}
