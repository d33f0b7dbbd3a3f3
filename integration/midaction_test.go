package integration_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/smtp"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"postrider/integration"
)

// midAction is a bulk action that the relay is killed in.
type midAction struct {
	name string
	args []string
	// before makes a thing that is there to be changed.
	before []string
	// done says that the action was done to a message, of which these are the deliveries that are left.
	done func(left []delivery) bool
	// arrives says that the mail arrives at its recipients in the end.
	arrives bool
}

// delivery is what the API tells of one.
type delivery struct {
	ID, Sender, State, Destination, Reason string
	Part, Attempts                         int
	Due                                    time.Time
}

// every says that a message has both its deliveries, and that each is so.
func every(is func(d delivery) bool) func([]delivery) bool {
	return func(left []delivery) bool {
		return len(left) == 2 && !slices.ContainsFunc(left, func(d delivery) bool { return !is(d) })
	}
}

func gone(left []delivery) bool { return len(left) == 0 }

func midActions() []midAction {
	held := func(d delivery) bool { return d.State == "held" }
	return []midAction{
		{name: "hold", done: every(held)},
		{name: "release", before: []string{"hold"}, done: every(func(d delivery) bool { return !held(d) }), arrives: true},
		// One that is due may be tried on a connection that the host has left behind, and is deferred once more.
		{name: "retry", done: every(func(d delivery) bool { return d.Due.Before(time.Now()) || d.Attempts > 1 }), arrives: true},
		{name: "delete", done: gone},
		{name: "bounce", done: gone},
		{name: "reroute", args: []string{"--to", "around"}, done: every(func(d delivery) bool { return d.Destination == "around" }), arrives: true},
	}
}

// Killed in the middle of a bulk action, the relay has done it to each message wholly or not at all; the
// journal says whose action it was and that it was broken off; the same command does the rest,
// and in the end each message has met its end once.
func TestKillMidAction(t *testing.T) {
	t.Parallel()
	for i, a := range midActions() {
		t.Run(a.name, func(t *testing.T) {
			t.Parallel()
			// Its port is left free while it is down, and relays that start must not come by it.
			newCrashedAction(t, a, fmt.Sprintf("127.0.1.%d:0", i+1)).test(t)
		})
	}
}

// crashedAction is one of them under way.
type crashedAction struct {
	midAction
	ctx   context.Context
	relay *integration.Relay
	api   http.Client
	// host is where all routes lead.
	host string
	n    int
}

// newCrashedAction has a relay with messages of two deliveries each, which were refused for now by a host
// at the address that is down since.
func newCrashedAction(t *testing.T, a midAction, host string) *crashedAction {
	t.Helper()
	c := &crashedAction{midAction: a, ctx: within(t, 2*time.Minute), n: scaled(100, 2000)}
	busy := newSink(t, c.ctx, host, "--reject", "rcpt:451 4.2.1 not now")
	c.host = busy.Addr()
	config := "retry: {first: 1h, max: 2h}\nroutes:\n"
	for _, route := range []string{"one", "two", "back", "around"} {
		config += fmt.Sprintf("  - {name: %s, when: 'recipient.domain == \"%s.test\"', hosts: [%q]}\n", route, route, c.host)
	}
	c.relay = newRelay(t, config)
	socket := filepath.Join(filepath.Dir(c.relay.Config), "admin.sock")
	c.api.Transport = &http.Transport{DisableKeepAlives: true, DialContext: func(context.Context, string, string) (net.Conn, error) { return net.Dial("unix", socket) }}
	start(t, c.ctx, c.relay)
	c.fill(t)
	busy.Kill()
	return c
}

