package outbound

import (
	"slices"
	"time"

	"postrider/relay"
)

// Preset is what is known of a provider that people relay through. Every part of it can be
// said otherwise in the configuration.
type Preset struct {
	Name string
	// Hosts are empty where they depend on the account; Region then says how they are named.
	Hosts  []string
	Region string
	TLS    TLSLevel
	// Mechanism is the only one that makes sense there; "" for the strongest offered.
	Mechanism string
	// User is the same for every account; "" where each has its own.
	User string
	// Connections and MessagesPerConnection are the provider's limits, or modest numbers where
	// it closes connections that ask too much; 0 where neither matters.
	Connections           int
	MessagesPerConnection int
	// Rates are the limits of an account that the provider gives to everybody; none where they
	// depend on the account.
	Rates []relay.Rate
	// Header is what the provider wants of header sections.
	Header HeaderProfile
	// Note says what one has to know.
	Note string
}

// day is the span of limits that are counted by the day.
const day = 24 * time.Hour

// Presets are the providers that are known, by name. Their numbers were compared with what the
// providers say in November 2026:
//
//   - m365: learn.microsoft.com, "Message storage and concurrent connection throttling for SMTP
//     Authenticated Submission"
//   - gmail: support.google.com/a/answer/166852, Google Workspace; an account without Workspace may
//     send to 500 recipients a day
//   - gmail-relay: support.google.com/a/answer/2956491, for each user
//   - ses: docs.aws.amazon.com/ses, "Service quotas": the rates are those of the account
//   - sendgrid: docs.sendgrid.com, "Integrating with the SMTP API": 5,000 messages on a connection,
//     10,000 connections
//   - mailgun, postmark: nothing is said about connections; the numbers here are modest
func Presets() []Preset {
	// What a last server wrote (RFC 5321 section 4.4) is not for the next one.
	header := HeaderProfile{Remove: []string{"Return-Path"}}
	return []Preset{
		{
			Name: "m365", Hosts: []string{"smtp.office365.com:587"}, TLS: TLSVerify, Mechanism: "xoauth2", Connections: 3, Header: header,
			Rates: []relay.Rate{{Count: 30, Per: time.Minute}, {Count: 10_000, Per: day, Of: relay.Recipients}},
			Note:  "Exchange Online takes 3 connections of a mailbox at once, and ends passwords (mechanism: login) in December 2026",
		},
		{
			Name: "gmail", Hosts: []string{"smtp.gmail.com:587"}, TLS: TLSVerify, Connections: 10, MessagesPerConnection: 100, Header: header,
			Rates: []relay.Rate{{Count: 2000, Per: day}, {Count: 10_000, Per: day, Of: relay.Recipients}},
			Note:  "OAuth2, or the app password of an account with two-step verification",
		},
		{
			Name: "gmail-relay", Hosts: []string{"smtp-relay.gmail.com:587"}, TLS: TLSVerify, Connections: 10, MessagesPerConnection: 100, Header: header,
			Note: "Google Workspace; without auth where our address is allowed in the Admin console; each user may send 10,000 messages a day",
		},
		{
			Name: "ses", Region: "email-smtp.REGION.amazonaws.com:587", TLS: TLSVerify, Mechanism: "plain", Connections: 20, Header: header,
			Note: "the user and password are SMTP credentials of the region, not keys of an IAM user; give the rates of the account (SES console, sending statistics), such as rates: [14/1s, 50000 recipients/1d]",
		},
		{
			Name: "sendgrid", Hosts: []string{"smtp.sendgrid.net:587"}, TLS: TLSVerify, Mechanism: "plain", User: "apikey", MessagesPerConnection: 5000, Header: header,
			Note: "the password is an API key that may send mail",
		},
		{
			Name: "mailgun", Hosts: []string{"smtp.mailgun.org:587"}, TLS: TLSVerify, Mechanism: "plain", Connections: 20, Header: header,
			Note: "domains in the EU: hosts: [smtp.eu.mailgun.org:587]",
		},
		{
			Name: "postmark", Hosts: []string{"smtp.postmarkapp.com:587"}, TLS: TLSVerify, Mechanism: "plain", Connections: 20, Header: header,
			Note: "user and password are both the token of the server; header: {add: [\"X-PM-Message-Stream: ...\"]} names a stream, and broadcasts have hosts: [smtp-broadcasts.postmarkapp.com:587]",
		},
	}
}

// PresetNames are the words that name a preset.
func PresetNames() []string {
	var names []string
	for _, p := range Presets() {
		names = append(names, p.Name)
	}
	return names
}

// PresetOf finds a preset by its name.
func PresetOf(name string) (Preset, bool) {
	all := Presets()
	i := slices.IndexFunc(all, func(p Preset) bool { return p.Name == name })
	if i < 0 {
		return Preset{}, false
	}
	return all[i], true
}
