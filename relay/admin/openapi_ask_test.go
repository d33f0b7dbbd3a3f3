package admin_test

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"mime"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"postrider/relay"
	"postrider/relay/admin"
	"postrider/relay/relaytest"
	"postrider/relay/suppression"
	"postrider/relay/transcript"
)

// contract is what the OpenAPI file promises.
type contract struct {
	Paths      map[string]map[string]promise
	Components struct {
		Schemas   map[string]shape
		Responses map[string]response
	}
}

type promise struct {
	Parameters []struct {
		Name, In string
		Required bool
		Schema   shape
	}
	RequestBody *struct{ Content map[string]media } `yaml:"requestBody"`
	Responses   map[string]response
}

type response struct {
	Ref     string `yaml:"$ref"`
	Content map[string]media
}

type media struct{ Schema shape }

type shape struct {
	Ref        string `yaml:"$ref"`
	Type       string
	Format     string
	Enum       []string
	Required   []string
	Properties map[string]shape
	Items      *shape
	OneOf      []shape `yaml:"oneOf"`
}

// asked is a request to the handler, and the answer that is promised.
type asked struct {
	path, body string
	kind       string
	want       int
}

// question is a request for each operation that succeeds, and those that end otherwise.
func questions(id, transcript, importing string) map[string][]asked {
	because := `{"reason": "a test"}`
	return map[string][]asked{
		"GET /healthz":              {{path: "/healthz"}},
		"GET /metrics":              {{path: "/metrics"}},
		"GET /v1/openapi.yaml":      {{path: "/v1/openapi.yaml"}},
		"GET /v1/queue":             {{path: "/v1/queue"}, {path: "/v1/queue?limit=1"}, {path: "/v1/queue?from=x", want: 400}},
		"POST /v1/queue/actions":    {{path: "/v1/queue/actions", body: `{"action": "retry", "select": {"route": "internet"}, "reason": "a test", "author": "anna"}`}},
		"GET /v1/queue/{id}":        {{path: "/v1/queue/" + id}, {path: "/v1/queue/01K9ZJ6V3S6C0X6M4E5T1B2N3P", want: 404}, {path: "/v1/queue/x", want: 400}},
		"GET /v1/destinations":      {{path: "/v1/destinations"}},
		"GET /v1/pauses":            {{path: "/v1/pauses"}},
		"GET /v1/journal":           {{path: "/v1/journal"}},
		"GET /v1/stats":             {{path: "/v1/stats"}},
		"GET /v1/connections":       {{path: "/v1/connections"}},
		"GET /v1/trend":             {{path: "/v1/trend?span=day"}},
		"GET /v1/config":            {{path: "/v1/config"}},
		"GET /v1/session":           {{path: "/v1/session"}},
		"POST /v1/session":          {{path: "/v1/session", body: `{"token": "s3cret"}`}, {path: "/v1/session", body: `{"token": "x"}`, want: 401}},
		"DELETE /v1/session":        {{path: "/v1/session"}},
		"GET /v1/events":            {{path: "/v1/events"}, {path: "/v1/events?event=x", want: 400}},
		"GET /v1/tokens":            {{path: "/v1/tokens"}},
		"GET /v1/trace":             {{path: "/v1/trace?id=" + id}, {path: "/v1/trace", want: 400}},
		"GET /v1/reload":            {{path: "/v1/reload"}},
		"POST /v1/reload":           {{path: "/v1/reload", body: "{}"}, {path: "/v1/reload", body: "{}", want: 422}},
		"GET /v1/suppressions":      {{path: "/v1/suppressions"}},
		"POST /v1/suppressions":     {{path: "/v1/suppressions", body: `{"suppressions": [{"address": "b@two.test"}], "reason": "a test"}`}, {path: "/v1/suppressions", body: `{"suppressions": [{"address": "c@two.test"}, {"address": "d@two.test"}], "reason": "a test"}`, want: 409}},
		"GET /v1/transcripts":       {{path: "/v1/transcripts"}},
		"POST /v1/transcripts":      {{path: "/v1/transcripts", body: `{"destination": "internet/one.test", "reason": "a test"}`}},
		"GET /v1/queue/{id}/record": {{path: "/v1/queue/" + id + "/record"}},
		"PUT /v1/queue/{id}/record": {{path: "/v1/queue/" + id + "/record", kind: "application/vnd.postrider.message"}},

		"POST /v1/queue/imports":              {{path: "/v1/queue/imports", body: because}, {path: "/v1/queue/imports", body: `{}`, want: 400}},
		"POST /v1/queue/imports/{id}/end":     {{path: "/v1/queue/imports/" + importing + "/end", body: `{"broken_off": true}`}, {path: "/v1/queue/imports/x/end", body: `{}`, want: 404}},
		"POST /v1/spool/checkpoint":           {{path: "/v1/spool/checkpoint", body: `{"dir": "/copy"}`}, {path: "/v1/spool/checkpoint", body: `{"dir": "copy"}`, want: 400}},
		"GET /v1/destinations/{name}":         {{path: "/v1/destinations/internet%2Fone.test"}, {path: "/v1/destinations/x", want: 404}},
		"GET /v1/destinations/{name}/limits":  {{path: "/v1/destinations/internet%2Fone.test/limits"}, {path: "/v1/destinations/x/limits", want: 404}},
		"POST /v1/destinations/{name}/pause":  {{path: "/v1/destinations/internet%2Fone.test/pause", body: because}},
		"POST /v1/destinations/{name}/resume": {{path: "/v1/destinations/internet%2Fone.test/resume", body: because}},
		"POST /v1/destinations/{name}/retry":  {{path: "/v1/destinations/internet%2Fone.test/retry", body: because}, {path: "/v1/destinations/internet%2F*/retry", body: because, want: 400}},
		"POST /v1/suppressions/remove":        {{path: "/v1/suppressions/remove", body: `{"addresses": ["b@two.test"], "reason": "a test"}`}},
		"GET /v1/transcripts/{id}":            {{path: "/v1/transcripts/" + transcript}, {path: "/v1/transcripts/x", want: 404}},
		"POST /v1/transcripts/{id}/stop":      {{path: "/v1/transcripts/" + transcript + "/stop", body: because}},
	}
}

