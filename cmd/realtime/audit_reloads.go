package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/letswriteabook/realtime/internal/cli"
	"github.com/letswriteabook/realtime/operations"
)

func newAuditReloads() *cobra.Command {
	var output string
	command := &cobra.Command{
		Use:   "reloads",
		Short: "List the settings that gateways have changed while they ran",
		Long: `reloads lists, for each SIGHUP, the gateway, the settings that it has applied, and the changed
settings that need a restart: the newest thousand, oldest first. Values are not recorded.`,
		Example: `  realtime audit reloads
  realtime audit reloads -o json`,
		Args: cli.Arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := cli.CheckOutput(output); err != nil {
				return err
			}
			return withOperator(cmd.Context(), func(operator *operations.Operator, _ *cli.Progress) error {
				reloads, err := operator.Reloads(cmd.Context())
				if err != nil {
					return err
				}
				return cli.Render(cmd.OutOrStdout(), output, reloads, func(w io.Writer) {
					fmt.Fprintln(w, "AT\tGATEWAY\tCHANGED\tTAKES A RESTART")
					for _, r := range reloads {
						fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", r.At.Format(time.RFC3339), printable(r.Gateway), strings.Join(r.Changed, " "), strings.Join(r.Restart, " "))
					}
				})
			})
		},
	}
	cli.OutputFlag(command, &output)
	return command
}
