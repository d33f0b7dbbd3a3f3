package admin

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"postrider/relay"
)

// A message on its way between queues is its Record on a line and then its bytes.
const transferType = "application/vnd.postrider.message"

// recordMost bounds the record of a message, in bytes; there may be thousands of recipients.
const recordMost = 16 << 20

// take sends a message with its record.
func (s *Server) take(w http.ResponseWriter, r *http.Request) {
	id, err := relay.ParseID(r.PathValue("id"))
	if err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	record, body, err := Take(r.Context(), s.o.Spool, id)
	switch {
	case errors.Is(err, relay.ErrNotFound):
		refuse(w, http.StatusNotFound, err)
		return
	case err != nil:
		refuse(w, http.StatusInternalServerError, err)
		return
	}
	defer body.Close()
	line, err := json.Marshal(record)
	if err != nil {
		refuse(w, http.StatusInternalServerError, err)
		return
	}
	line = append(line, '\n')
	// By its length the client knows what was cut off; one that has gone away needs no answer.
	w.Header().Set("Content-Type", transferType)
	w.Header().Set("Content-Length", strconv.FormatInt(int64(len(line))+record.Size, 10))
	_, _ = io.Copy(w, io.MultiReader(bytes.NewReader(line), body))
}

// Take reads a message from a spool: its record, and a reader of its bytes, header and body,
// which the caller closes. It is relay.ErrNotFound when it has been delivered.
func Take(ctx context.Context, spool relay.Spool, id relay.ID) (*Record, io.ReadCloser, error) {
	m, err := spool.Message(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	ds, err := spool.Deliveries(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	if len(ds) == 0 {
		return nil, nil, relay.ErrNotFound
	}
	body, err := spool.Body(ctx, m)
	if err != nil {
		return nil, nil, err
	}
	whole := struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(m.Header), body), body}
	return NewRecord(m, ds), whole, nil
}

// Taker takes messages in: a relay.Importer, or a relay.Importing, which counts them.
type Taker interface {
	Import(ctx context.Context, m *relay.Message, ds []relay.Delivery, body io.Reader) (bool, error)
}

// Put brings a message into a spool by its record and its bytes. It is false for one that is
// there, or was.
func Put(ctx context.Context, importer Taker, r *Record, content io.Reader) (bool, error) {
	m, ds, err := r.Message()
	if err != nil {
		return false, fmt.Errorf("%w: %w", relay.ErrImport, err)
	}
	if r.HeaderSize > recordMost {
		return false, fmt.Errorf("%w: a header of %d bytes", relay.ErrImport, r.HeaderSize)
	}
	m.Header = make([]byte, r.HeaderSize)
	if _, err := io.ReadFull(content, m.Header); err != nil {
		return false, fmt.Errorf("%w: read the header: %w", relay.ErrImport, err)
	}
	return importer.Import(ctx, m, ds, content)
}

// PutResult says what became of a message that was put into the queue.
type PutResult struct {
	// New is false for a message that is in the queue, or was.
	New bool `json:"new"`
}

// put brings a message in. Its ID is in the path and in its record.
func (s *Server) put(w http.ResponseWriter, r *http.Request) {
	record, content, err := readTransfer(r)
	if err == nil && record.ID != r.PathValue("id") {
		err = fmt.Errorf("the record is of %s", record.ID)
	}
	if err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	taker, err := s.imports.taker(r.URL.Query().Get("import"), s.o.Importer)
	if err != nil {
		refuse(w, http.StatusNotFound, err)
		return
	}
	fresh, err := Put(r.Context(), taker, record, content)
	var reply *relay.Reply
	switch {
	case errors.Is(err, relay.ErrImport):
		refuse(w, http.StatusBadRequest, err)
	case errors.As(err, &reply):
		refuse(w, http.StatusInsufficientStorage, err)
	case err != nil:
		refuse(w, http.StatusInternalServerError, err)
	default:
		answer(w, PutResult{New: fresh})
	}
}

func readTransfer(r *http.Request) (*Record, io.Reader, error) {
	if kind := r.Header.Get("Content-Type"); kind != transferType {
		return nil, nil, fmt.Errorf("content type %q: want %s", kind, transferType)
	}
	return splitTransfer(r.Body)
}

// splitTransfer reads the record, and gives what follows it.
func splitTransfer(r io.Reader) (*Record, io.Reader, error) {
	buffered := bufio.NewReader(r)
	var line []byte
	for {
		piece, err := buffered.ReadSlice('\n')
		line = append(line, piece...)
		switch {
		case err == nil:
			record, err := ParseRecord(line)
			return record, buffered, err
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, nil, fmt.Errorf("read the record: %w", err)
		case len(line) > recordMost:
			return nil, nil, fmt.Errorf("read the record: more than %d bytes", recordMost)
		}
	}
}

// Take reads a message from the queue: its record, and its bytes, which the caller closes. A
// message that has left the queue is relay.ErrNotFound.
func (c *Client) Take(ctx context.Context, id string) (*Record, io.ReadCloser, error) {
	body, err := c.get(ctx, "/v1/queue/"+url.PathEscape(id)+"/record")
	if err != nil {
		return nil, nil, err
	}
	record, content, err := splitTransfer(body)
	if err != nil {
		return nil, nil, errors.Join(err, body.Close())
	}
	return record, struct {
		io.Reader
		io.Closer
	}{content, body}, nil
}

// Put brings a message into the queue, as one of an import if that is not "". It is false for one that
// is there, or was.
func (c *Client) Put(ctx context.Context, r *Record, content io.Reader, of string) (bool, error) {
	line, err := json.Marshal(r)
	if err != nil {
		return false, err
	}
	whole := io.MultiReader(bytes.NewReader(append(line, '\n')), content)
	path := "/v1/queue/" + url.PathEscape(r.ID) + "/record"
	if of != "" {
		path += "?import=" + url.QueryEscape(of)
	}
	body, err := c.send(ctx, http.MethodPut, path, whole, transferType)
	if err != nil {
		return false, err
	}
	defer body.Close()
	var result PutResult
	if err := json.NewDecoder(body).Decode(&result); err != nil {
		return false, fmt.Errorf("read the daemon's answer: %w", err)
	}
	return result.New, nil
}
