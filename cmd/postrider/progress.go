package main

import (
	"io"

	"github.com/schollz/progressbar/v3"
)

// newProgress makes a bar that counts things to most, or without an end for -1. It is drawn only when it is told
// something: by itself, which it would do without an end, it reads its state while that is written.
func newProgress(w io.Writer, what string, most int, things string) *progressbar.ProgressBar {
	return progressbar.NewOptions(most, progressbar.OptionSetWriter(w), progressbar.OptionSetDescription(what),
		progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString(things),
		progressbar.OptionClearOnFinish(), progressbar.OptionSetSpinnerChangeInterval(0))
}
