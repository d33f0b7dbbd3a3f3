// Package delegation asks servers that speak the Postfix SMTP access policy delegation protocol
// (Postfix's SMTPD_POLICY_README), such as greylisting and SPF daemons, about recipients or messages.
// Connections are few, bounded and used again; a server never grants what our own rules do not.
package delegation
