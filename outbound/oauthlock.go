package outbound

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// lockPoll is how often a lock that another process has is asked for again.
const lockPoll = 50 * time.Millisecond

// lockToken keeps other processes from the token files of the directory until the function that it
// returns is called: the relay, a sign-in and a check of the accounts may run at once. A process
// that dies gives its locks up. A file system without locks is used without.
func lockToken(ctx context.Context, name string) (unlock func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*tokenTimeout)
	defer cancel()
	dir, err := os.Open(filepath.Dir(name))
	if err != nil {
		return nil, err
	}
	tick := time.NewTicker(lockPoll)
	defer tick.Stop()
	for {
		err = syscall.Flock(int(dir.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case err == nil || errors.Is(err, syscall.ENOTSUP) || errors.Is(err, syscall.ENOLCK):
			return func() { dir.Close() }, nil
		case !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR):
			return nil, errors.Join(err, dir.Close())
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), dir.Close())
		}
	}
}
