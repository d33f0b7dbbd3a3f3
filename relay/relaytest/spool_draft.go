package relaytest

import (
	"bytes"
	"context"
	"errors"
	"io"

	"postrider/relay"
)

// draft is a body that is not committed yet.
type draft struct {
	s    *Spool
	body []byte
	used bool
}

// errUsed is the answer to whatever is done with a draft after its end.
var errUsed = errors.New("the draft has ended")

func (d *draft) Write(p []byte) (int, error) {
	if d.used {
		return 0, errUsed
	}
	d.body = append(d.body, p...)
	return len(p), nil
}

func (d *draft) Body() (io.ReadSeekCloser, error) {
	if d.used {
		return nil, errUsed
	}
	return body{bytes.NewReader(d.body)}, nil
}

func (d *draft) Commit(ctx context.Context, m *relay.Message, ds []relay.Delivery, _ ...relay.Event) error {
	if d.used {
		return errUsed
	}
	d.used = true
	if err := ctx.Err(); err != nil {
		return err
	}
	d.s.mu.Lock()
	defer d.s.mu.Unlock()
	if d.s.full != nil {
		return d.s.full
	}
	if err := d.s.check(m, ds); err != nil {
		return err
	}
	d.s.add(m, d.body, ds)
	return nil
}

func (d *draft) Discard() { d.used = true }
