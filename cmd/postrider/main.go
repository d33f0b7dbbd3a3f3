// Command postrider is an SMTP relay: it puts mail on stable storage, answers 250 at
// once, and delivers on its own. Each subcommand has a file, or a room, of its own.
package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"postrider/cmd/postrider/load"
	"postrider/cmd/postrider/sink"
)

func main() {
	root := newRootCommand()
	if args := asSendmail(os.Args); args != nil {
		root.SetArgs(args)
	}
	os.Exit(execute(root, os.Stderr))
}

// execute runs the command line and gives the exit code: 0, or 1, or what the command says, after
// one clear line on stderr. The first SIGINT or SIGTERM ends the command's context, the second one the process.
func execute(root *cobra.Command, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	if err := root.ExecuteContext(ctx); err != nil {
		complain(stderr, err)
		if e, ok := errors.AsType[*exitError](err); ok {
			return e.code
		}
		return 1
	}
	return 0
}

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "postrider",
		Short: "An SMTP relay that answers once mail is safe, and delivers on its own",
		Long: `Postrider is an SMTP relay. Applications and mail servers hand it mail; it puts
the mail on stable storage, answers 250 at once, and from then on delivery is
its own problem.

Try it in two minutes, in three terminals:

  postrider sink                                  a mail server that swallows everything
  postrider serve --relay-host 127.0.0.1:2626     the relay, on 127.0.0.1:2525
  postrider load --messages 1000                  a thousand messages, and how long each 250 took

Nothing is lost if you kill -9 the relay meanwhile and start it again.

Commands that ask a running relay find it by --config FILE, the file that it was
started with, or by $POSTRIDER_CONFIG.

The exit code is 0, or 1 where something failed, was not found or could not be changed: the
last line on stderr says what. The sendmail command has the codes of sysexits.h.`,
		Version:       version(),
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddGroup(
		&cobra.Group{ID: groupRelay, Title: "The relay:"},
		&cobra.Group{ID: groupTools, Title: "Tools for trying it out:"},
	)
	root.AddCommand(
		newServeCommand(),
		newHealthCommand(),
		newDoctorCommand(),
		newCheckCommand(),
		newReloadCommand(),
		newExplainCommand(),
		newSendmailCommand(),
		newImportCommand(),
		newUserCommand(),
		newQueueCommand(),
		newSpoolCommand(),
		newDestCommand(),
		newJournalCommand(),
		newStatsCommand(),
		newTailCommand(),
		newTopCommand(),
		newTraceCommand(),
		newTranscriptCommand(),
		newSuppressionCommand(),
		newOAuthCommand(),
		newDKIMCommand(),
		newClassifyCommand(),
		tool(sink.Command(isTerminal)),
		tool(load.Command(isTerminal)),
		newDocsCommand(),
	)
	explainUsage(root)
	return root
}

// The headings of postrider --help; a command names its own as GroupID.
const (
	groupRelay = "relay"
	groupTools = "tools"
)

// tool puts a command of a room of its own under its heading.
func tool(cmd *cobra.Command) *cobra.Command {
	cmd.GroupID = groupTools
	return cmd
}

// version gives what the build knows about itself.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "unknown"
	}
	return info.Main.Version
}

// isTerminal says whether somebody watches: progress is drawn for people only.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
