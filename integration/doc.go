// Package integration runs the real postrider program as a process against real peers:
// Postfix before and behind it, smtp-source and smtp-sink, scripted SMTP and DNS servers. It
// crashes it, fills its disk and counts its fsyncs from outside.
//
// The harness in this package gives errors rather than failing a test, because the
// program in bench stands on it too. Everything is on loopback, on ports that the
// operating system chose, in temporary folders.
//
// The tests have a short form for every day and a long one with the numbers that the
// project promises:
//
//	go test ./integration/
//	POSTRIDER_LONG=1 go test -timeout 60m -v ./integration/
//
// Where a peer is not installed, a test says so and skips; with POSTRIDER_REQUIRE_PEERS=1
// that is a failure.
package integration
