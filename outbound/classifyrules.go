package outbound

import "postrider/relay"

// ReplyRules are the rules that are known, in their order: what a text says goes before what a
// code says, and the particular before the general. Each has a reply as it was seen.
func ReplyRules() []ReplyRule {
	var all []ReplyRule
	for _, group := range [][]ReplyRule{accessRules(), limitRules(), policyRules(), contentRules(), userRules(), codeRules()} {
		all = append(all, group...)
	}
	return all
}

// accessRules are about how we come: encryption and credentials.
func accessRules() []ReplyRule {
	return []ReplyRule{
		{"starttls-first", "530", "", `starttls`, relay.ClassTLS, "530 5.7.0 Must issue a STARTTLS command first"},
		{"tls-required", "4", "", `\btls (is )?required`, relay.ClassTLS, "421 4.7.0 TLS required for RCPT domain, closing connection."},
		{"tls-unavailable", "454", "", `\btls\b`, relay.ClassTLS, "454 4.7.0 TLS not available due to local problem"},
		{"encryption-for-auth", "538", "", "", relay.ClassTLS, "538 5.7.11 Encryption required for requested authentication mechanism"},
		{"credits", "", "", `maximum credits exceeded`, relay.ClassRate, "451 Authentication failed: Maximum credits exceeded"},
		{"auth-later", "454", "", `authentication fail`, relay.ClassHost, "454 4.7.0 Temporary authentication failure"},
		{"auth-refused", "535", "", "", relay.ClassAuth, "535 5.7.3 Authentication unsuccessful [AM0PR01CA0001.eurprd01.prod.exchangelabs.com]"},
		{"auth-mechanism", "534", "", "", relay.ClassAuth, "534 5.7.9 Application-specific password required."},
		{"auth-required", "530", "", `authenticat`, relay.ClassAuth, "530 5.7.57 Client not authenticated to send mail. [AM0PR01CA0001.eurprd01.prod.outlook.com]"},
		{"auth-required-5xx", "5", "", `client was not authenticated`, relay.ClassAuth, "550 5.7.57 SMTP; Client was not authenticated to send anonymous mail during MAIL FROM"},
	}
}

// limitRules are about how much and how fast: first what a recipient can take, then what is
// taken from us.
func limitRules() []ReplyRule {
	return []ReplyRule{
		{"recipient-busy", "4", "", `receiving (mail|messages) (too quickly|at a rate)`, relay.ClassQuota, "450 4.2.1 The user you are trying to contact is receiving mail too quickly. Please resend your message at a later time."},
		{"recipient-threads", "4", "", `recipient thread limit`, relay.ClassQuota, "432 4.3.2 STOREDRV.Deliver; recipient thread limit exceeded"},
		{"throttled", "", "", `throttl|maximum sending rate|rate[- ]?limit|slow(ing)? down|too fast`, relay.ClassRate, "454 Throttling failure: Maximum sending rate exceeded."},
		{"mailbox-full-code", "", "x.2.2", "", relay.ClassQuota, "452 4.2.2 The email account that you tried to reach is over quota."},
		{"mailbox-full", "", "", `(mailbox|inbox|quota|account)\b.{0,30}\b(is |are )?(full|over ?quota|exceeded)|over ?quota`, relay.ClassQuota, "552 Mailbox quota exceeded"},
		{"greylisting", "4", "", `gr[ae]y[- ]?list`, relay.ClassGreylisting, "450 4.2.0 <b@example.com>: Recipient address rejected: Greylisted, see http://postgrey.schweikert.ch/help/example.com.html"},
		{"come-back", "4", "", `(come back|try again|retry|wait)( \w+)? (in|after|for) (\d+|a few|five|ten)\b`, relay.ClassGreylisting, "451 4.7.1 Please try again in 5 minutes"},
		{"first-contact", "4", "", `temporarily (rejected|deferred).{0,40}(unknown|new|first) (sender|triplet|contact)`, relay.ClassGreylisting, "451 4.7.1 Temporarily rejected: unknown triplet"},
		{"unusual-rate", "", "", `unusual rate|unexpected volume|\bTSS0\d`, relay.ClassRate, "421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to unexpected volume or user complaints - 4.16.55.1; see https://postmaster.yahooinc.com/error-codes"},
		{"sending-limit", "", "", `(daily|hourly|sending|relay|submission|messages?) ?\w* ?(limit|quota) ?(has been |was )?(exceeded|reached)|SubmissionQuotaExceeded`, relay.ClassRate, "550 5.4.5 Daily user sending limit exceeded. For more information on Gmail sending limits go to https://support.google.com/a/answer/166852"},
		{"recipients-a-day", "5", "5.1.90", "", relay.ClassRate, "550 5.1.90 Your message can't be sent because you've reached your daily limit for message recipients"},
		{"too-many", "", "", `too many (concurrent )?(smtp )?(connections|sessions|messages|mails|emails|requests|errors)|concurrent connections? limit|maximum number of connections`, relay.ClassRate, "432 4.3.2 Concurrent connections limit exceeded. Visit https://aka.ms/concurrent_sending for more information."},
		{"exceeded-rate", "4", "", `exceeded the (allowed |maximum )?(rate|number|limit)`, relay.ClassRate, "421 RP-001 (BAY004) Unfortunately, some messages from 192.0.2.1 weren't sent: you have exceeded the rate at which you may send"},
		{"server-busy", "4", "4.7.500", "", relay.ClassRate, "451 4.7.500 Server busy. Please try again later from [192.0.2.1]. (S77719)"},
	}
}