// reloads are a Reloader that fails every second time.
type reloads struct{ n int }

func (r *reloads) Reload() (admin.Reload, error) {
	if r.n++; r.n%2 == 0 {
		return admin.Reload{}, fmt.Errorf("line 3: no such key")
	}
	return admin.Reload{At: time.Now(), Changed: []string{"routes"}}, nil
}

func (r *reloads) Reloaded() (admin.Reload, bool) {
	return admin.Reload{At: time.Now(), Rerouting: &admin.Rerouting{Began: time.Now()}}, true
}

// asking is a server with everything that can be asked for.
type asking struct {
	*serving
	contract
	client http.Client
	// importing is an import under way.
	importing string
}

func newAsking(t *testing.T) (*asking, map[string][]asked) {
	t.Helper()
	p := &past{}
	list, err := suppression.New(t.Context(), suppression.Options{Terms: suppression.Terms{Keep: time.Hour, Most: 2}, Notes: &relaytest.Notes{}, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	book := transcript.New(transcript.Options{Dir: filepath.Join(t.TempDir(), "transcripts"), Now: time.Now})
	a := &asking{}
	a.serving = serveWith(t, 2, func(o *admin.Options) {
		o.Tokens = []admin.Token{{Name: "ops", Secret: "s3cret"}}
		o.History, o.Suppressions, o.Transcripts, o.Reloader = p, list, book, &reloads{}
		o.Config = func() string { return "hostname: x\n" }
		o.Checkpoint = func(context.Context, string) error { return nil }
		if o.Importer, err = relay.NewImporter(relay.ImporterOptions{Spool: o.Spool, Notes: new(relaytest.Notes), IDs: relay.NewIDs(time.Now, rand.Reader)}); err != nil {
			t.Fatal(err)
		}
	})
	p.life = relay.Life{
		Facts:  relay.Facts{ID: a.ids[0], Received: time.Now(), Sender: "a@example.com", Recipients: []string{"b@one.test"}, Trace: []relay.Verdict{{Rule: "r", Stage: "data"}}},
		Events: []relay.Event{{At: time.Now(), What: "delivered", Recipients: []int{0}}}, Queued: true,
	}
	a.events.Attempted(relay.Attempted{
		Delivery: relay.Delivery{To: relay.Destination{Route: "internet", Domain: "one.test"}}, Outcomes: []relay.Outcome{{Status: relay.Deferred, Reply: relay.Reply{Code: 450}}},
	})
	info, err := book.Start(transcript.Order{Destination: "x", Author: "anna", Reason: "a test"})
	if err != nil {
		t.Fatal(err)
	}
	a.client.Transport = &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return net.Dial("unix", a.socket) }}
	t.Cleanup(a.client.CloseIdleConnections)
	resp, text := a.ask(t, "GET", asked{path: "/v1/openapi.yaml"})
	if err := yaml.Unmarshal(text, &a.contract); err != nil || resp.StatusCode != 200 {
		t.Fatal(resp.Status, err)
	}
	begun, err := a.serving.client.BeginImport(t.Context(), admin.Change{Reason: "a test"})
	if err != nil {
		t.Fatal(err)
	}
	a.importing = begun.ID
	return a, questions(a.ids[0].String(), info.ID, begun.ID)
}

