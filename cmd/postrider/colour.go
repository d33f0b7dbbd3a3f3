package main

import (
	"io"
	"os"
)

// colour is how a word stands out for a person. Nothing is coloured but at a terminal, nor
// where NO_COLOR is set (https://no-color.org).
type colour string

const (
	plainColour colour = ""
	red         colour = "\x1b[31m"
	green       colour = "\x1b[32m"
	yellow      colour = "\x1b[33m"
	cyan        colour = "\x1b[36m"
	bold        colour = "\x1b[1m"
)

// painter colours text, or leaves it.
type painter bool

func newPainter(w io.Writer) painter { return painter(isTerminal(w) && os.Getenv("NO_COLOR") == "") }

func (p painter) paint(c colour, text string) string {
	if !p || c == plainColour {
		return text
	}
	return string(c) + text + "\x1b[0m"
}
