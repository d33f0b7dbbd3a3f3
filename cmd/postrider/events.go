package main

import (
	"encoding/json"
	"time"

	"postrider/configs"
	"postrider/relay"
	"postrider/relay/admin"
	"postrider/relay/feed"
)

// newFeed passes what operators can watch on to the programs that are to be told; nil where
// there are none.
func newFeed(config *configs.Config, events *admin.Events, ids *relay.IDs, fault func(relay.Fault)) (*feed.Feed, error) {
	if config.Events == nil {
		return nil, nil
	}
	o := *config.Events
	o.IDs, o.Now, o.Fault = ids, time.Now, fault
	f, err := feed.New(o)
	if err != nil {
		return nil, err
	}
	events.Pass(func(e *admin.Event) {
		if !f.Wants(e.Event) {
			return
		}
		text, err := json.Marshal(e)
		if err != nil {
			return // an event has nothing that JSON cannot say
		}
		f.Add(feed.Event{Kind: e.Event, From: e.From, To: e.To, Destination: e.Destination, JSON: text})
	})
	return f, nil
}
