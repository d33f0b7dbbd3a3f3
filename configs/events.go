package configs

import (
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	relayadmin "postrider/relay/admin"
	"postrider/relay/feed"
)

// events says what is told to programs elsewhere.
type events struct {
	Log      eventLog  `yaml:"log"`
	Webhooks []webhook `yaml:"webhooks"`
	Size     size      `yaml:"size"`
	Keep     duration  `yaml:"keep"`
}

type eventLog struct {
	File   path     `yaml:"file"`
	Events []string `yaml:"events"`
}

type webhook struct {
	Name   string   `yaml:"name"`
	URL    string   `yaml:"url"`
	Secret string   `yaml:"secret"`
	Plain  bool     `yaml:"plain"`
	Events []string `yaml:"events"`
	// From, To and Destination are patterns.
	From        string `yaml:"from"`
	To          string `yaml:"to"`
	Destination string `yaml:"destination"`
}

func defaultEvents() events {
	return events{Size: feed.DefaultSize, Keep: duration(feed.DefaultAge)}
}

// outboxLeast is how small the outbox may be, in bytes.
const outboxLeast = 1 << 20

func (e *events) check(r *report) {
	checkEvents(r, "events.log.events", e.Log.Events)
	if e.Size < outboxLeast {
		r.fault("events.size", "%d bytes is less than 1MiB", e.Size)
	}
	if e.Keep <= 0 {
		r.fault("events.keep", "must be more than nothing")
	}
	names := make(map[string]bool)
	for i := range e.Webhooks {
		w, path := &e.Webhooks[i], fmt.Sprintf("events.webhooks[%d]", i)
		if names[w.Name] {
			r.fault(path+".name", "%q is there already", w.Name)
		}
		names[w.Name] = true
		w.check(r, path)
	}
}

// check wants what is said of people to go where it is meant to, and to nobody else.
func (w *webhook) check(r *report, path string) {
	if !regexp.MustCompile(`^[A-Za-z0-9_-]{1,60}$`).MatchString(w.Name) {
		r.fault(path+".name", "%q: want letters, digits, - and _: its place in the outbox is kept under this name", w.Name)
	}
	checkEvents(r, path+".events", w.Events)
	u, err := url.Parse(w.URL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		r.fault(path+".url", "%q is not an address such as https://hooks.example.com/mail", w.URL)
	case u.Scheme == "http" && !w.Plain && !isLocalHost(u.Hostname()):
		r.fault(path+".url", "what is sent by http can be read on the way: use https, or say plain: true")
	}
	if err := feed.CheckSecret(w.Secret); err != nil {
		r.fault(path+".secret", "%s", err)
	}
}

func isLocalHost(host string) bool {
	return host == "localhost" || isLoopback(host+":0") || isLoopback("["+host+"]:0")
}

func checkEvents(r *report, path string, words []string) {
	for i, word := range words {
		if !slices.Contains(relayadmin.EventWords(), word) || word == relayadmin.EventLost {
			r.fault(fmt.Sprintf("%s[%d]", path, i), "%q is not an event: want one of %s", word, strings.Join(relayadmin.EventWords(), ", "))
		}
	}
}

// compose gives where events go; nil for nowhere.
func (e *events) compose(data string) *feed.Options {
	if e.Log.File == "" && len(e.Webhooks) == 0 {
		return nil
	}
	o := &feed.Options{
		Log: string(e.Log.File), LogEvents: wantedEvents(e.Log.Events), Dir: filepath.Join(data, "events"),
		Size: int64(e.Size), Age: time.Duration(e.Keep),
	}
	for _, w := range e.Webhooks {
		o.Webhooks = append(o.Webhooks, feed.Webhook{
			Name: w.Name, URL: w.URL, Secret: w.Secret, Events: wantedEvents(w.Events), From: w.From, To: w.To, Destination: w.Destination,
		})
	}
	return o
}

func wantedEvents(words []string) []string {
	if len(words) == 0 {
		return feed.DefaultEvents()
	}
	return words
}
