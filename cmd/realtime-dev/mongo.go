package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/letswriteabook/realtime/internal/devstack"
)

// newMongoCommand returns the command that runs only the MongoDB-protocol server of the
// stack, so that drills can kill and pause it. It is hidden: for other purposes a real
// MongoDB is better.
func newMongoCommand() *cobra.Command {
	var listen, dir string
	command := &cobra.Command{
		Use:    "mongo",
		Short:  "The MongoDB-protocol server of the stack alone",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return serveMongo(cmd.Context(), devstack.MongoConfig{
				Addr: listen, Dir: dir, Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)),
			})
		},
	}
	command.Flags().StringVar(&listen, "listen", "127.0.0.1:0", "address of the server")
	command.Flags().StringVar(&dir, "dir", "", "folder of its files")
	return command
}

// serveMongo runs the server until ctx ends.
func serveMongo(ctx context.Context, cfg devstack.MongoConfig) (err error) {
	server, err := devstack.StartMongo(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		err = errors.Join(err, server.Close(closing))
	}()
	fmt.Println(server.URI())
	<-ctx.Done()
	return nil
}
