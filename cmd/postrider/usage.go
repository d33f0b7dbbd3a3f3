package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// explainUsage has a command line that makes no sense answered with how the command is used. A word
// that is no command of a group, such as queue, is a fault too, and not a call for help with exit code 0.
func explainUsage(cmd *cobra.Command) {
	for _, sub := range cmd.Commands() {
		explainUsage(sub)
	}
	if !cmd.HasParent() {
		cmd.SetFlagErrorFunc(misused)
		return
	}
	if !cmd.Runnable() {
		cmd.DisableFlagsInUseLine = true
		cmd.RunE = func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return c.Help()
			}
			return fmt.Errorf("%w\n%s --help lists its commands", unknownCommand(c, args[0]), c.CommandPath())
		}
		return
	}
	check := cmd.Args
	cmd.Args = func(c *cobra.Command, args []string) error {
		var err error
		if check != nil {
			err = check(c, args)
		}
		if err == nil {
			err = c.ValidateRequiredFlags()
		}
		return misused(c, err)
	}
}

// misused adds how the command is used.
func misused(c *cobra.Command, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w\nusage: %s\n%s --help says more", err, c.UseLine(), c.CommandPath())
}

// unknownCommand names those that may have been meant.
func unknownCommand(c *cobra.Command, word string) error {
	c.SuggestionsMinimumDistance = 2
	text := fmt.Sprintf("unknown command %q for %q", word, c.CommandPath())
	if like := c.SuggestionsFor(word); len(like) > 0 {
		text += ": did you mean " + strings.Join(like, " or ") + "?"
	}
	return errors.New(text)
}
