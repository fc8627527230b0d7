package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/letswriteabook/realtime/internal/buildinfo"
	"github.com/letswriteabook/realtime/internal/cli"
)

func newVersion() *cobra.Command {
	var output string
	command := &cobra.Command{
		Use:   "version",
		Short: "Print the version, the commit and the wire contract of this build",
		Args:  cli.Arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := cli.CheckOutput(output); err != nil {
				return err
			}
			info := buildinfo.Read()
			return cli.Render(cmd.OutOrStdout(), output, info, func(w io.Writer) {
				fmt.Fprintf(w, "version\t%s\n", info.Version)
				if info.Commit != "" {
					fmt.Fprintf(w, "commit\t%s of %s\n", info.Commit, info.Time)
				}
				fmt.Fprintf(w, "go\t%s\nplatform\t%s\ncontract\t%d\n", info.Go, info.Platform, info.Contract)
			})
		},
	}
	cli.OutputFlag(command, &output)
	return command
}
