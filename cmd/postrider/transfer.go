package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"postrider/configs"
	"postrider/relay"
	"postrider/relay/admin"
	"postrider/spool"
)

// queueStore is a queue that messages are taken from and put into: a running relay's, or a spool
// that no relay has open.
type queueStore interface {
	// IDs yields the messages that are meant, in order of arrival; one may come more than once.
	IDs(ctx context.Context, selection admin.Selection) iter.Seq2[string, error]
	// Take is admin.Client's.
	Take(ctx context.Context, id string) (*admin.Record, io.ReadCloser, error)
	// Begin begins an import, as which Put puts messages in until End.
	Begin(ctx context.Context, change admin.Change) error
	Put(ctx context.Context, r *admin.Record, content io.Reader) (bool, error)
	End(ctx context.Context, whole bool) error
	Close() error
}

func openQueue(c *configs.Config) (queueStore, error) {
	if isRunning(c.Admin.Socket) {
		return &runningQueue{Client: admin.NewClient(c.Admin.Socket)}, nil
	}
	s, err := openSpool(c)
	if err != nil {
		return nil, err
	}
	importer, err := relay.NewImporter(relay.ImporterOptions{Spool: s, History: s, Notes: s, IDs: relay.NewIDs(time.Now, rand.Reader)})
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return &restingQueue{spool: s, importer: importer}, nil
}

type runningQueue struct {
	*admin.Client
	// of is the import that is under way.
	of string
}

func (q *runningQueue) IDs(ctx context.Context, selection admin.Selection) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for e, err := range q.Queue(ctx, admin.QueueQuery{Selection: selection}) {
			if !yield(e.ID, err) || err != nil {
				return
			}
		}
	}
}

func (q *runningQueue) Begin(ctx context.Context, change admin.Change) error {
	begun, err := q.BeginImport(ctx, change)
	q.of = begun.ID
	return err
}

func (q *runningQueue) Put(ctx context.Context, r *admin.Record, content io.Reader) (bool, error) {
	return q.Client.Put(ctx, r, content, q.of)
}

func (q *runningQueue) End(ctx context.Context, whole bool) error {
	_, err := q.EndImport(ctx, q.of, admin.ImportEnd{BrokenOff: !whole})
	return err
}

func (*runningQueue) Close() error { return nil }

type restingQueue struct {
	spool    *spool.Spool
	importer *relay.Importer
	// of is the import that is under way.
	of *relay.Importing
}

func (q *restingQueue) Begin(ctx context.Context, change admin.Change) (err error) {
	// Nobody but the kernel knows who this is.
	name := author()
	if change.Author != "" && change.Author != name {
		name += " (given as " + change.Author + ")"
	}
	q.of, err = q.importer.Begin(ctx, name, change.Reason)
	return err
}

func (q *restingQueue) End(ctx context.Context, whole bool) error {
	_, err := q.of.End(ctx, whole)
	return err
}

func (q *restingQueue) IDs(ctx context.Context, selection admin.Selection) iter.Seq2[string, error] {
	ids := selection.IDs
	selection.IDs = nil
	return func(yield func(string, error) bool) {
		if !selection.IsEmpty() {
			yield("", errors.New("no relay runs there, and only one that runs can choose mail by conditions: name ids, or take all"))
			return
		}
		for _, id := range ids {
			if !yield(id, nil) {
				return
			}
		}
		if len(ids) > 0 {
			return
		}
		for id, err := range q.spool.Arrived(ctx, relay.ID{}) {
			if !yield(id.String(), err) || err != nil {
				return
			}
		}
	}
}

func (q *restingQueue) Take(ctx context.Context, text string) (*admin.Record, io.ReadCloser, error) {
	id, err := relay.ParseID(text)
	if err != nil {
		return nil, nil, err
	}
	record, content, err := admin.Take(ctx, q.spool, id)
	if err != nil {
		return nil, nil, fmt.Errorf("message %s: %w", id, err)
	}
	return record, content, nil
}

func (q *restingQueue) Put(ctx context.Context, r *admin.Record, content io.Reader) (bool, error) {
	return admin.Put(ctx, q.of, r, content)
}

func (q *restingQueue) Close() error { return q.spool.Close() }
