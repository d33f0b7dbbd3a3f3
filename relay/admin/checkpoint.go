package admin

import (
	"context"
	"errors"
	"net/http"
	"path/filepath"
)

// Checkpoint asks for a copy of the spool.
type Checkpoint struct {
	// Dir is an absolute path that does not exist yet, on the file system of the spool.
	Dir string `json:"dir"`
}

// checkpoint copies the spool as it is now.
func (s *Server) checkpoint(w http.ResponseWriter, r *http.Request) {
	var c Checkpoint
	err := read(w, r, &c)
	if err == nil && !filepath.IsAbs(c.Dir) {
		err = errors.New("dir: want an absolute path")
	}
	if err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	if err := s.o.Checkpoint(r.Context(), c.Dir); err != nil {
		refuse(w, http.StatusInternalServerError, err)
		return
	}
	answer(w, c)
}

// Checkpoint has the daemon copy its spool to a directory that does not exist yet.
func (c *Client) Checkpoint(ctx context.Context, dir string) error {
	body, err := c.post(ctx, "/v1/spool/checkpoint", Checkpoint{Dir: dir})
	if err != nil {
		return err
	}
	return body.Close()
}
