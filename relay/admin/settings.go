package admin

import (
	"errors"
	"net/http"
)

// Settings shows the configuration in force.
type Settings struct {
	// Text is YAML in which every secret is hidden.
	Text string `json:"text"`
}

// config shows the configuration.
func (s *Server) config(w http.ResponseWriter, _ *http.Request) {
	if s.o.Config == nil {
		refuse(w, http.StatusNotFound, errors.New("the configuration is not known here"))
		return
	}
	answer(w, Settings{Text: s.o.Config()})
}
