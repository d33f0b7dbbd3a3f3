package outbound

import "slices"

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
	// Note says what one has to know.
	Note string
}

// Presets are the providers that are known, by name.
func Presets() []Preset {
	return []Preset{
		{
			Name: "m365", Hosts: []string{"smtp.office365.com:587"}, TLS: TLSVerify, Mechanism: "xoauth2", Connections: 3,
			Note: "Exchange Online takes 3 connections of a mailbox at once, and ends passwords (mechanism: login) in December 2026",
		},
		{
			Name: "gmail", Hosts: []string{"smtp.gmail.com:587"}, TLS: TLSVerify, Connections: 10, MessagesPerConnection: 100,
			Note: "OAuth2, or the app password of an account with two-step verification",
		},
		{
			Name: "gmail-relay", Hosts: []string{"smtp-relay.gmail.com:587"}, TLS: TLSVerify, Connections: 10, MessagesPerConnection: 100,
			Note: "Google Workspace; without auth where our address is allowed in the Admin console",
		},
		{
			Name: "ses", Region: "email-smtp.REGION.amazonaws.com:587", TLS: TLSVerify, Mechanism: "plain", Connections: 20,
			Note: "the user and password are SMTP credentials of the region, not keys of an IAM user",
		},
		{
			Name: "sendgrid", Hosts: []string{"smtp.sendgrid.net:587"}, TLS: TLSVerify, Mechanism: "plain", User: "apikey", MessagesPerConnection: 5000,
			Note: "the password is an API key that may send mail",
		},
		{
			Name: "mailgun", Hosts: []string{"smtp.mailgun.org:587"}, TLS: TLSVerify, Mechanism: "plain", Connections: 20,
			Note: "domains in the EU: hosts: [smtp.eu.mailgun.org:587]",
		},
		{
			Name: "postmark", Hosts: []string{"smtp.postmarkapp.com:587"}, TLS: TLSVerify, Mechanism: "plain", Connections: 20,
			Note: "user and password are both the token of the server",
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
