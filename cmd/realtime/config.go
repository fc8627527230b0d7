package main

import (
	"encoding/json"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/letswriteabook/realtime/internal/cli"
	"github.com/letswriteabook/realtime/internal/config"
)

func newConfig() *cobra.Command {
	var output string
	command := &cobra.Command{
		Use:   "config",
		Short: "Print the effective settings, passwords hidden",
		Long: `config prints every setting with the value in force and what it means. It exits with 2 and
names each that is wrong, or says which contradict each other. Warnings go to standard error.`,
		Example: `  realtime config
  SOCKET_MAX_CONNECTIONS=500 realtime config -o json`,
		Args: cli.Arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig()
			if err != nil {
				return err
			}
			for _, warning := range cfg.Warnings() {
				fmt.Fprintln(cmd.ErrOrStderr(), "warning:", warning)
			}
			switch output {
			case "json":
				encoder := json.NewEncoder(cmd.OutOrStdout())
				encoder.SetIndent("", "  ")
				encoder.SetEscapeHTML(false)
				return encoder.Encode(cfg.Settings())
			case "table":
				table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
				fmt.Fprintln(table, "VARIABLE\tVALUE\tMEANING")
				for _, setting := range cfg.Settings() {
					fmt.Fprintf(table, "%s\t%s\t%s\n", setting.Name, setting.Value, setting.Meaning)
				}
				return table.Flush()
			case "markdown":
				_, err := fmt.Fprint(cmd.OutOrStdout(), config.Page())
				return err
			}
			return cli.Usage(fmt.Errorf("--output is %q: want table, json or markdown", output))
		},
	}
	command.Flags().StringVarP(&output, "output", "o", "table", "table or json: the values in force; markdown: docs/configuration.md")
	return command
}
