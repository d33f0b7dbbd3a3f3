package inbound_test

import (
	"strings"
	"testing"
)

// dialogues are sessions word for word, after the greeting and EHLO of a plain listener.
// Their names begin with the row of the conformance list.
var dialogues = []struct{ name, script string }{
	{"I02/MAIL nested", `
		C: MAIL FROM:<a@example.com>
		S: 250 2.1.0 Ok
		C: MAIL FROM:<c@example.com>
		S: 503 5.5.1 Nested MAIL command`},
	{"I02/RCPT and DATA without MAIL", `
		C: RCPT TO:<b@example.org>
		S: 503 5.5.1 Need MAIL command first
		C: DATA
		S: 503 5.5.1 Need MAIL command first`},
	{"I02/DATA without RCPT", `
		C: MAIL FROM:<a@example.com>
		S: 250 2.1.0 Ok
		C: DATA
		S: 503 5.5.1 Need RCPT command first
		C: RCPT TO:<b@>
		S: 501 5.1.3 Bad recipient address syntax
		C: DATA
		S: 554 5.5.1 No valid recipients`},
	{"I03/unknown parameters", `
		C: MAIL FROM:<a@example.com> FOO=1
		S: 555 5.5.4 Parameter not recognized or not implemented
		C: MAIL FROM:<a@example.com>
		S: 250 2.1.0 Ok
		C: RCPT TO:<b@example.org> BAR
		S: 555 5.5.4 Parameter not recognized or not implemented`},
	{"I03/syntax", `
		C: MAIL
		S: 501 5.5.4 Syntax error in arguments
		C: MAIL FROM
		S: 501 5.5.4 Syntax error in arguments
		C: MAIL FROM:<a@example.com
		S: 501 5.5.4 Syntax error in arguments
		C: MAIL FROM:<a@example.com>SIZE=1
		S: 501 5.5.4 Syntax error in arguments
		C: MAIL FROM:<a@>
		S: 501 5.1.7 Bad sender address syntax
		C: MAIL FROM:<a@b@example.com>
		S: 501 5.1.7 Bad sender address syntax
		C: MAIL FROM:<a@example.com> SIZE=x
		S: 501 5.5.4 Syntax error in arguments
		C: MAIL FROM:<a@example.com> BODY=8BITMIME BODY=8BITMIME
		S: 501 5.5.4 Syntax error in arguments
		C: FROB
		S: 500 5.5.2 Command not recognized
		C:
		S: 500 5.5.2 Command not recognized
		C: EHLO
		S: 501 5.5.4 Need a host name or address literal
		C: DATA now
		S: 501 5.5.4 Syntax error in arguments`},
	{"I03/tolerated", `
		C: mail from:   <a@example.com>   size=10
		S: 250 2.1.0 Ok
		C: rcpt to: <@one.example,@two.example:b@Example.ORG>
		S: 250 2.1.5 Ok
		C: RCPT TO:<Postmaster>
		S: 250 2.1.5 Ok
		C: RCPT TO:c@example.org
		S: 250 2.1.5 Ok
		C: RCPT TO:<"d e>f\" g"@example.org>
		S: 250 2.1.5 Ok
		C: RCPT TO:<e@[192.0.2.1]>
		S: 250 2.1.5 Ok`},
	{"I04/SIZE", `
		C: MAIL FROM:<a@example.com> SIZE=100001
		S: 552 5.3.4 Message size exceeds the limit
		C: MAIL FROM:<a@example.com> SIZE=99999999999999
		S: 552 5.3.4 Message size exceeds the limit
		C: MAIL FROM:<a@example.com> SIZE=100000
		S: 250 2.1.0 Ok`},
	{"I04/recipients", `
		C: MAIL FROM:<a@example.com>
		C: RCPT TO:<1@example.org>
		C: RCPT TO:<2@example.org>
		C: RCPT TO:<3@example.org>
		C: RCPT TO:<4@example.org>
		C: RCPT TO:<5@example.org>
		C: RCPT TO:<6@example.org>
		S: 250 2.1.0 Ok
		S: 250 2.1.5 Ok
		S: 250 2.1.5 Ok
		S: 250 2.1.5 Ok
		S: 250 2.1.5 Ok
		S: 250 2.1.5 Ok
		S: 452 4.5.3 Too many recipients, the limit is 5
		C: DATA
		S: 354 End data with <CR><LF>.<CR><LF>
		C: Subject: x
		C: .
		S: 250 2.0.0 Ok: queued as <id>`},
	{"I10/looping", "C: MAIL FROM:<a@example.com>\nS: 250 2.1.0 Ok\nC: RCPT TO:<b@example.org>\nS: 250 2.1.5 Ok\nC: DATA\n" +
		"S: 354 End data with <CR><LF>.<CR><LF>\n" + strings.Repeat("C: Received: from a by b\n", 50) + "C:\nC: .\n" +
		"S: 554 5.4.6 Too many hops, this message is looping"},
	{"I10/one hop less", "C: MAIL FROM:<a@example.com>\nS: 250 2.1.0 Ok\nC: RCPT TO:<b@example.org>\nS: 250 2.1.5 Ok\nC: DATA\n" +
		"S: 354 End data with <CR><LF>.<CR><LF>\n" + strings.Repeat("C: Received: from a by b\n", 49) + "C:\nC: .\n" +
		"S: 250 2.0.0 Ok: queued as <id>"},
	{"I11/UTF-8", `
		C: MAIL FROM:<jörg@example.com>
		S: 553 5.6.7 Address needs SMTPUTF8
		C: MAIL FROM:<a@bücher.example>
		S: 553 5.6.7 Address needs SMTPUTF8
		C: MAIL FROM:<jörg@example.com> SMTPUTF8
		S: 250 2.1.0 Ok
		C: RCPT TO:<ö@example.org>
		S: 250 2.1.5 Ok
		C: RSET
		S: 250 2.0.0 Ok
		C: MAIL FROM:<a@example.com>
		S: 250 2.1.0 Ok
		C: RCPT TO:<ö@example.org>
		S: 553 5.6.7 Address needs SMTPUTF8`},
	{"I11/not UTF-8", "C: NOOP \xff\nS: 500 5.5.2 Command has control characters or is not UTF-8"},
	{"I12/control characters", "C: NOOP \x00\nS: 500 5.5.2 Command has control characters or is not UTF-8"},
	{"I12/HTTP", `
		C: GET / HTTP/1.1
		C: Host: mx.example.com
		C: MAIL FROM:<a@example.com>
		S: 554 5.5.1 This is not an HTTP server
		S: EOF`},
	{"I15/EHLO resets", `
		C: MAIL FROM:<a@example.com>
		S: 250 2.1.0 Ok
		C: HELO other.example
		S: 250 mx.example.com
		C: RCPT TO:<b@example.org>
		S: 503 5.5.1 Need MAIL command first`},
	{"I17/off", `
		C: AUTH PLAIN
		S: 502 5.5.1 Authentication is not available here`},
	{"I16/off", `
		C: STARTTLS
		S: 502 5.5.1 TLS is not available here`},
	{"I05/chunks", `
		C: MAIL FROM:<a@example.com>
		S: 250 2.1.0 Ok
		C: RCPT TO:<b@example.org>
		S: 250 2.1.5 Ok
		C: BDAT 12
		C: Subject: x
		C: BDAT 2
		C:
		C: BDAT 3 LAST
		C: .
		S: 250 2.0.0 Ok, more
		S: 250 2.0.0 Ok, more
		S: 250 2.0.0 Ok: queued as <id>
		C: QUIT
		S: 221 2.0.0 Bye
		S: EOF`},
}

