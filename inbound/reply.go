package inbound

import (
	"errors"
	"strconv"
	"strings"
	"unicode"

	"github.com/emersion/go-smtp"

	"postrider/relay"
)

// The replies of the edge itself: what the protocol says, whoever the client is.
var (
	replyReady         = smtp.SMTPError{Code: 220, EnhancedCode: smtp.EnhancedCode{2, 0, 0}, Message: "Ready to start TLS"}
	replyBye           = smtp.SMTPError{Code: 221, EnhancedCode: smtp.EnhancedCode{2, 0, 0}, Message: "Bye"}
	replyAuthenticated = smtp.SMTPError{Code: 235, EnhancedCode: smtp.EnhancedCode{2, 7, 0}, Message: "Authentication succeeded"}
	replyOk            = smtp.SMTPError{Code: 250, EnhancedCode: smtp.EnhancedCode{2, 0, 0}, Message: "Ok"}
	replyMore          = smtp.SMTPError{Code: 250, EnhancedCode: smtp.EnhancedCode{2, 0, 0}, Message: "Ok, more"}
	replySenderOk      = smtp.SMTPError{Code: 250, EnhancedCode: smtp.EnhancedCode{2, 1, 0}, Message: "Ok"}
	replyRecipientOk   = smtp.SMTPError{Code: 250, EnhancedCode: smtp.EnhancedCode{2, 1, 5}, Message: "Ok"}
	replyVerify        = smtp.SMTPError{Code: 252, EnhancedCode: smtp.EnhancedCode{2, 5, 0}, Message: "Cannot verify, will try to deliver"}
	replyGoAhead       = smtp.SMTPError{Code: 354, EnhancedCode: smtp.NoEnhancedCode, Message: "End data with <CR><LF>.<CR><LF>"}
	replyUnknown       = smtp.SMTPError{Code: 500, EnhancedCode: smtp.EnhancedCode{5, 5, 2}, Message: "Command not recognized"}
	replyBadBytes      = smtp.SMTPError{Code: 500, EnhancedCode: smtp.EnhancedCode{5, 5, 2}, Message: "Command has control characters or is not UTF-8"}
	replySyntax        = smtp.SMTPError{Code: 501, EnhancedCode: smtp.EnhancedCode{5, 5, 4}, Message: "Syntax error in arguments"}
	replyName          = smtp.SMTPError{Code: 501, EnhancedCode: smtp.EnhancedCode{5, 5, 4}, Message: "Need a host name or address literal"}
	replySender        = smtp.SMTPError{Code: 501, EnhancedCode: smtp.EnhancedCode{5, 1, 7}, Message: "Bad sender address syntax"}
	replyRecipient     = smtp.SMTPError{Code: 501, EnhancedCode: smtp.EnhancedCode{5, 1, 3}, Message: "Bad recipient address syntax"}
	replyBase64        = smtp.SMTPError{Code: 501, EnhancedCode: smtp.EnhancedCode{5, 5, 2}, Message: "Malformed authentication data"}
	replyCancelled     = smtp.SMTPError{Code: 501, EnhancedCode: smtp.EnhancedCode{5, 0, 0}, Message: "Negotiation cancelled"}
	replyNotHere       = smtp.SMTPError{Code: 502, EnhancedCode: smtp.EnhancedCode{5, 5, 1}, Message: "Command not implemented"}
	replyNoTLS         = smtp.SMTPError{Code: 502, EnhancedCode: smtp.EnhancedCode{5, 5, 1}, Message: "TLS is not available here"}
	replyNoAuth        = smtp.SMTPError{Code: 502, EnhancedCode: smtp.EnhancedCode{5, 5, 1}, Message: "Authentication is not available here"}
	replyNoGreeting    = smtp.SMTPError{Code: 503, EnhancedCode: smtp.EnhancedCode{5, 5, 1}, Message: "Send EHLO first"}
	replyNested        = smtp.SMTPError{Code: 503, EnhancedCode: smtp.EnhancedCode{5, 5, 1}, Message: "Nested MAIL command"}
	replyNoMail        = smtp.SMTPError{Code: 503, EnhancedCode: smtp.EnhancedCode{5, 5, 1}, Message: "Need MAIL command first"}
	replyNoRcpt        = smtp.SMTPError{Code: 503, EnhancedCode: smtp.EnhancedCode{5, 5, 1}, Message: "Need RCPT command first"}
	replyInMail        = smtp.SMTPError{Code: 503, EnhancedCode: smtp.EnhancedCode{5, 5, 1}, Message: "Not allowed inside a mail transaction"}
	replyInBDAT        = smtp.SMTPError{Code: 503, EnhancedCode: smtp.EnhancedCode{5, 5, 1}, Message: "Not allowed between BDAT chunks"}
	replyAgain         = smtp.SMTPError{Code: 503, EnhancedCode: smtp.EnhancedCode{5, 5, 1}, Message: "Already authenticated"}
	replyMechanism     = smtp.SMTPError{Code: 504, EnhancedCode: smtp.EnhancedCode{5, 5, 4}, Message: "Authentication mechanism not supported"}
	replyRequireTLS    = smtp.SMTPError{Code: 530, EnhancedCode: smtp.EnhancedCode{5, 7, 10}, Message: "REQUIRETLS is for TLS sessions only"}
	replyNeedTLS       = smtp.SMTPError{Code: 538, EnhancedCode: smtp.EnhancedCode{5, 7, 11}, Message: "Encryption required for authentication"}
	replyNoXClient     = smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 7, 0}, Message: "Not allowed to speak for other clients"}
	replyNotASCII      = smtp.SMTPError{Code: 553, EnhancedCode: smtp.EnhancedCode{5, 6, 7}, Message: "Address needs SMTPUTF8"}
	replyPipelining    = smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 5, 0}, Message: "Improper command pipelining"}
	replyEarly         = smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 5, 0}, Message: "Client spoke before the greeting"}
	replyNoValidRcpt   = smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 5, 1}, Message: "No valid recipients"}
	replyNoRcptYet     = smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 5, 0}, Message: "No valid recipients now, try again later"}
	replyHTTP          = smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 5, 1}, Message: "This is not an HTTP server"}
	replyTLSAgain      = smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 5, 1}, Message: "TLS is active already"}
	replyParameter     = smtp.SMTPError{Code: 555, EnhancedCode: smtp.EnhancedCode{5, 5, 4}, Message: "Parameter not recognized or not implemented"}
	replyLocal         = smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "Temporary local problem, try again later"}
)

