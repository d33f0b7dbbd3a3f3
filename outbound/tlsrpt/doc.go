// Package tlsrpt tells domains how TLS with their mail hosts fares (RFC 8460). A Ledger counts
// sessions by domain and day and keeps the counts in a small file for each day; a Reporter sends
// each day's reports to whom the domains name in DNS, by mail or by HTTPS.
package tlsrpt