func TestConformance(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.options.Limits.MessageSize = 100_000
	h.options.Limits.Recipients = 5
	h.open().run()
	for _, d := range dialogues {
		t.Run(d.name, func(t *testing.T) {
			c := h.greeted()
			c.t = t
			c.talk(d.script)
		})
	}
	for _, s := range scenes {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			s.run(t)
		})
	}
}

// scenes are what takes more than a script. What I08 has in detail is tested in relay.
var scenes = []struct {
	name string
	run  func(*testing.T)
}{
	{"I01/bytes before the banner", bytesBeforeBanner},
	{"I01/pipelined behind EHLO", pipelinedBehindEHLO},
	{"I01/pipelined behind DATA", pipelinedBehindDATA},
	{"I02/before EHLO", beforeEHLO},
	{"I03/without a domain", unqualifiedAddresses},
	{"I04/disk low", diskLow},
	{"I04/too large while receiving", tooLarge},
	{"I04/far too large", farTooLarge},
	{"I05/malformed", malformedBDAT},
	{"I05/swallowed after an error", chunksAfterError},
	{"I05/other commands between chunks", commandsBetweenChunks},
	{"I05/ten thousand chunks of a byte", manyChunks},
	{"I05/cut off inside a chunk", cutOffChunk},
	{"I05/too large", tooLargeChunk},
	{"I06/smuggling", smuggling},
	{"I07/line ends", lineEnds},
	{"I07/strict", strictLineEnds},
	{"I08/no header", noHeader},
	{"I09/submission", submission},
	{"I12/long command", longCommand},
	{"I12/long body lines", longBodyLines},
	{"I12/errors", manyErrors},
	{"I13/idle", idle},
	{"I13/slow command", slowCommand},
	{"I13/stalled DATA", stalledData},
	{"I13/slow DATA", slowData},
	{"I13/stalled BDAT", stalledChunk},
	{"I14/drain", drainIdleAndBusy},
	{"I14/grace", drainGrace},
	{"I15/random commands", randomCommands},
	{"I16/STARTTLS", startTLS},
	{"I16/plaintext ahead of the handshake", plaintextAhead},
	{"I16/failed handshake", failedHandshake},
	{"I16/implicit", implicitTLS},
	{"I17/mechanisms", authMechanisms},
	{"I17/refusals", authRefusals},
	{"I17/required", authRequired},
	{"I17/not in clear", authNotInClear},
	{"I17/users file gone", usersGone},
	{"I17/store fails", storeFails},
	{"I17/SCRAM", authSCRAM},
	{"I17/guessing", authGuessing},
	{"I17/never in clear", authNever},
	{"I17/From", authFrom},
	{"I17/rates", authRates},
	{"I18/client gone after the dot", goneAfterDot},
	{"I19/DSN parameters", dsnParameters},
	{"I20/failures of ours", ourFailures},
	{"I20/panics", panics},
	{"I21/queue id", queueID},
	{"I22/relay denied", relayDenied},
	{"I23/PROXY", proxyHeaders},
	{"I23/malformed", malformedProxy},
	{"I23/from others", proxyFromOthers},
	{"I23/clients are counted", proxiedClients},
	{"I23/ahead of a handshake", proxiedTLS},
	{"I24/accept errors", acceptErrors},
}
