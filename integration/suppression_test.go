package integration_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A next hop's 550 5.1.1 suppresses the recipient: the next RCPT is refused, also after kill -9, until
// an operator takes him off the list. What is refused for another reason is not suppressed.
func TestSuppression(t *testing.T) {
	t.Parallel()
	ctx := within(t, 2*time.Minute)
	sink := newSink(t, ctx, "127.0.0.1:0", "--reject", "rcpt:550 5.1.1 No such user here")
	strict := newSink(t, ctx, "127.0.0.1:0", "--reject", "rcpt:550 5.7.1 Not from you")
	relay := newRelay(t, "suppression: {keep: 90d}\nroutes:\n"+
		"  - {name: strict, when: 'recipient.domain == \"strict.test\"', hosts: [\""+strict.Addr()+"\"]}\n"+
		"  - {name: next, hosts: [\""+sink.Addr()+"\"]}\n")
	start(t, ctx, relay)
	refused := func(to string) string {
		if err := send(relay.Addr(), "ann@one.test", to); err != nil {
			return err.Error()
		}
		return ""
	}
	for _, to := range []string{"bob@two.test", "bob@strict.test"} {
		if text := refused(to); text != "" {
			t.Fatalf("before anything is known: %s", text)
		}
	}
	const because = "5.1.1 Recipient suppressed here since "
	known := func() bool { return strings.Contains(refused("Bob@two.test"), because) }
	eventually(t, "the suppression", known)
	eventually(t, "the other bounce", func() bool {
		out, err := relay.Command(ctx, "trace", "--recipient", "bob@strict.test")
		return err == nil && strings.Contains(out, "bounced")
	})
	if text := refused("bob@strict.test"); text != "" {
		t.Errorf("of another class: %s", text)
	}
	says(t, ctx, relay, "1 is suppressed; 0 were before.", "suppression", "add", "cid@two.test", "--reason", "asked for it")
	says(t, ctx, relay, "1 would be suppressed", "suppression", "add", "dan@two.test", "--reason", "no", "--dry-run")
	says(t, ctx, relay, "Answer to RCPT: 550 5.7.1 Recipient suppressed", "explain", "--suppressions", "--offline", "--from", "ann@one.test", "--to", "cid@two.test")
	says(t, ctx, relay, "Answer to DATA: 250", "explain", "--offline", "--from", "ann@one.test", "--to", "cid@two.test")
	relay.Kill()
	start(t, ctx, relay)
	if text := refused("bob@two.test"); !strings.Contains(text, because) || !strings.Contains(text, "No such user here") {
		t.Errorf("after the crash: %q", text)
	}
	if text := refused("cid@two.test"); !strings.Contains(text, "5.7.1 Recipient suppressed") || !strings.Contains(text, "asked for it") {
		t.Errorf("an operator's: %q", text)
	}
	out, err := relay.Command(ctx, "suppression", "export")
	if err != nil || strings.Count(out, "\n") != 2 {
		t.Fatalf("exported %q, %v", out, err)
	}
	says(t, ctx, relay, "1 is suppressed no longer; 0 were", "suppression", "remove", "bob@two.test", "--reason", "he is back")
	if text := refused("bob@two.test"); text != "" {
		t.Errorf("taken off: %s", text)
	}
	says(t, ctx, relay, "1 is suppressed no longer", "suppression", "remove", "cid@two.test")
	file := filepath.Join(t.TempDir(), "list")
	write(t, file, out)
	says(t, ctx, relay, "suppressed", "suppression", "import", file, "--reason", "from a copy")
	if text := refused("cid@two.test"); !strings.Contains(text, "asked for it") {
		t.Errorf("imported: %q", text)
	}
	says(t, ctx, relay, "unsuppress", "journal")
	says(t, ctx, relay, "\"address\":\"cid@two.test\"", "suppression", "list", "c*", "--json")
}