// longestText keeps a reply line within RFC 5321 section 4.5.3.1.5, codes included.
const longestText = 480

// asError finds what the client is to read in an error. What has nothing to say to a client
// is a failure of ours: temporary, with a fixed text (conformance I20).
func asError(err error) *smtp.SMTPError {
	if e, ok := errors.AsType[*smtp.SMTPError](err); ok && isCode(e.Code) {
		return e
	}
	if reply, ok := errors.AsType[*relay.Reply](err); ok && isCode(reply.Code) {
		return edge(reply)
	}
	return &replyLocal
}

func isCode(code int) bool { return code >= 200 && code <= 599 }

// edge puts a reply in go-smtp's terms. Its cause and reason stay behind.
func edge(reply *relay.Reply) *smtp.SMTPError {
	if !isCode(reply.Code) {
		return &replyLocal
	}
	code := smtp.EnhancedCode(reply.Enhanced)
	if reply.Enhanced == (relay.EnhancedCode{}) {
		code = smtp.NoEnhancedCode
	}
	return &smtp.SMTPError{Code: reply.Code, EnhancedCode: code, Message: reply.Text}
}

// refusal is edge for what may be no refusal at all.
func refusal(reply *relay.Reply) error {
	if reply == nil {
		return nil
	}
	return edge(reply)
}

// appendReply writes a reply's line. An enhanced code that is not set is that of the code
// alone, as with go-smtp.
func appendReply(line []byte, e *smtp.SMTPError) []byte {
	line = strconv.AppendInt(line, int64(e.Code), 10)
	switch code := e.EnhancedCode; code {
	case smtp.NoEnhancedCode:
	case smtp.EnhancedCodeNotSet:
		line = appendEnhanced(line, smtp.EnhancedCode{e.Code / 100, 0, 0})
	default:
		line = appendEnhanced(line, code)
	}
	line = append(append(line, ' '), public(e.Message)...)
	return append(line, "\r\n"...)
}

func appendEnhanced(line []byte, code smtp.EnhancedCode) []byte {
	before := byte(' ')
	for _, n := range code {
		line = strconv.AppendInt(append(line, before), int64(n), 10)
		before = '.'
	}
	return line
}

// public keeps a text on one line of the protocol.
func public(text string) string {
	if len(text) <= longestText && isASCII(text) && isText(text) {
		return text
	}
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	return text[:min(len(text), longestText)]
}
