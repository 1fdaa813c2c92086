// Command mayfly is the whole of Mayfly in one binary: the server (`mayfly serve`) and the tool that talks to it.
//
// serve.go is the only place that sees every package; the other files are one subcommand each and talk to a server over
// the same wire protocols as everybody else's clients do.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"mayfly/sandbox/native"
)

// version is set at link time (-X main.version=…).
var version = "dev"

func main() {
	if native.IsInit(os.Args) { // this process is a part of a sandbox, see sandbox/native
		native.InitMain()
	}
	// The first SIGINT or SIGTERM ends the command's context, so that it can leave in order; the second one finds the
	// default action again and kills.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	code := exitCode(newRootCommand().ExecuteContext(ctx))
	stop()
	os.Exit(code)
}

// exitError ends the process with a status and without a message: what there was to say has been said.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// exitCode prints err, when it has something to say, and returns the status to exit with.
func exitCode(err error) int {
	var quiet exitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &quiet):
		return int(quiet)
	case errors.Is(err, context.Canceled):
		return 130 // as a shell reports a command that was interrupted
	default:
		fmt.Fprintln(os.Stderr, "mayfly: "+explain(err))
		return 1
	}
}
