package admin

import (
	_ "embed"
	"net/http"
	"net/http/pprof"

	"postrider/relay/admin/web"
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
	handle  func(http.ResponseWriter, *http.Request, caller)
}

// looking makes a handler of one that does not mind who asks.
func looking(h http.HandlerFunc) func(http.ResponseWriter, *http.Request, caller) {
	return func(w http.ResponseWriter, r *http.Request, _ caller) { h(w, r) }
}

// table has all routes.
func (s *Server) table() []route {
	return []route{
		{"GET /healthz", toAll, looking(s.health)},
		{"GET /metrics", toReaders, looking(s.metrics)},
		{"GET /v1/openapi.yaml", toReaders, looking(s.describe)},
		{"GET /v1/queue", toReaders, looking(s.queue)},
		{"POST /v1/queue/actions", toOperators, s.act},
		{"GET /v1/queue/{id}", toReaders, looking(s.message)},
		{"GET /v1/queue/{id}/record", toOwner, looking(s.take)},
		{"PUT /v1/queue/{id}/record", toOwner, looking(s.put)},
		{"POST /v1/queue/imports", toOwner, s.beginImport},
		{"POST /v1/queue/imports/{id}/end", toOwner, s.endImport},
		{"POST /v1/spool/checkpoint", toOwner, looking(s.checkpoint)},
		{"GET /v1/destinations", toReaders, looking(s.destinations)},
		{"GET /v1/destinations/{name}", toReaders, looking(s.destination)},
		{"GET /v1/destinations/{name}/limits", toReaders, looking(s.limits)},
		{"POST /v1/destinations/{name}/pause", toOperators, s.change(s.pause)},
		{"POST /v1/destinations/{name}/resume", toOperators, s.change(s.resume)},
		{"POST /v1/destinations/{name}/retry", toOperators, s.change(s.retry)},
		{"GET /v1/pauses", toReaders, looking(s.pauses)},
		{"GET /v1/reload", toReaders, looking(s.reloaded)},
		{"POST /v1/reload", toOperators, looking(s.reload)},
		{"GET /v1/journal", toReaders, looking(s.journal)},
		{"GET /v1/trace", toReaders, looking(s.trace)},
		{"GET /v1/stats", toReaders, looking(s.stats)},
		{"GET /v1/events", toReaders, looking(s.tail)},
		{"GET /v1/transcripts", toReaders, s.transcribing(s.transcripts)},
		{"POST /v1/transcripts", toOperators, s.transcribing(s.startTranscript)},
		{"GET /v1/transcripts/{id}", toOperators, s.transcribing(s.readTranscript)},
		{"POST /v1/transcripts/{id}/stop", toOperators, s.transcribing(s.stopTranscript)},
		{"GET /v1/suppressions", toReaders, s.suppressing(s.suppressions)},
		{"POST /v1/suppressions", toOperators, s.suppressing(s.suppress)},
		{"POST /v1/suppressions/remove", toOperators, s.suppressing(s.unsuppress)},
		{"GET /v1/connections", toReaders, looking(s.connections)},
		{"GET /v1/tokens", toReaders, looking(s.tokens)},
		{"GET /v1/trend", toReaders, looking(s.trend)},
		{"GET /v1/config", toReaders, looking(s.config)},
		{"GET /v1/session", toAll, looking(s.session)},
		{"POST /v1/session", toAll, looking(s.signIn)},
		{"DELETE /v1/session", toAll, looking(s.signOut)},
		{"GET /{$}", toAll, looking(s.home)},
		{"GET /ui/", toAll, looking(web.Serve)},
		{"GET /debug/pprof/", toOwner, looking(pprof.Index)},
		{"GET /debug/pprof/profile", toOwner, looking(pprof.Profile)},
		{"GET /debug/pprof/trace", toOwner, looking(pprof.Trace)},
	}
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	known := parameters()
	for _, rt := range s.table() {
		mux.HandleFunc(rt.pattern, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Content-Type-Options", "nosniff")
			c, code, err := s.guard.admit(r, rt.access)
			if err != nil {
				if code == http.StatusUnauthorized {
					w.Header().Set("WWW-Authenticate", `Bearer realm="postrider"`)
				}
				refuse(w, code, err)
				return
			}
			if isAPI(rt.pattern) {
				if err := checkQuery(known[rt.pattern], r); err != nil {
					refuse(w, http.StatusBadRequest, err)
					return
				}
			}
			rt.handle(w, r, c)
		})
	}
	return mux
}

// home leads browsers to the dashboard.
func (s *Server) home(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, "/ui/", http.StatusFound)
}

func (s *Server) metrics(w http.ResponseWriter, r *http.Request) { s.o.Metrics.ServeHTTP(w, r) }

func (s *Server) describe(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/yaml")
	// A client that has gone away needs no answer.
	_, _ = w.Write(openAPI)
}
