// Package admin is the operator's API over the ports of package relay: JSON over HTTP on a
// Unix socket that only its owner can open, and a client for it. Besides the socket it can
// serve an address: for reading on loopback, and for those who have a token. openapi.yaml
// describes it. Metrics and Events are observers whose facts it shows.
package admin