// fill sends the messages, each from a sender of its own, and waits until all are deferred.
func (c *crashedAction) fill(t *testing.T) {
	t.Helper()
	client, err := smtp.Dial(c.relay.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for i := range c.n {
		err := errors.Join(client.Mail(fmt.Sprintf("s%d@back.test", i)), client.Rcpt(fmt.Sprintf("u%d@one.test", i)), client.Rcpt(fmt.Sprintf("u%d@two.test", i)))
		if err != nil {
			t.Fatal(err)
		}
		w, err := client.Data()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Fprintf(w, "From: <s%d@back.test>\r\nSubject: x\r\n\r\ntext\r\n", i); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "all to be deferred", func() bool {
		all := c.queue(t)
		return len(all) == 2*c.n && !slices.ContainsFunc(all, func(d delivery) bool { return d.State != "deferred" })
	})
}

// get asks the API.
func (c *crashedAction) get(t *testing.T, path string) []byte {
	t.Helper()
	resp, err := c.api.Get("http://relay" + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// queue is all of the queue that a message of ours is, not what notices there are.
func (c *crashedAction) queue(t *testing.T) (all []delivery) {
	t.Helper()
	for line := range bytes.Lines(c.get(t, "/v1/queue")) {
		var d delivery
		if err := json.Unmarshal(line, &d); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if d.Sender != "" {
			all = append(all, d)
		}
	}
	return all
}

// messages are the deliveries in the queue by the message's sender.
func (c *crashedAction) messages(t *testing.T) map[string][]delivery {
	t.Helper()
	all := make(map[string][]delivery, c.n)
	for i := range c.n {
		all[fmt.Sprintf("s%d@back.test", i)] = nil
	}
	for _, d := range c.queue(t) {
		all[d.Sender] = append(all[d.Sender], d)
	}
	if len(all) != c.n {
		t.Errorf("%d messages in the queue, and %d were sent", len(all), c.n)
	}
	return all
}

// command is the action.
func (c *crashedAction) command(name string, args ...string) []string {
	return append([]string{"queue", name, "--sender", "*@back.test", "--reason", "a test"}, args...)
}

// test kills the relay, once or many times, and then has the action done.
func (c *crashedAction) test(t *testing.T) {
	for _, name := range c.before {
		ask(t, c.ctx, c.relay, " deliveries ", c.command(name)...)
	}
	order := c.order(t)
	kills := 0
	for range scaled(1, 20) {
		if len(order) == 0 {
			break
		}
		watched := order[rand.IntN((3*len(order)+3)/4)]
		order = c.killAt(t, watched)
		kills++
	}
	ask(t, c.ctx, c.relay, " deliver", c.command(c.name, c.args...)...)
	c.relay.Kill() // what was answered is on disk
	start(t, c.ctx, c.relay)
	if half := c.undone(t); len(half) != 0 {
		t.Errorf("%d messages are not changed, such as %s", len(half), half[0])
	}
	c.checkJournal(t, kills)
	c.checkEnds(t)
}

// order are the queue ids, in the order in which the action comes to them.
func (c *crashedAction) order(t *testing.T) (ids []string) {
	t.Helper()
	for _, d := range c.queue(t) {
		if n := len(ids); n == 0 || ids[n-1] != d.ID {
			ids = append(ids, d.ID)
		}
	}
	return ids
}

// killAt gives the command and kills the relay when the message has changed. Then each message is
// changed or not; those that are not come back.
func (c *crashedAction) killAt(t *testing.T, id string) []string {
	t.Helper()
	before := c.get(t, "/v1/queue/"+id)
	ended := make(chan string)
	go func() {
		out, _ := c.relay.Command(c.ctx, c.command(c.name, c.args...)...)
		ended <- out
	}()
	for bytes.Equal(c.get(t, "/v1/queue/"+id), before) {
		select {
		case out := <-ended:
			t.Fatalf("it ended without a change of %s: %s", id, out)
		default:
		}
	}
	c.relay.Kill()
	<-ended
	start(t, c.ctx, c.relay)
	undone := c.undone(t)
	t.Logf("killed when %d of %d messages had been changed", c.n-len(undone), c.n)
	return undone
}

// undone are the messages that are as they were. None may be changed by half.
func (c *crashedAction) undone(t *testing.T) (ids []string) {
	t.Helper()
	for sender, left := range c.messages(t) {
		switch {
		case c.done(left):
		case len(left) != 2 || c.done([]delivery{left[0], left[0]}) || c.done([]delivery{left[1], left[1]}):
			t.Errorf("%s is changed by half: %+v", sender, left)
		default:
			ids = append(ids, left[0].ID)
		}
	}
	slices.Sort(ids)
	return ids
}

// checkJournal wants each of the commands in it, and those that were killed marked.
func (c *crashedAction) checkJournal(t *testing.T, kills int) {
	t.Helper()
	var journal []struct {
		Action, Author, Reason string
		Changed                int
		BrokenOff              bool `json:"broken_off"`
		UnderWay               bool `json:"under_way"`
	}
	if err := json.Unmarshal(c.get(t, "/v1/journal"), &journal); err != nil {
		t.Fatal(err)
	}
	broken, changed := 0, 0
	for _, e := range journal {
		if e.Action != c.name || e.Reason != "a test" || e.Author == "" || e.UnderWay {
			if !slices.Contains(c.before, e.Action) {
				t.Errorf("journal: %+v", e)
			}
			continue
		}
		changed += e.Changed
		if e.BrokenOff {
			broken++
		}
	}
	if broken > kills || changed > 2*c.n || broken == 0 && changed != 2*c.n {
		t.Errorf("%d commands broken off by %d kills, %d deliveries changed of %d: %+v", broken, kills, changed, 2*c.n, journal)
	}
}

// checkEnds lets the mail go, and wants each message to end as it should, once.
func (c *crashedAction) checkEnds(t *testing.T) {
	t.Helper()
	sink := newSink(t, c.ctx, c.host)
	if c.name == "hold" {
		ask(t, c.ctx, c.relay, " released", c.command("release")...)
	}
	ask(t, c.ctx, c.relay, "", "queue", "retry", "--all", "--reason", "the hosts are up")
	eventually(t, "the queue to be empty", func() bool { return len(bytes.TrimSpace(c.get(t, "/v1/queue"))) == 0 })
	got := make(map[string]int)
	for _, m := range sink.Received() {
		for _, to := range m.To {
			got[to]++
		}
	}
	for i := range c.n {
		want := map[string]int{fmt.Sprintf("u%d@one.test", i): 0, fmt.Sprintf("u%d@two.test", i): 0, fmt.Sprintf("s%d@back.test", i): 0}
		for to := range want {
			if c.name == "bounce" && strings.HasPrefix(to, "s") || (c.arrives || c.name == "hold") && strings.HasPrefix(to, "u") {
				want[to] = 1
			}
			if got[to] != want[to] {
				t.Errorf("%s got %d messages, want %d", to, got[to], want[to])
			}
		}
	}
	c.checkHistory(t)
}

// checkHistory wants one end for each recipient in the history.
func (c *crashedAction) checkHistory(t *testing.T) {
	t.Helper()
	end := map[string]string{"delete": "deleted", "bounce": "bounced"}[c.name]
	if end == "" {
		end = "delivered"
	}
	for i := range scaled(20, c.n) {
		var life struct {
			Events []struct {
				Event      string
				Recipients []string
			}
		}
		if err := json.Unmarshal(c.get(t, fmt.Sprintf("/v1/trace?sender=s%d@back.test", i)), &life); err != nil {
			t.Fatal(err)
		}
		ends := 0
		for _, e := range life.Events {
			if e.Event == end {
				ends += len(e.Recipients)
			}
		}
		if ends != 2 {
			t.Errorf("message %d has %d ends as %s, want 2: %+v", i, ends, end, life.Events)
		}
	}
}
