// Package outboundtest has the other ends of outbound: an SMTP server whose every answer
// can be scripted and that remembers what it was sent, and a DNS server that answers,
// fails, truncates or keeps silent as it is told. Both listen on loopback and end with the
// test.
package outboundtest
