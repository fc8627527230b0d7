package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/letswriteabook/realtime/internal/cli"
	"github.com/letswriteabook/realtime/internal/client"
	"github.com/letswriteabook/realtime/messaging"
)

// empty reports whether event ends the catch-up of a job without events.
func empty(event client.Event) bool {
	var caughtUp messaging.CaughtUp
	return event.Name == messaging.EventCaughtUp && json.Unmarshal([]byte(event.Data), &caughtUp) == nil && caughtUp.To == 0 && caughtUp.Replayed == 0
}

func newTail() *cobra.Command {
	var address, since, token string
	command := &cobra.Command{
		Use:   "tail JOB",
		Short: "Print a job's events as they happen",
		Long: `tail prints the newest events of a job and then each further one, a line each: the
socket event's name, a tab, and its payload. It resumes after a lost connection. For a job
without events it prints a note on standard error, and waits.

If the gateway requires tokens, give a client's token with --token or REALTIME_TOKEN; the
variable keeps it out of the list of processes.`,
		Example: `  realtime tail job-42
  realtime tail job-42 --since 0          # from the beginning
  realtime tail job-42 | jq -R 'split("\t")[1] | fromjson'`,
		Args: cli.Arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if token == "" {
				token = os.Getenv("REALTIME_TOKEN")
			}
			return client.Follow(cmd.Context(), address, args[0], since, token, func(event client.Event) error {
				if empty(event) {
					fmt.Fprintln(cmd.ErrOrStderr(), "nothing matches so far: no event of this job is stored; waiting for the first one")
				}
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s\t%s\n", event.Name, event.Data)
				return err
			})
		},
	}
	port := os.Getenv("PORT")
	if port == "" {
		port = "3001"
	}
	command.Flags().StringVar(&address, "url", "http://localhost:"+port, "address of the gateway, with the path of a proxy if there is one")
	command.Flags().StringVar(&token, "token", "", "token of a client that may follow the job; empty: the one in REALTIME_TOKEN, if it is set")
	command.Flags().StringVar(&since, "since", "", "start right after this position, EPOCH:SEQUENCE, or 0: from the beginning; empty: with the newest events")
	return command
}
