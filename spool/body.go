package spool

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/cockroachdb/pebble/v2"

	"postrider/relay"
)

// errSeek says that a position is before the start of a body.
var errSeek = errors.New("seek before the start of the body")

// Body opens a message's body.
func (s *Spool) Body(ctx context.Context, m *relay.Message) (io.ReadSeekCloser, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	l, err := s.layoutOf(m)
	if err != nil {
		return nil, fmt.Errorf("body of message %s: %w", m.ID, err)
	}
	return &body{s: s, ctx: ctx, id: l.body, chunks: l.chunks, length: l.length}, nil
}

// body reads a body with one piece of it in memory, a copy: a slow reader must not keep
// Pebble's memory in use.
type body struct {
	s      *Spool
	ctx    context.Context
	id     relay.ID
	chunks uint32
	// tail is the end of a draft's body, which is not on disk yet.
	tail   []byte
	length int64

	at int64
	// piece is that of the number loaded-1.
	piece  []byte
	loaded int64
}

func (b *body) Read(p []byte) (int, error) {
	if b.at >= b.length {
		return 0, io.EOF
	}
	if len(p) == 0 {
		return 0, nil
	}
	n := b.at / chunkSize
	if n >= int64(b.chunks) {
		read := copy(p, b.tail[b.at-n*chunkSize:])
		b.at += int64(read)
		return read, nil
	}
	if err := b.load(n); err != nil {
		return 0, fmt.Errorf("read body %s: %w", b.id, err)
	}
	read := copy(p, b.piece[b.at-n*chunkSize:])
	b.at += int64(read)
	return read, nil
}

// load reads the n-th piece.
func (b *body) load(n int64) error {
	if b.loaded == n+1 {
		return nil
	}
	if err := b.s.enter(b.ctx); err != nil {
		return err
	}
	defer b.s.leave()
	b.loaded = 0
	key := chunkKey(b.id, uint32(n))
	piece, found := b.s.bodies.near(b.s, b.id, key, b.piece[:0])
	var err error
	if !found {
		piece, err = b.s.appendValue(piece, key)
	}
	if errors.Is(err, pebble.ErrNotFound) {
		return fmt.Errorf("%w: piece %d is missing", relay.ErrCorrupt, n)
	}
	if err != nil {
		return err
	}
	if want := min(b.length-n*chunkSize, chunkSize); int64(len(piece)) != want {
		return fmt.Errorf("%w: piece %d has %d bytes, not %d", relay.ErrCorrupt, n, len(piece), want)
	}
	b.piece, b.loaded = piece, n+1
	return nil
}

// Seek sets where the next Read begins.
func (b *body) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += b.at
	case io.SeekEnd:
		offset += b.length
	}
	if offset < 0 {
		return b.at, errSeek
	}
	b.at = offset
	return offset, nil
}

// Close frees the piece in memory.
func (b *body) Close() error {
	b.piece, b.loaded, b.length = nil, 0, 0
	return nil
}
