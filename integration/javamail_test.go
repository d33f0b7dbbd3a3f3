package integration_test

import (
	"context"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"postrider/integration"
)

// javaMail is where Debian has it.
var javaMail = []string{"/usr/share/java/jakarta-mail.jar", "/usr/share/java/jakarta-activation.jar"}

// sendJavaMail has one program send a message in every way: a start of Java costs a second.
func sendJavaMail(t *testing.T, ctx context.Context, relay *integration.Relay, sink *integration.Sink, ca string) {
	needs(t, "java")
	if _, err := os.Stat(javaMail[0]); err != nil {
		missing(t, "JavaMail is not installed: apt-get install libjakarta-mail-java")
	}
	args := []string{
		"-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", strings.Join(javaMail, ":"),
		"testdata/Send.java", "localhost", ca, "b@example.net",
	}
	for _, way := range ways {
		_, port, err := net.SplitHostPort(relay.AddrOf(way))
		if err != nil {
			t.Fatal(err)
		}
		args = append(args, way, port, "javamail."+way+"@example.com")
	}
	if out, err := exec.CommandContext(ctx, "java", args...).CombinedOutput(); err != nil {
		t.Fatalf("java: %v\n%s", err, out)
	}
	for _, way := range ways {
		arrived := func(all []integration.Received) bool {
			return slices.ContainsFunc(all, func(m integration.Received) bool { return m.From == "javamail."+way+"@example.com" })
		}
		if err := sink.Await(ctx, "the message of JavaMail by "+way, arrived); err != nil {
			t.Fatal(err)
		}
	}
}
