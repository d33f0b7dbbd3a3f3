// Package admin is the operator's API over the ports of package relay: JSON over HTTP on a
// Unix socket that only its owner can open, and a client for it. Besides the socket it can
// serve a loopback address, for reading only.
package admin
