package main

import (
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"github.com/letswriteabook/realtime/internal/buildinfo"
	"github.com/letswriteabook/realtime/internal/cli"
)

// newMan returns the command that writes the manual pages of every command, for releases.
func newMan() *cobra.Command {
	return &cobra.Command{
		Use: "man FOLDER", Hidden: true,
		Short: "Write the manual pages of every command into a folder",
		Args:  cli.Arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return err
			}
			// With a fixed date, two builds of one commit have the same pages.
			date := time.Unix(0, 0).UTC()
			return doc.GenManTree(cmd.Root(), &doc.GenManHeader{
				Title: "REALTIME", Section: "1", Date: &date, Source: "realtime " + buildinfo.Read().Version, Manual: "realtime",
			}, args[0])
		},
	}
}
