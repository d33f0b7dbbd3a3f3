package integration_test

import (
	"fmt"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postrider/integration"
	"postrider/outbound/outboundtest"
)

// postgrey runs postgrey with a short memory, and gives its address.
func postgrey(t *testing.T, delay string) string {
	t.Helper()
	needs(t, "postgrey")
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	group, err := user.LookupGroupId(me.Gid)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	socket := filepath.Join(dir, "socket")
	p, err := integration.Start(exec.Command("postgrey", "--unix="+socket, "--dbdir="+dir, "--delay="+delay, "--hostname=relay.test",
		"--user="+me.Username, "--group="+group.Name, "--whitelist-clients=/dev/null", "--whitelist-recipients=/dev/null"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	awaitListening(t, p, "unix", socket)
	return "unix:" + socket
}

// postgrey, as it comes with Debian, has a recipient wait and lets it pass when its time has come, with
// its field in the message. When it is gone the mail waits at the client, or passes as configured.
func TestPolicyServicePostgrey(t *testing.T) {
	t.Parallel()
	address := postgrey(t, "1")
	ctx := within(t, time.Minute)
	peer := outboundtest.NewPeer(t, outboundtest.Script{})
	relay := newRelay(t, smartHost(peer.Addr()))
	rewrite(t, relay, `allow: ["127.0.0.0/8"]}`, fmt.Sprintf(`allow: ["127.0.0.0/8"], policy_service: [{name: postgrey, address: %q}]}`, address))
	start(t, ctx, relay)
	err := send(relay.Addr(), "ann@example.com", "b@example.net")
	if err == nil || !strings.HasPrefix(err.Error(), "450 ") || !strings.Contains(err.Error(), "4.2.0 Greylisted") {
		t.Fatalf("at first: %v, want 450 4.2.0 and Greylisted", err)
	}
	for err != nil {
		select {
		case <-time.After(300 * time.Millisecond): // postgrey's clock is the machine's
			err = send(relay.Addr(), "ann@example.com", "b@example.net")
		case <-ctx.Done():
			t.Fatalf("it never passes: %v", err)
		}
	}
	awaitCount(t, ctx, peer, 1)
	if content := string(peer.Messages()[0].Body); !strings.Contains(content, "\r\nX-Greylist: delayed ") {
		t.Errorf("without postgrey's field:\n%s", content)
	}

	rewrite(t, relay, address, dead(t))
	ask(t, ctx, relay, "listen[local].policy_service[postgrey].address", "reload")
	if err := send(relay.Addr(), "ann@example.com", "c@example.net"); err == nil || !strings.HasPrefix(err.Error(), "451 ") {
		t.Errorf("without postgrey: %v, want 451", err)
	}
	rewrite(t, relay, "policy_service: [{name: postgrey,", "policy_service: [{name: postgrey, failure: accept,")
	ask(t, ctx, relay, "listen[local].policy_service[postgrey].failure", "reload")
	if err := send(relay.Addr(), "ann@example.com", "c@example.net"); err != nil {
		t.Errorf("with failure: accept: %v", err)
	}
}
