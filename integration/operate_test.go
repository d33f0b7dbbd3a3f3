package integration_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"os/user"
	"strings"
	"testing"
	"time"

	"postrider/integration"
)

// ask runs a command and wants its output to contain something.
func ask(t *testing.T, ctx context.Context, r *integration.Relay, want string, args ...string) string {
	t.Helper()
	out, err := r.Command(ctx, args...)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out, want) {
		t.Errorf("postrider %q says %q, want %q in it", args, out, want)
	}
	return out
}

// userName is as whom a relay knows us over its socket.
func userName(t *testing.T) string {
	t.Helper()
	u, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	return u.Username
}

// One who is on call finds mail, holds it, lets it go, returns it and removes it, by hand.
func TestOperateQueue(t *testing.T) {
	t.Parallel()
	ctx := within(t, time.Minute)
	port, err := integration.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	dead := fmt.Sprintf("127.0.0.1:%d", port)
	relay := startRelay(t, ctx, smartHost(dead))
	for i := range 10 {
		sender := []string{"shop@one.test", "desk@two.test"}[i%2]
		if err := send(relay.Addr(), sender, fmt.Sprintf("user%d@example.net", i)); err != nil {
			t.Fatal(err)
		}
	}
	me := userName(t)
	why := []string{"--reason", "a test", "--author", "anna"}
	ask(t, ctx, relay, "5 deliveries would be held, of 10", append([]string{"queue", "hold", "--sender", "*@one.test", "--dry-run"}, why...)...)
	ask(t, ctx, relay, "5 deliveries held", append([]string{"queue", "hold", "--sender", "*@one.test"}, why...)...)
	ask(t, ctx, relay, "(given as anna): a test", "queue", "list", "--state", "held")
	if list := ask(t, ctx, relay, " Kbytes in 10 Requests", "queue", "list", "--postfix"); strings.Count(list, "!") != 5 {
		t.Errorf("held mail is not marked:\n%s", list)
	}
	ask(t, ctx, relay, "1 delivery deleted", append([]string{"queue", "delete", "--recipient", "user0@*"}, why...)...)
	ask(t, ctx, relay, "TOTAL", "stats")
	ask(t, ctx, relay, "9 deliveries, ", "dest", "show", "next")
	ask(t, ctx, relay, "next is paused", append([]string{"dest", "pause", "next"}, why...)...)
	ask(t, ctx, relay, "(given as anna): a test", "queue", "list", "--sender", "desk@*")
	ask(t, ctx, relay, "(given as anna): a test", "dest", "limits", "next")
	ask(t, ctx, relay, `"binding":"pause"`, "dest", "limits", "next", "--json")

	sink := newSink(t, ctx, dead)
	ask(t, ctx, relay, "next is resumed", "dest", "resume", "next")
	ask(t, ctx, relay, "next ", "dest", "retry", "next")
	err = sink.Await(ctx, "what is not held", func(all []integration.Received) bool { return len(all) >= 5 })
	if err != nil {
		t.Fatal(err)
	}
	ask(t, ctx, relay, "4 deliveries released", append([]string{"queue", "release", "--all"}, why...)...)
	err = sink.Await(ctx, "what was held", func(all []integration.Received) bool { return len(all) >= 9 })
	if err != nil {
		t.Fatal(err)
	}
	ask(t, ctx, relay, "delete   1 delivery, by "+me+" (given as anna): a test", "journal")
	ask(t, ctx, relay, "delivered <user1@example.net>", "trace", "--recipient", "User1@example.net")
	ask(t, ctx, relay, "deleted   <user0@example.net>", "trace", "--recipient", "user0@example.net", "--sender", "shop@one.test")
	if out, err := relay.Command(ctx, "trace", "--recipient", "nobody@example.net"); err == nil {
		t.Errorf("nobody is found: %s", out)
	}
}

// What happens is seen as it happens, and counted.
func TestOperateWatch(t *testing.T) {
	t.Parallel()
	ctx := within(t, time.Minute)
	sink := newSink(t, ctx, "127.0.0.1:0")
	relay := startRelay(t, ctx, smartHost(sink.Addr()))
	events := make(chan map[string]any, 1000)
	tail, err := integration.Start(exec.Command(relay.Binary, "tail", "--json", "--event", "delivered", "--recipient", "*@example.net", "--config", relay.Config), func(line string) {
		var e map[string]any
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Errorf("%q: %v", line, err)
		}
		events <- e
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tail.Kill)
	var seen map[string]any
	for seen == nil { // tail says nothing before it sees something
		if err := send(relay.Addr(), "a@one.test", "b@example.net"); err != nil {
			t.Fatal(err)
		}
		select {
		case seen = <-events:
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("no event: %q", tail.Lines())
		}
	}
	for field, want := range map[string]any{"to": "b@example.net", "from": "a@one.test", "code": 250.0, "destination": "next"} {
		if seen[field] != want {
			t.Errorf("%s is %v, want %v", field, seen[field], want)
		}
	}
}