// ask makes a request over the socket, and reads the answer; of events the first.
func (a *asking) ask(t *testing.T, method string, q asked) (*http.Response, []byte) {
	t.Helper()
	if q.kind != "" { // what is put is what can be got
		address, _, _ := strings.Cut(q.path, "?")
		_, text := a.ask(t, "GET", asked{path: address})
		q.body = string(text)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, "http://relay"+q.path, strings.NewReader(q.body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if q.kind != "" {
		req.Header.Set("Content-Type", q.kind)
	}
	req.Header.Set("X-Postrider", "1")
	resp, err := a.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if strings.HasPrefix(q.path, "/v1/events?") && resp.StatusCode == 200 {
		return resp, nil // what is asked for may never come
	}
	if q.path == "/v1/events" && resp.StatusCode == 200 {
		a.events.Gated(relay.Gated{Name: "x", Closed: true, Until: time.Now()})
		line, err := bufio.NewReader(resp.Body).ReadBytes('\n')
		if err != nil {
			t.Fatal(err)
		}
		return resp, line
	}
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, q.path, err)
	}
	return resp, text
}

// each yields the operations, with those that change last what others need.
func (a *asking) each() func(func(string, promise) bool) {
	return func(yield func(string, promise) bool) {
		for _, path := range slices.Sorted(maps.Keys(a.Paths)) {
			for _, method := range slices.Sorted(maps.Keys(a.Paths[path])) {
				if !yield(strings.ToUpper(method)+" "+path, a.Paths[path][method]) {
					return
				}
			}
		}
	}
}

// The running server answers each operation as the file says: with codes that are described, and content
// of the kind and the shape that goes with the code. Codes that have a description of their own are met.
func TestOpenAPIAnswers(t *testing.T) {
	t.Parallel()
	a, all := newAsking(t)
	for name, p := range a.each() {
		method, _, _ := strings.Cut(name, " ")
		if len(all[name]) == 0 {
			t.Errorf("nothing is known of how to ask %s", name)
		}
		met := make(map[string]bool)
		for _, q := range all[name] {
			resp, text := a.ask(t, method, q)
			if want := cmp.Or(q.want, 200); resp.StatusCode != want {
				t.Errorf("%s: got %d %s, want %d", name, resp.StatusCode, text, want)
			}
			code := fmt.Sprint(resp.StatusCode)
			met[code] = true
			described, ok := p.Responses[code]
			if !ok {
				described = p.Responses["default"]
			}
			if described.Ref != "" {
				described = a.Components.Responses[described.Ref[strings.LastIndex(described.Ref, "/")+1:]]
			}
			if err := a.fits(described, resp.Header.Get("Content-Type"), text); err != nil {
				t.Errorf("%s answers %d with %.300s: %v", name, resp.StatusCode, text, err)
			}
		}
		for code := range p.Responses {
			if code != "default" && !met[code] {
				t.Errorf("%s has never answered %s", name, code)
			}
		}
	}
}

// fits says whether content is of a kind and shape that is described.
func (a *asking) fits(r response, contentType string, text []byte) error {
	kind, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return err
	}
	m, ok := r.Content[kind]
	if !ok {
		return fmt.Errorf("content of type %s is not described", kind)
	}
	switch kind {
	case "application/json":
		return a.fitsText(&m.Schema, text)
	case "application/x-ndjson":
		for line := range bytes.Lines(text) {
			if err := a.fitsText(&m.Schema, line); err != nil {
				return err
			}
		}
	}
	return nil
}

func (a *asking) fitsText(s *shape, text []byte) error {
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		return err
	}
	return a.is(s, v)
}

// is says whether a value has the shape.
func (a *asking) is(s *shape, v any) error {
	if s.Ref != "" {
		of, ok := a.Components.Schemas[s.Ref[strings.LastIndex(s.Ref, "/")+1:]]
		if !ok {
			return fmt.Errorf("%s is not there", s.Ref)
		}
		return a.is(&of, v)
	}
	if len(s.OneOf) > 0 {
		var err error
		for i := range s.OneOf {
			if err = a.is(&s.OneOf[i], v); err == nil {
				return nil
			}
		}
		return err
	}
	switch v := v.(type) {
	case map[string]any:
		return a.isObject(s, v)
	case []any:
		if s.Type != "array" || s.Items == nil {
			return fmt.Errorf("an array is described as %q", s.Type)
		}
		for _, e := range v {
			if err := a.is(s.Items, e); err != nil {
				return err
			}
		}
	case string:
		return s.isText(v)
	case bool:
		if s.Type != "boolean" {
			return fmt.Errorf("%v is described as %q", v, s.Type)
		}
	case float64:
		if s.Type != "number" && (s.Type != "integer" || v != float64(int64(v))) {
			return fmt.Errorf("%v is described as %q", v, s.Type)
		}
	default:
		return fmt.Errorf("%v is described as %q", v, s.Type)
	}
	return nil
}

