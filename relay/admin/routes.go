package admin

import (
	_ "embed"
	"fmt"
	"net/http"
	"net/http/pprof"
)

// openAPI describes the API. A test holds it to the routes and to the types.
//
//go:embed openapi.yaml
var openAPI []byte

// route is one thing that can be asked for.
type route struct {
	// pattern is a method and a path, as for http.ServeMux.
	pattern string
	access  access
	handle  func(http.ResponseWriter, *http.Request)
}

// table has all routes.
func (s *Server) table() []route {
	return []route{
		{"GET /healthz", toAll, s.health},
		{"GET /metrics", toReaders, s.metrics},
		{"GET /v1/openapi.yaml", toReaders, s.describe},
		{"GET /v1/queue", toReaders, s.queue},
		{"GET /v1/queue/{id}", toReaders, s.message},
		{"GET /v1/destinations", toReaders, s.destinations},
		{"GET /v1/destinations/{name}", toReaders, s.destination},
		{"GET /v1/stats", toReaders, s.stats},
		{"GET /v1/events", toReaders, s.tail},
		{"GET /debug/pprof/", toOwner, pprof.Index},
		{"GET /debug/pprof/profile", toOwner, pprof.Profile},
		{"GET /debug/pprof/trace", toOwner, pprof.Trace},
	}
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	for _, rt := range s.table() {
		mux.HandleFunc(rt.pattern, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Content-Type-Options", "nosniff")
			if _, code, err := s.guard.admit(r, rt.access); err != nil {
				if code == http.StatusUnauthorized {
					w.Header().Set("WWW-Authenticate", `Bearer realm="postrider"`)
				}
				refuse(w, code, err)
				return
			}
			rt.handle(w, r)
		})
	}
	return mux
}

func (s *Server) health(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") }

func (s *Server) metrics(w http.ResponseWriter, r *http.Request) { s.o.Metrics.ServeHTTP(w, r) }

func (s *Server) describe(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/yaml")
	// A client that has gone away needs no answer.
	_, _ = w.Write(openAPI)
}
