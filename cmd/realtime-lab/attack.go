package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/letswriteabook/realtime/lab/faults"
)

// newAttack returns the command that row 34 of the fault matrix starts.
func newAttack() *cobra.Command {
	return &cobra.Command{
		Use: faults.AttackCommand + " HOST:PORT JOB", Hidden: true, Args: cobra.ExactArgs(2),
		Short: "Attack a gateway until the standard input ends, and print the number of attempts",
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, end := context.WithCancel(cmd.Context())
			defer end()
			go func() { // ends with the input, or the process
				_, _ = io.Copy(io.Discard, os.Stdin)
				end()
			}()
			fmt.Println(faults.Attack(ctx, args[0], args[1]))
			return nil
		},
	}
}
