package integration_test

import (
	"errors"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"postrider/integration"
)

// A disk that fills up: new mail gets 452 4.3.1, nothing is lost, and when there is room
// again the relay goes on by itself (conformance X04).
func TestFullDisk(t *testing.T) {
	t.Parallel()
	ctx := within(t, 2*time.Minute)
	disk := ramDisk(t, 600<<20)
	sink := newSink(t, ctx, "127.0.0.1:0", "--delay", "dot:200ms")
	relay := newRelay(t, smartHost(sink.Addr()))
	onDisk(t, relay, disk)
	start(t, ctx, relay)
	_, ids := runLoad(t, ctx, relay.Addr(), 300)

	for _, left := range []int64{100 << 20, 1 << 20, 0} {
		if err := disk.Fill(left); err != nil {
			t.Fatal(err)
		}
		awaitReply(t, relay, 452)
		if err := disk.Clear(); err != nil {
			t.Fatal(err)
		}
		awaitReply(t, relay, 0)
	}
	_, more := runLoad(t, ctx, relay.Addr(), 50)
	ids = append(ids, more...)
	awaitAll(t, ctx, sink, ids)
	select {
	case <-relay.Done():
		t.Error("the relay ended")
	default:
	}
}

// ramDisk mounts a small file system in memory. It is made before the relay on it, so that it is
// unmounted after the relay's end.
func ramDisk(t *testing.T, size int64) *integration.Disk {
	t.Helper()
	disk, err := integration.NewRAMDisk(folder(t), size)
	if errors.Is(err, integration.ErrNoMount) {
		missing(t, err.Error())
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := disk.Close(); err != nil {
			t.Error(err)
		}
	})
	return disk
}

// onDisk moves the data of the relay to the disk.
func onDisk(t *testing.T, relay *integration.Relay, disk *integration.Disk) {
	t.Helper()
	config, err := os.ReadFile(relay.Config)
	if err != nil {
		t.Fatal(err)
	}
	here, there := filepath.Join(filepath.Dir(relay.Config), "data"), filepath.Join(disk.Dir, "data")
	moved := strings.Replace(string(config), here, there, 1)
	if err := os.WriteFile(relay.Config, []byte(moved), 0o600); err != nil {
		t.Fatal(err)
	}
}

// awaitReply sends messages until the server answers with the code, 0 meaning that it
// accepts. Any other refusal, and any other end of the connection, is a failure.
func awaitReply(t *testing.T, relay *integration.Relay, code int) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); {
		err := send(relay.Addr(), "probe@example.com", "probe@example.net")
		var reply *textproto.Error
		switch {
		case err == nil && code == 0:
			return
		case errors.As(err, &reply) && reply.Code == 452:
			if !strings.HasPrefix(reply.Msg, "4.3.1") {
				t.Errorf("refused with %v, want 452 4.3.1", reply)
			}
			if code == 452 {
				return
			}
		case err != nil:
			t.Fatalf("the disk is full or was: %v", err)
		}
		time.Sleep(50 * time.Millisecond) // the relay looks at its disk in its own time
	}
	t.Fatalf("no %d in time", code)
}
