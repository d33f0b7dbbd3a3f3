// Package relay is the ground floor of Postrider and tells its story: how mail is
// accepted and how it leaves again.
//
// The way in is the Receiver. A session begins a Transaction for each message; its Data
// method is the spine: draft, copy, stamp, policy, sign, group recipients by
// destination, one durable commit, wake the scheduler. Only then does the client read
// its 250.
//
// The way out is the Scheduler. It keeps a bin per destination, finds the site (the set
// of hosts) that a destination resolves to, and lets couriers, each the owner of one
// connection, drain the bins of their site. An attempt ends in one atomic Settle.
//
// Everything that touches disk, network or configuration stands behind a port that this
// package declares and others implement: Spool, Transport, Policy, Signer, Observer. It
// imports the standard library only.
package relay