// policyRules are about who we are to them.
func policyRules() []ReplyRule {
	return []ReplyRule{
		{"block-list", "", "", `spamhaus|spamcop|barracuda|dnsbl|\brbl\b|(block|black|deny) ?list|blocked using|\bS31[45]0\b|\blisted (in|by|on|at)\b`, relay.ClassPolicy, "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org"},
		{"sender-proof", "", "", `\b(dmarc|spf|dkim)\b|unauthenticated (e?mail|sender)`, relay.ClassPolicy, "550 5.7.26 Unauthenticated email from example.com is not accepted due to domain's DMARC policy."},
		{"reverse-dns", "", "", `\bptr record|reverse dns|\brdns\b|cannot find your (reverse )?hostname`, relay.ClassPolicy, "450 4.7.25 Client host rejected: cannot find your hostname, [192.0.2.1]"},
		{"relay-denied", "", "", `relay(ing)? (access )?(is )?(denied|not permitted|not allowed|prohibited)|(unable|not permitted|not allowed) to relay`, relay.ClassPolicy, "554 5.7.1 <b@example.net>: Relay access denied"},
		{"send-as", "", "", `SendAsDenied|permissions? to send as|not (allowed|owned).{0,20}(sender|send as|user)|sender address rejected: not owned`, relay.ClassPolicy, "554 5.2.252 SendAsDenied; relay@example.com not allowed to send as ann@example.com"},
		{"not-verified", "", "", `(identit(y|ies)|email address|sender|domain)\b.{0,20}\bnot verified|sender signature|verified sender identity`, relay.ClassPolicy, "554 Message rejected: Email address is not verified. The following identities failed the check in region EU-WEST-1: a@example.com"},
		{"sender-domain", "", "", `sender address rejected|domain of sender`, relay.ClassPolicy, "450 4.1.8 <a@nowhere.example>: Sender address rejected: Domain not found"},
		{"reputation", "", "", `reputation|not (in|on) (the )?(white|allow) ?list`, relay.ClassPolicy, "421 4.7.0 IP not in whitelist for RCPT domain, closing connection."},
		{"ip-refused", "", "", `(access denied|traffic not accepted|banned sending|blocked).{0,30}\bip\b`, relay.ClassPolicy, "550 5.7.708 Service unavailable. Access denied, traffic not accepted from this IP."},
	}
}

