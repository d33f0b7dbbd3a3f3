package admin

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// parameter says what a query parameter may be.
type parameter func(text string) error

// parameters are what the routes of the API can be asked with, by pattern and name.
func parameters() map[string]map[string]parameter {
	queue := map[string]parameter{"from": anything, "limit": wholeNumber, "id": anything, "state": anything, "class": anything}
	for name := range new(Selection).texts() {
		queue[name] = anything
	}
	for name := range new(Selection).numbers() {
		queue[name] = wholeNumber
	}
	return map[string]map[string]parameter{
		"GET /v1/queue":             queue,
		"PUT /v1/queue/{id}/record": {"import": anything},
		"GET /v1/trace": {
			"id": anything, "message_id": anything, "sender": anything, "recipient": anything, "since": instant, "until": instant, "limit": wholeNumber,
		},
		"GET /v1/stats": {"limit": wholeNumber},
		"GET /v1/events": {
			"event": anything, "id": anything, "from": anything, "to": anything, "destination": anything, "user": anything, "client": anything,
		},
		"GET /v1/suppressions":     {"address": anything, "limit": wholeNumber},
		"GET /v1/transcripts/{id}": {"follow": flag},
		"GET /v1/trend":            {"span": oneOf("hour", "day")},
	}
}

func anything(string) error { return nil }

func wholeNumber(text string) error {
	if n, err := strconv.ParseInt(text, 10, 64); err != nil || n < 0 {
		return fmt.Errorf("%q: want a whole number", text)
	}
	return nil
}

func instant(text string) error {
	_, err := time.Parse(time.RFC3339, text)
	return err
}

func flag(text string) error { return oneOf("true", "false")(text) }

func oneOf(words ...string) parameter {
	return func(text string) error {
		if !slices.Contains(words, text) {
			return fmt.Errorf("%q: want %s", text, strings.Join(words, " or "))
		}
		return nil
	}
}

// isAPI says that a route is of the API. The others are asked by programs that we do not know, with
// what they like.
func isAPI(pattern string) bool { return strings.Contains(pattern, " /v1/") }

// checkQuery refuses what a route does not know: a condition that is misspelt must not be none. An
// empty value is as good as none.
func checkQuery(known map[string]parameter, r *http.Request) error {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return fmt.Errorf("the query: %w", err)
	}
	for name, values := range query {
		fits, ok := known[name]
		if !ok {
			return fmt.Errorf("there is no parameter %q here", name)
		}
		for _, text := range values {
			if text == "" {
				continue
			}
			if err := fits(text); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return nil
}
