package transcript_test

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"postrider/relay"
	"postrider/relay/transcript"
)

// run starts a book in the bubble. What is given back ends it.
func run(t *testing.T, o transcript.Options) (b *transcript.Book, stop func()) {
	t.Helper()
	o.Now = time.Now
	b = transcript.New(o)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	return b, func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

func order(o transcript.Order) transcript.Order {
	o.Author, o.Reason = "ann", "a test"
	return o
}

func text(t *testing.T, b *transcript.Book, id string) string {
	t.Helper()
	var out bytes.Buffer
	if err := b.CopyTo(t.Context(), &out, id, false, func() {}); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func client(listener, addr string) relay.Talk {
	return relay.Talk{Listener: listener, Client: netip.MustParseAddr(addr)}
}

func hop(to, host, addr string) relay.Talk {
	return relay.Talk{To: relay.ParseDestination(to), Host: host, Addr: addr}
}

// Sessions are those that were ordered and no others.
func TestSelection(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		order    transcript.Order
		talk     relay.Talk
		selected bool
	}{
		{"a client", transcript.Order{Client: "192.0.2.1"}, client("mx", "192.0.2.1"), true},
		{"another client", transcript.Order{Client: "192.0.2.1"}, client("mx", "192.0.2.2"), false},
		{"a network", transcript.Order{Client: "192.0.2.77/24"}, client("mx", "192.0.2.2"), true},
		{"an IPv6 network", transcript.Order{Client: "2001:db8::/32"}, client("mx", "2001:db8::1"), true},
		{"a client without an address", transcript.Order{Client: "0.0.0.0/0"}, relay.Talk{Listener: "mx"}, false},
		{"a listener", transcript.Order{Listener: "sub*"}, client("submission", "192.0.2.1"), true},
		{"a client at another listener", transcript.Order{Listener: "mx", Client: "192.0.2.1"}, client("submission", "192.0.2.1"), false},
		{"a client is no next hop", transcript.Order{Client: "192.0.2.1"}, hop("internet/a.test", "mx.a.test", "192.0.2.1:25"), false},
		{"a destination", transcript.Order{Destination: "internet/*.test"}, hop("internet/a.test", "mx.a.test", "192.0.2.1:25"), true},
		{"another destination", transcript.Order{Destination: "internet/b.test"}, hop("internet/a.test", "mx.a.test", "192.0.2.1:25"), false},
		{"a host", transcript.Order{Host: "MX.a.test"}, hop("internet/a.test", "mx.a.test", "192.0.2.1:25"), true},
		{"an address", transcript.Order{Host: "192.0.2.1:*"}, hop("internet/a.test", "mx.a.test", "192.0.2.1:25"), true},
		{"a next hop is no client", transcript.Order{Destination: "*"}, client("mx", "192.0.2.1"), false},
		{"either side", transcript.Order{Destination: "next", Client: "192.0.2.1"}, hop("next", "mx", "192.0.2.9:25"), true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := transcript.New(transcript.Options{Dir: t.TempDir(), Now: time.Now})
			if b.Transcribe(test.talk) != nil {
				t.Fatal("taken down before anybody asked")
			}
			if _, err := b.Start(order(test.order)); err != nil {
				t.Fatal(err)
			}
			if got := b.Transcribe(test.talk) != nil; got != test.selected {
				t.Errorf("taken down: %v, want %v", got, test.selected)
			}
		})
	}
}

func TestOrder(t *testing.T) {
	t.Parallel()
	b := transcript.New(transcript.Options{Dir: filepath.Join(t.TempDir(), "made", "later"), Now: time.Now, Most: 1})
	for name, o := range map[string]transcript.Order{
		"nothing":      order(transcript.Order{}),
		"no author":    {Listener: "mx", Reason: "x"},
		"no reason":    {Listener: "mx", Author: "x"},
		"no client":    order(transcript.Order{Client: "mx.example"}),
		"too long":     order(transcript.Order{Listener: "mx", For: 25 * time.Hour}),
		"too large":    order(transcript.Order{Listener: "mx", Size: 1 << 40}),
		"negative":     order(transcript.Order{Listener: "mx", For: -1}),
		"a minus size": order(transcript.Order{Listener: "mx", Size: -1}),
	} {
		if _, err := b.Start(o); !errors.Is(err, transcript.ErrOrder) {
			t.Errorf("%s: %v, want %v", name, err, transcript.ErrOrder)
		}
	}
	info, err := b.Start(order(transcript.Order{Listener: "mx"}))
	if err != nil || info.Size != transcript.DefaultSize || info.Until.Sub(info.Begun) != transcript.DefaultTime {
		t.Errorf("%+v, %v", info, err)
	}
	if _, err := b.Start(order(transcript.Order{Listener: "mx"})); !errors.Is(err, transcript.ErrOrder) {
		t.Errorf("one more than there may be: %v", err)
	}
	if _, err := b.Stop("../../etc/passwd", "ann"); !errors.Is(err, transcript.ErrUnknown) {
		t.Errorf("a path: %v", err)
	}
	if err := b.CopyTo(t.Context(), &bytes.Buffer{}, "../../etc/passwd", false, func() {}); !errors.Is(err, transcript.ErrUnknown) {
		t.Errorf("a path: %v", err)
	}
}

