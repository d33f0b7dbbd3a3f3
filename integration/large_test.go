package integration_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"postrider/integration"
)

// Messages of 50 MB pass through whole, and a session that carries one takes less than 4 MB.
func TestLargeMessages(t *testing.T) {
	t.Parallel()
	few, many, size := scaled(3, 5), scaled(8, 25), scaled(20_000_000, 49_000_000)
	ctx := within(t, 3*time.Minute)
	sink := newSink(t, ctx, "127.0.0.1:0")
	relay := startRelay(t, ctx, smartHost(sink.Addr()))
	send := func(messages, sessions int) []string {
		args := []string{"--size", fmt.Sprint(size), "--timeout", "2m", "--sessions", fmt.Sprint(sessions)}
		_, ids := runLoad(t, ctx, relay.Addr(), messages, args...)
		awaitAll(t, ctx, sink, ids)
		return ids
	}

	// Until the spool has the memory that it always has under load, then more sessions.
	ids := send(4*few, few)
	before := peakRSS(t, relay)
	ids = append(ids, send(many, many)...)
	checkOnce(t, sink, ids)

	each := (peakRSS(t, relay) - before) / int64(many-few)
	t.Logf("peak memory %d MB with %d sessions of %d MB each, and %.1f MB for each more", before>>20, few, size/1e6, float64(each)/(1<<20))
	if each > 4<<20 && !integration.Racing() {
		t.Errorf("a session takes %d bytes, want at most 4 MB", each)
	}
}

func peakRSS(t *testing.T, relay *integration.Relay) int64 {
	t.Helper()
	peak, err := relay.PeakRSS()
	if err != nil {
		t.Fatal(err)
	}
	return peak
}

// A message for a thousand recipients is one body on disk.
func TestThousandRecipients(t *testing.T) {
	t.Parallel()
	ctx := within(t, time.Minute)
	port, err := integration.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	relay := startRelay(t, ctx, smartHost(fmt.Sprintf("127.0.0.1:%d", port)))
	spool := filepath.Join(filepath.Dir(relay.Config), "data", "spool")
	before := usage(t, spool)
	const size = 4_000_000
	runLoad(t, ctx, relay.Addr(), 1, "--sessions", "1", "--recipients", "1000", "--size", fmt.Sprint(size))
	grown := usage(t, spool) - before
	t.Logf("the spool grew by %d bytes for a message of %d bytes to 1000 recipients", grown, size)
	// The log is written before tables are, so a body can be on disk twice for a while.
	if grown > 3*size {
		t.Errorf("the spool grew by %d bytes for one message of %d bytes", grown, size)
	}
}

// usage is the space that a folder's files take, as far as they are written.
func usage(t *testing.T, dir string) int64 {
	t.Helper()
	var total int64
	err := filepath.Walk(dir, func(_ string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().IsRegular() && filepath.Ext(info.Name()) != "" {
			total += info.Size()
		}
		return nil // files come and go meanwhile
	})
	if err != nil {
		t.Fatal(err)
	}
	return total
}
