package main

import (
	"slices"
	"strings"
)

// counterpart says with what of ours a parameter of Postfix's, which is not translated, is done; ""
// where there is nothing of the kind.
func counterpart(name string) string {
	for _, hint := range slices.Concat(wayInHints(), wayOutHints(), otherHints()) {
		if strings.HasPrefix(name, hint[0]) {
			return hint[1]
		}
	}
	if strings.HasPrefix(name, "smtpd_") && strings.HasSuffix(name, "_restrictions") {
		return "listen[].allow says who may relay, rules refuse, listen[].policy_service is check_policy_service"
	}
	return ""
}

const mailboxes = "a route to the host that has the mailboxes, by SMTP or lmtp: there are none here"

// wayInHints are about taking mail: the beginning of a name, and what does it here. The first that fits counts.
func wayInHints() [][2]string {
	return [][2]string{
		{"smtpd_milters", "listen[].milters"},
		{"non_smtpd_milters", "listen[].milters"},
		{"milter_default_action", "listen[].milters[].failure"},
		{"content_filter", "listen[].milters or listen[].hooks"},
		{"smtpd_proxy_filter", "listen[].milters or listen[].hooks"},
		{"smtpd_tls_", "listen[].tls"},
		{"smtpd_use_tls", "listen[].tls"},
		{"smtpd_sasl_", "users, and listen[].auth"},
		{"smtpd_sender_login_maps", "users: the addresses that a user may send as"},
		{"smtpd_client_message_rate_limit", "limits.rate_per_client"},
		{"smtpd_client_recipient_rate_limit", "limits.recipient_rate_per_client"},
		{"smtpd_upstream_proxy_protocol", "listen[].proxy_protocol"},
		{"smtpd_authorized_xclient_hosts", "listen[].xclient"},
		{"header_checks", "rules at data, with header()"},
		{"mime_header_checks", "listen[].milters: rules do not look into bodies"},
		{"nested_header_checks", "listen[].milters: rules do not look into bodies"},
		{"body_checks", "listen[].milters: rules do not look into bodies"},
	}
}

// wayOutHints are about delivering it.
func wayOutHints() [][2]string {
	return [][2]string{
		{"smtp_header_checks", "routes[].header"},
		{"sender_dependent_relayhost_maps", "a route for each sender: configs/cookbook/provider-per-sender.yaml"},
		{"sender_dependent_default_transport_maps", "a route for each sender: configs/cookbook/provider-per-sender.yaml"},
		{"smtp_sender_dependent_authentication", "a route for each sender: configs/cookbook/provider-per-sender.yaml"},
		{"smtp_fallback_relay", "routes[].fallback"},
		{"smtp_bind_address", "routes[].source"},
		{"smtp_helo_name", "hostname, or routes[].source[].hostname"},
		{"smtp_tls_policy_maps", "a route for each of these, with its tls"},
	}
}

// otherHints are about addresses, mailboxes and the rest.
func otherHints() [][2]string {
	return [][2]string{
		{"smtp_generic_maps", "rules with rewrite_sender and replace_recipient"},
		{"canonical_maps", "rules with rewrite_sender and replace_recipient"},
		{"sender_canonical_maps", "rules with rewrite_sender"},
		{"recipient_canonical_maps", "rules with replace_recipient"},
		{"virtual_alias_", "rules with redirect or replace_recipient"},
		{"always_bcc", "rules with bcc"},
		{"sender_bcc_maps", "rules with bcc"},
		{"recipient_bcc_maps", "rules with bcc"},
		{"default_destination_rate_delay", "shaping.destinations[].rates, or routes[].rates"},
		{"smtp_destination_", "shaping.destinations, or routes[].connections and rates"},
		{"mydestination", mailboxes}, {"local_", mailboxes}, {"mailbox_", mailboxes}, {"home_mailbox", mailboxes}, {"virtual_mailbox_", mailboxes},
		{"relay_domains", "who sends to these must be in listen[].allow or have authenticated: strangers are refused"},
		{"inet_protocols", "listen[].address"},
		{"maillog_file", "the log goes to stderr, and so to the journal"},
	}
}
