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

// nothingMatches ends a command that has found nothing of what it was asked for, as a rule
// because a name is mistyped: with status 3, as every command that finds not what is
// expected. look says at what to look.
func nothingMatches(look string) error { return cli.Differs(fmt.Errorf("nothing matches: %s", look)) }

// withOperator calls f with the log and the read models, and tells how it goes. The first
// line on standard error names the log.
func withOperator(ctx context.Context, f func(*operations.Operator, *cli.Progress) error) error {
	return withLog(ctx, false, f)
}

// withLog is [withOperator]; with create it makes a log where there is none.
func withLog(ctx context.Context, create bool, f func(*operations.Operator, *cli.Progress) error) error {
	cfg, err := loadConfig()
	if err != nil {
		return err
	}
	if cfg.LogLevel == "info" {
		cfg.LogLevel = "warn" // What the command has to say it prints.
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
