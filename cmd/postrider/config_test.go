package main

import (
	"net"
	"os"
	"path/filepath"
	"testing"
)

// Operators ask a relay that runs also while its file has faults; where none runs they are told of these.
func TestAskingWithFaults(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, socket := filepath.Join(dir, "postrider.yaml"), filepath.Join(dir, "admin.sock")
	if err := os.WriteFile(file, []byte("data: "+dir+"\nhostname: ${env:ONLY_THE_SERVICE_HAS_IT}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := configFlags{file: file}
	if got, err := f.adminSocket(); err == nil {
		t.Errorf("without a relay: got %q, want the fault", got)
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if got, err := f.adminSocket(); err != nil || got != socket {
		t.Errorf("with a relay: got %q, %v, want %q", got, err, socket)
	}
}
