package web

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

func get(path, etag string) *http.Response {
	r := httptest.NewRequest("GET", path, nil)
	r.Header.Set("If-None-Match", etag)
	w := httptest.NewRecorder()
	Serve(w, r)
	return w.Result()
}

func TestServe(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"/ui/": "text/html; charset=utf-8", "/ui/app.js": "text/javascript; charset=utf-8", "/ui/style.css": "text/css; charset=utf-8", "/ui/icon.svg": "image/svg+xml",
	} {
		r := get(path, "")
		h := r.Header
		if r.StatusCode != 200 || h.Get("Content-Type") != want || h.Get("X-Frame-Options") != "DENY" || h.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %d %v", path, r.StatusCode, h)
		}
		csp := h.Get("Content-Security-Policy")
		if !strings.HasPrefix(csp, "default-src 'none';") || strings.Contains(csp, "unsafe") || strings.Contains(csp, "*") {
			t.Errorf("%s: policy %q", path, csp)
		}
		if again := get(path, h.Get("ETag")); again.StatusCode != 304 {
			t.Errorf("%s again: %d, want 304", path, again.StatusCode)
		}
	}
	for _, path := range []string{"/ui/none.js", "/ui/../web.go", "/ui/../../server.go", "/ui/files/app.js", "/ui/.", "/ui/..", "/ui/app.js/"} {
		if r := get(path, ""); r.StatusCode != 404 {
			t.Errorf("%s: %d, want 404", path, r.StatusCode)
		}
	}
}

// Nothing makes markup or programs of text, and nothing comes from elsewhere.
func TestFiles(t *testing.T) {
	t.Parallel()
	never := regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|srcdoc|javascript:|\sstyle=|<script>|<style|\son[a-z]+="|https?://`)
	names, err := files.ReadDir("files")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range names {
		text, err := files.ReadFile("files/" + f.Name())
		if err != nil {
			t.Fatal(err)
		}
		content := strings.ReplaceAll(string(text), "http://www.w3.org/2000/svg", "")
		if found := never.FindString(content); found != "" {
			t.Errorf("%s has %q", f.Name(), found)
		}
		for _, m := range regexp.MustCompile(`from '\./([^']+)'`).FindAllStringSubmatch(content, -1) {
			if r := get("/ui/"+m[1], ""); r.StatusCode != 200 {
				t.Errorf("%s imports %s, which is not there", f.Name(), m[1])
			}
		}
	}
}
