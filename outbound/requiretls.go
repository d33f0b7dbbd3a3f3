package outbound

import "postrider/relay"

// replyNoRequireTLS is for a message that must not be sent where this is so (RFC 8689 section 5).
var replyNoRequireTLS = relay.Reply{Code: 550, Enhanced: relay.EnhancedCode{5, 7, 30}, Class: relay.ClassPolicy}

// insecure says why a message must not go over this session because of what a rule asks, or its
// sender with REQUIRETLS (RFC 8689 section 4.2.1); nil when it may. What can be repaired defers; that a host does not
// have the extension, or is known by nothing but plain DNS, does not pass.
func (c *conn) insecure(m *relay.Message) *relay.Reply {
	switch wanted := m.Envelope.Encryption; {
	case wanted >= relay.EncryptionRequired && c.tls == "":
		return saying(replyTLSFault, "The session with %s is not encrypted, which a rule requires", c.remote)
	case wanted >= relay.EncryptionVerified && !c.verified:
		return saying(replyTLSFault, "%s does not prove over TLS who it is, which a rule requires", c.remote)
	case !m.Envelope.RequireTLS:
		return nil
	case c.tls == "" || !c.verified:
		return saying(replyTLSFault, "%s does not prove over TLS who it is, which the message requires", c.remote)
	case !c.features.requireTLS:
		return saying(replyNoRequireTLS, "%s does not offer REQUIRETLS, which the message requires", c.remote)
	case c.route.MX && !c.route.authentic:
		return saying(replyNoRequireTLS, "Neither DNSSEC nor MTA-STS vouches for %s, which the message requires", c.remote)
	}
	return nil
}