// What is said goes to a file that is the owner's alone, until the time is over.
func TestTime(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b, stop := run(t, transcript.Options{Dir: dir})
		defer stop()
		info, err := b.Start(order(transcript.Order{Listener: "mx", For: time.Minute}))
		if err != nil {
			t.Fatal(err)
		}
		x := b.Transcribe(client("mx", "192.0.2.1"))
		x.Command(relay.Them, "NOOP")
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if got := text(t, b, info.ID); !strings.Contains(got, "s1 ** from 192.0.2.1 at listener mx\n") || !strings.Contains(got, "s1 <- NOOP\n") {
			t.Errorf("got %q", got)
		}
		stat, err := os.Stat(filepath.Join(dir, info.ID+".txt"))
		if err != nil || stat.Mode().Perm() != 0o600 {
			t.Errorf("mode %v, %v", stat.Mode(), err)
		}
		time.Sleep(31 * time.Second)
		synctest.Wait()
		x.Command(relay.Them, "RSET") // the session goes on
		x.End()
		if b.Transcribe(client("mx", "192.0.2.1")) != nil {
			t.Error("a session is taken down when the time is over")
		}
		all, err := b.List()
		if err != nil || len(all) != 1 || all[0].Ended.IsZero() || all[0].Why != "its time is over" || all[0].Sessions != 1 {
			t.Errorf("%+v, %v", all, err)
		}
		if got := text(t, b, info.ID); strings.Contains(got, "RSET") {
			t.Errorf("something was taken down after the end: %q", got)
		}
	})
}

// A file has its size and no more, and what it has are whole lines.
func TestSize(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b, stop := run(t, transcript.Options{Dir: dir})
		defer stop()
		info, err := b.Start(order(transcript.Order{Listener: "mx", Size: 2000}))
		if err != nil {
			t.Fatal(err)
		}
		x := b.Transcribe(client("mx", "192.0.2.1"))
		for range 100 {
			x.Command(relay.Them, "NOOP")
		}
		time.Sleep(time.Second)
		synctest.Wait()
		got := text(t, b, info.ID)
		if len(got) > 2000 || len(got) < 1900 || !strings.HasSuffix(got, "NOOP\n") {
			t.Errorf("%d bytes that end in %q", len(got), got[len(got)-20:])
		}
		if all, err := b.List(); err != nil || all[0].Why != "it has its full size" {
			t.Errorf("%+v, %v", all, err)
		}
	})
}

// Who reads along sees what is said, and the end.
func TestFollow(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b, stop := run(t, transcript.Options{Dir: dir})
		defer stop()
		info, err := b.Start(order(transcript.Order{Destination: "next"}))
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		ended := make(chan error, 1)
		go func() { ended <- b.CopyTo(t.Context(), &out, info.ID, true, func() {}) }()
		x := b.Transcribe(hop("next", "mx.a.test", "192.0.2.1:25"))
		x.Command(relay.Us, "EHLO relay.test")
		time.Sleep(time.Second)
		x.Command(relay.Us, "QUIT")
		x.End()
		if was, err := b.Stop(info.ID, "bob"); !was || err != nil {
			t.Errorf("stop: %v, %v", was, err)
		}
		if was, err := b.Stop(info.ID, "bob"); was || err != nil {
			t.Errorf("stop again: %v, %v", was, err)
		}
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"** to mx.a.test 192.0.2.1:25 for next\n", "-> EHLO relay.test\n", "-> QUIT\n", "** closed\n"} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%q lacks %q", out.String(), want)
			}
		}
	})
}

// A restart ends what was being made, and keeps it. The oldest go when there are too many.
func TestRestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "not-ours.txt"), []byte("# {\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		var ids []string
		for range 4 {
			b, stop := run(t, transcript.Options{Dir: dir, Kept: 3})
			info, err := b.Start(order(transcript.Order{Listener: "mx"}))
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, info.ID)
			stop()
			time.Sleep(time.Second)
		}
		b := transcript.New(transcript.Options{Dir: dir, Now: time.Now})
		all, err := b.List()
		if err != nil || len(all) != 3 {
			t.Fatalf("%+v, %v", all, err)
		}
		for i, info := range all {
			if info.ID != ids[i+1] || info.Author != "ann" || info.Listener != "mx" || info.Ended.IsZero() || info.Bytes == 0 {
				t.Errorf("%+v, want %s", info, ids[i+1])
			}
		}
		if got := text(t, b, ids[3]); !strings.HasPrefix(got, "# {") {
			t.Errorf("%q", got)
		}
	})
}

// A disk that cannot be written ends the transcript, is reported, and holds up nobody.
func TestDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Symlink("/dev/full", filepath.Join(dir, "full")); err != nil {
		t.Fatal(err)
	}
	b := transcript.New(transcript.Options{Dir: filepath.Join(dir, "full"), Now: time.Now})
	if _, err := b.Start(order(transcript.Order{Listener: "mx"})); err == nil || errors.Is(err, transcript.ErrOrder) {
		t.Errorf("a directory that cannot be made: %v", err)
	}
	// Nobody runs the book: nothing is written, and what is said beyond the buffer is lost and counted.
	b = transcript.New(transcript.Options{Dir: dir, Now: time.Now})
	if _, err := b.Start(order(transcript.Order{Listener: "mx"})); err != nil {
		t.Fatal(err)
	}
	x := b.Transcribe(client("mx", "192.0.2.1"))
	for range 300 {
		x.Answer(relay.Us, strings.Repeat("x", 1500))
	}
	if all, err := b.List(); err != nil || all[0].Lost == 0 {
		t.Errorf("%+v, %v", all, err)
	}
}