func (a *asking) isObject(s *shape, v map[string]any) error {
	if s.Type != "object" {
		return fmt.Errorf("an object is described as %q", s.Type)
	}
	for _, name := range s.Required {
		if _, ok := v[name]; !ok {
			return fmt.Errorf("%s is required and not there", name)
		}
	}
	for name, value := range v {
		of, ok := s.Properties[name]
		if !ok {
			return fmt.Errorf("%s is there and not described", name)
		}
		if err := a.is(&of, value); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func (s *shape) isText(v string) error {
	if s.Type != "string" {
		return fmt.Errorf("%q is described as %q", v, s.Type)
	}
	if s.Format == "date-time" {
		if _, err := time.Parse(time.RFC3339, v); err != nil {
			return err
		}
	}
	if len(s.Enum) > 0 && !slices.Contains(s.Enum, v) {
		return fmt.Errorf("%q is not one of %q", v, s.Enum)
	}
	return nil
}

// Parameters that are described are taken, of the type that is described alone, and others are refused:
// a condition that is misspelt must not be none. What is required cannot be left out.
func TestOpenAPIParameters(t *testing.T) {
	t.Parallel()
	a, all := newAsking(t)
	good := map[string]string{"integer": "1", "boolean": "false", "string": "x", "date-time": "2026-03-01T12:00:00Z", "event": "delivered", "state": "held", "class": "quota", "from": a.ids[0].String(), "id": a.ids[0].String(), "import": a.importing}
	for name, p := range a.each() {
		method, path, _ := strings.Cut(name, " ")
		if !strings.HasPrefix(path, "/v1/") || len(all[name]) == 0 {
			continue
		}
		with := func(parameter, value string) int {
			q := all[name][0]
			address, query, _ := strings.Cut(q.path, "?")
			values, _ := url.ParseQuery(query)
			if parameter != "" {
				values.Set(parameter, value)
			}
			q.path = address + "?" + values.Encode()
			resp, _ := a.ask(t, method, q)
			return resp.StatusCode
		}
		if got := with("misspelt", "x"); got != 400 {
			t.Errorf("%s takes a parameter that it does not know: %d", name, got)
		}
		for _, parameter := range p.Parameters {
			s := parameter.Schema
			switch {
			case parameter.In == "path" && !parameter.Required:
				t.Errorf("%s: %s must be required", name, parameter.Name)
			case parameter.In != "query":
				continue
			case parameter.Required:
				t.Errorf("%s: no query parameter is required alone, %s is described so", name, parameter.Name)
			}
			value := good[parameter.Name]
			if value == "" {
				value = good[s.Type]
			}
			if s.Format != "" {
				value = good[s.Format]
			}
			bad := "neither"
			if len(s.Enum) > 0 {
				value = s.Enum[0]
			}
			if got := with(parameter.Name, value); got != 200 {
				t.Errorf("%s with %s=%s: got %d", name, parameter.Name, value, got)
			}
			if s.Type == "string" && s.Format == "" && len(s.Enum) == 0 {
				continue
			}
			if got := with(parameter.Name, bad); got != 400 {
				t.Errorf("%s with %s=%s: got %d, want 400", name, parameter.Name, bad, got)
			}
		}
	}
}

// Of a request's content, what is required cannot be left out, and what is not described is refused.
func TestOpenAPIRequests(t *testing.T) {
	t.Parallel()
	a, all := newAsking(t)
	for name, p := range a.each() {
		if p.RequestBody == nil || len(all[name]) == 0 || name == "POST /v1/reload" {
			continue
		}
		method, _, _ := strings.Cut(name, " ")
		q := all[name][0]
		m, ok := p.RequestBody.Content["application/json"]
		if !ok {
			continue
		}
		if err := a.fitsText(&m.Schema, []byte(q.body)); err != nil {
			t.Errorf("%s: %s: %v", name, q.body, err)
		}
		required := m.Schema.Required
		if m.Schema.Ref != "" {
			required = a.Components.Schemas[m.Schema.Ref[strings.LastIndex(m.Schema.Ref, "/")+1:]].Required
		}
		var fields map[string]any
		if err := json.Unmarshal([]byte(q.body), &fields); err != nil {
			t.Fatal(err)
		}
		for _, left := range required {
			less := maps.Clone(fields)
			delete(less, left)
			a.wantRefused(t, method, q, less, name+" without "+left)
		}
		more := maps.Clone(fields)
		more["misspelt"] = "x"
		a.wantRefused(t, method, q, more, name+" with another field")
	}
}

func (a *asking) wantRefused(t *testing.T, method string, q asked, fields map[string]any, what string) {
	t.Helper()
	text, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	q.body = string(text)
	if resp, answer := a.ask(t, method, q); resp.StatusCode != 400 {
		t.Errorf("%s: got %d %s, want 400", what, resp.StatusCode, answer)
	}
}
