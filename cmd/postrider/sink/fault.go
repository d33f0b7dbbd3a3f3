package sink

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The stages of a session at which the sink can be told to misbehave. stageDot is the
// end of a message's content, where the peer has sent everything and waits for its 250.
const (
	stageConnect  = "connect"
	stageEhlo     = "ehlo"
	stageStartTLS = "starttls"
	stageMail     = "mail"
	stageRcpt     = "rcpt"
	stageData     = "data"
	stageDot      = "dot"
	stageQuit     = "quit"
)

func stages() []string {
	return []string{stageConnect, stageEhlo, stageStartTLS, stageMail, stageRcpt, stageData, stageDot, stageQuit}
}

// fault is one way to misbehave at a stage.
type fault struct {
	stage string
	// chance is how often it happens, from 0 to 1.
	chance float64
	// One of these is set: wait before the reply, reply with this instead, or close
	// the connection without a reply.
	delay time.Duration
	reply string
	drop  bool
}

// Faults are all that was asked for. They are only read once the sink runs.
type Faults []fault

// at gives what happens at a stage this time: delays add up, of the replies and drops the
// first that hits counts. Dice gives numbers in [0, 1).
func (f Faults) at(stage string, dice func() float64) (hit fault) {
	ended := false
	for _, fault := range f {
		if fault.stage != stage || fault.chance < 1 && dice() >= fault.chance {
			continue
		}
		hit.delay += fault.delay
		if !ended && (fault.drop || fault.reply != "") {
			hit.drop, hit.reply, ended = fault.drop, fault.reply, true
		}
	}
	return hit
}

// faultChance is the optional end of a fault: @30%.
var faultChance = regexp.MustCompile(`@(\d+(?:\.\d+)?)%$`)

// rejectReply is a reply that refuses, with or without an enhanced code.
var rejectReply = regexp.MustCompile(`^[45]\d\d [ -~]+$`)

// parseReject reads STAGE:REPLY[@CHANCE%], as in "rcpt:550 5.1.1 no such user@30%".
func parseReject(text string) (fault, error) {
	f, reply, err := parseFault(text)
	if err != nil {
		return f, err
	}
	if !rejectReply.MatchString(reply) {
		return f, fmt.Errorf("%q: want a reply such as 550 5.1.1 no such user after the stage", text)
	}
	f.reply = reply
	return f, nil
}

// parseDelay reads STAGE:DURATION[@CHANCE%], as in "data:2s".
func parseDelay(text string) (fault, error) {
	f, duration, err := parseFault(text)
	if err != nil {
		return f, err
	}
	f.delay, err = time.ParseDuration(duration)
	if err != nil || f.delay <= 0 {
		return f, fmt.Errorf("%q: want a duration such as 2s or 300ms after the stage", text)
	}
	return f, nil
}

// parseDrop reads STAGE[@CHANCE%], as in "dot@5%".
func parseDrop(text string) (fault, error) {
	f, rest, err := parseFault(text)
	if err == nil && rest != "" {
		err = fmt.Errorf("%q: want a stage and nothing else", text)
	}
	f.drop = true
	return f, err
}

// parseFault takes off what all faults have: the stage in front and the chance at the end.
func parseFault(text string) (f fault, rest string, err error) {
	f.chance, rest = 1, text
	if m := faultChance.FindStringSubmatch(text); m != nil {
		rest = strings.TrimSuffix(text, m[0])
		percent, err := strconv.ParseFloat(m[1], 64)
		if err != nil || percent > 100 {
			return f, "", fmt.Errorf("%q: a chance is from 0%% to 100%%", text)
		}
		f.chance = percent / 100
	}
	f.stage, rest, _ = strings.Cut(rest, ":")
	if !slices.Contains(stages(), f.stage) {
		return f, "", fmt.Errorf("%q: unknown stage %q: want one of %s", text, f.stage, strings.Join(stages(), ", "))
	}
	return f, rest, nil
}

// ParseFaults reads the three flags, each given any number of times.
func ParseFaults(rejects, delays, drops []string) (Faults, error) {
	var faults Faults
	for _, kind := range []struct {
		flag  string
		texts []string
		parse func(string) (fault, error)
	}{
		{"--reject", rejects, parseReject},
		{"--delay", delays, parseDelay},
		{"--drop", drops, parseDrop},
	} {
		for _, text := range kind.texts {
			f, err := kind.parse(text)
			if err != nil {
				return nil, fmt.Errorf("%s %w", kind.flag, err)
			}
			faults = append(faults, f)
		}
	}
	return faults, nil
}
