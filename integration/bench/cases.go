package main

import (
	"context"
	"fmt"
	"time"
)

// measurement is what one round of a case found, by the name of the figure.
type measurement map[string]float64

// benchCase is one thing to measure.
type benchCase struct {
	name                     string
	sessions, size, messages int
	// dead stops the next hop, so that mail is accepted only.
	dead bool
	// queued says that mail is taken in for later: Exim is told so, which would start a delivery for each message.
	queued bool
	// syncs counts fsyncs, with a delay added to each.
	syncs bool
	delay time.Duration
	// tls has our load generator send by STARTTLS, which smtp-source cannot.
	tls bool
	// trip is the round-trip time to the next hop, and connections the most to it.
	trip        time.Duration
	connections int
	// sick adds next hops that do not answer or are not there.
	sick bool
	// without are the servers for which the case makes no sense.
	without []string
	// measure is what is done, nil for a run of so many messages.
	measure func(*rounder, context.Context) (measurement, error)
}

func cases() []benchCase {
	const kib4, mib1 = 4 << 10, 1 << 20
	all := []benchCase{
		{name: "relay 4 KiB, 10 sessions", sessions: 10, size: kib4, messages: 20_000},
		{name: "relay 4 KiB, 100 sessions", sessions: 100, size: kib4, messages: 20_000},
		{name: "relay 64 KiB, 10 sessions", sessions: 10, size: 64 << 10, messages: 6_000},
		{name: "relay 1 MiB, 10 sessions", sessions: 10, size: mib1, messages: 600},
		{name: "accept 4 KiB, 10 sessions, next hop dead", sessions: 10, size: kib4, messages: 20_000, dead: true},
		{name: "accept 4 KiB, 100 sessions, next hop dead", sessions: 100, size: kib4, messages: 20_000, dead: true},
		{name: "accept, 250 latency, 10 sessions, next hop dead", sessions: 10, size: kib4, messages: 10_000, dead: true, measure: (*rounder).latency},
		{name: "relay, fsyncs counted, 10 sessions", sessions: 10, size: kib4, messages: 2_000, syncs: true},
		{name: "relay, fsyncs counted, 100 sessions", sessions: 100, size: kib4, messages: 5_000, syncs: true},
		{name: "relay, fsyncs of 2 ms, 100 sessions", sessions: 100, size: kib4, messages: 5_000, syncs: true, delay: 2 * time.Millisecond},
		{name: "accept, fsyncs of 2 ms, 100 sessions, next hop dead", sessions: 100, size: kib4, messages: 5_000, dead: true, syncs: true, delay: 2 * time.Millisecond},
		// Exim opens a connection for each message that comes in alone, whatever it is told here.
		{name: "50 ms to the next hop, 1 connection", sessions: 10, size: kib4, messages: 300, trip: 50 * time.Millisecond, connections: 1, without: []string{exim}},
		{name: "50 ms to the next hop, 20 connections", sessions: 10, size: kib4, messages: 3_000, trip: 50 * time.Millisecond, connections: 20, without: []string{exim}},
		{name: "beside 5 silent and 5 dead destinations", sessions: 10, size: kib4, messages: 5_000, sick: true, measure: (*rounder).besideSick},
		{name: "deep queue, next hop dead", sessions: 20, size: kib4, messages: 100_000, queued: true, measure: (*rounder).deepQueue},
	}
	return append(all, acceptCases()...)
}

// acceptCases are accepting alone, in every size, width and dress.
func acceptCases() []benchCase {
	var all []benchCase
	for _, size := range []struct {
		name            string
		bytes, messages int
	}{{"4 KiB", 4 << 10, 10_000}, {"64 KiB", 64 << 10, 4_000}, {"1 MiB", 1 << 20, 600}} {
		for _, sessions := range []int{1, 10, 100} {
			c := benchCase{
				name:     fmt.Sprintf("accept only, %s, %d sessions, in clear", size.name, sessions),
				sessions: sessions, size: size.bytes, messages: size.messages, dead: true,
			}
			if sessions == 1 {
				c.messages /= 4
			}
			encrypted := c
			encrypted.name = fmt.Sprintf("accept only, %s, %d sessions, TLS", size.name, sessions)
			encrypted.tls = true
			all = append(all, c, encrypted)
		}
	}
	return all
}
