package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/letswriteabook/realtime/internal/cli"
	"github.com/letswriteabook/realtime/internal/config"
	"github.com/letswriteabook/realtime/operations"
)

// nothingMatches returns the error of a command that found nothing, usually because a name
// is mistyped. The exit status is 3, as for every command that does not find what is
// expected. look says what to check.
func nothingMatches(look string) error { return cli.Differs(fmt.Errorf("nothing matches: %s", look)) }

// withOperator calls f with the log and the read models, and with a progress on standard
// error, whose first line names the log.
func withOperator(ctx context.Context, f func(*operations.Operator, *cli.Progress) error) error {
	return withLog(ctx, false, f)
}

// withLog is [withOperator]; with create it creates a log if there is none.
func withLog(ctx context.Context, create bool, f func(*operations.Operator, *cli.Progress) error) error {
	cfg, err := loadConfig()
	if err != nil {
		return err
	}
	if cfg.LogLevel == "info" {
		cfg.LogLevel = "warn" // the command prints its results itself
	}
	operator, err := operations.Open(ctx, cfg, create, config.NewLogger(os.Stderr, cfg))
	if err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "log:", operator.Where(ctx))
	shown := cli.NewProgress()
	err = f(operator, shown)
	shown.End()
	return errors.Join(err, operator.Close())
}