// contentRules are about the message.
func contentRules() []ReplyRule {
	return []ReplyRule{
		{"virus", "", "", `virus|malware|infected|phish`, relay.ClassContent, "554 5.7.1 This message contains a virus (Win.Test.EICAR_HDB-1)"},
		{"spam", "", "", `spam|junk|unsolicited|content (rejected|presents|filter)`, relay.ClassContent, "550 5.7.1 Our system has detected that this message is likely unsolicited mail."},
		{"too-large-code", "", "x.3.4", "", relay.ClassContent, "552 5.3.4 Message size exceeds fixed limit"},
		{"too-large", "", "", `message (size |length )?(exceeds|is too (large|big)|too (large|big))|size limit`, relay.ClassContent, "552 Message size exceeds maximum permitted"},
		{"form", "", "", `rfc ?-?(2822|5322|822)\b|(missing|multiple|duplicate|invalid) .{0,20}header`, relay.ClassContent, "550 5.7.1 [192.0.2.1] Messages missing a valid address in From: header, or having no From: header, are not accepted (RFC 5322)"},
		{"bare-lf", "5", "", `bare <?(lf|cr)`, relay.ClassContent, "550 5.6.11 SMTPSEND.BareLinefeedsAreIllegal; message contains bare LF"},
	}
}

// userRules are about the recipient.
func userRules() []ReplyRule {
	return []ReplyRule{
		{"edge-blocked", "5", "5.4.1", `access denied`, relay.ClassUser, "550 5.4.1 Recipient address rejected: Access denied. [DB5EUR01FT010.eop-EUR01.prod.protection.outlook.com]"},
		{"no-such-user", "", "", `no such (user|mailbox|recipient|address|person)|(user|recipient|mailbox|address|account) (is )?unknown|unknown (user|recipient|mailbox|local|address|or illegal alias)`, relay.ClassUser, "550 No Such User Here"},
		{"no-account", "", "", `(mailbox|user|recipient|account|address)\b.{0,40}\b(not found|(does not|doesn't) exist|disabled|inactive|suspended|not (a )?valid)|invalid (recipient|mailbox|address)|doesn't have a .{1,40} account`, relay.ClassUser, "554 delivery error: dd This user doesn't have a yahoo.com account (b@yahoo.com) [0] - mta4290.mail.bf1.yahoo.com"},
		{"mailbox-unavailable", "550", "", `mailbox (is )?unavailable`, relay.ClassUser, "550 Requested action not taken: mailbox unavailable"},
	}
}

// codeRules go by the codes alone (RFC 3463, RFC 5321), where the text says nothing that is known.
func codeRules() []ReplyRule {
	return []ReplyRule{
		{"sender-code-7", "", "x.1.7", "", relay.ClassPolicy, "501 5.1.7 Bad sender address syntax"},
		{"sender-code-8", "", "x.1.8", "", relay.ClassPolicy, "501 5.1.8 Access denied, bad outbound sender"},
		{"address", "", "x.1.x", "", relay.ClassUser, "550 5.1.1 <b@example.com>: Recipient address rejected: User unlisted"},
		{"mailbox", "", "x.2.x", "", relay.ClassUser, "450 4.2.1 <b@example.com>: not now"},
		{"system", "", "x.3.x", "", relay.ClassHost, "452 4.3.1 Insufficient system resources"},
		{"network", "", "x.4.x", "", relay.ClassHost, "451 4.4.2 Timeout - closing connection."},
		{"protocol", "", "x.5.x", "", relay.ClassHost, "503 5.5.1 Bad sequence of commands"},
		{"content", "", "x.6.x", "", relay.ClassContent, "554 5.6.0 Invalid message content"},
		{"security", "", "x.7.x", "", relay.ClassPolicy, "550 5.7.1 Message refused"},
		{"closing", "421", "", "", relay.ClassHost, "421 Service not available, closing transmission channel"},
		{"storage", "452", "", "", relay.ClassHost, "452 Out of memory"},
		{"policy-reasons", "5", "", `policy|not (allowed|permitted|authori[sz]ed)|denied|blocked`, relay.ClassPolicy, "554 Message not allowed - [PH01] Email not accepted for policy reasons."},
		{"later", "4", "", `temporar|later|busy|local (error|problem)|system (error|problem)|unavailable|not available`, relay.ClassHost, "451 Temporary local problem - please try later"},
	}
}
