// Package auth decides who may send mail: it runs SASL exchanges (PLAIN, LOGIN,
// SCRAM-SHA-256) against a users file, an LDAP directory and an HTTP service, slows down
// those who guess, and holds users to the senders and rates that they are given. It knows
// nothing of SMTP sessions but the replies that they are to give.
package auth
