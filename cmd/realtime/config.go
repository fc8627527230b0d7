package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"github.com/caarlos0/env/v11"
	"github.com/spf13/cobra"

	"github.com/letswriteabook/realtime/internal/cli"
	"github.com/letswriteabook/realtime/internal/config"
)

func newConfig() *cobra.Command {
	var output string
	command := &cobra.Command{
		Use:   "config",
		Short: "Print the effective settings, passwords hidden",
		Long: `config prints every setting with its value, whether SIGHUP applies a new one, and its meaning. It exits with 2 and names the
settings that are wrong or contradict each other. Warnings go to standard error.`,
		Example: `  realtime config
  SOCKET_MAX_CONNECTIONS=500 realtime config -o json`,
		Args: cli.Arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := checkedConfig(cmd.ErrOrStderr(), env.ToMap(os.Environ()))
			if err != nil {
				return err
			}
			switch output {
			case "json":
				encoder := json.NewEncoder(cmd.OutOrStdout())
				encoder.SetIndent("", "  ")
				encoder.SetEscapeHTML(false)
				return encoder.Encode(cfg.Settings())
			case "table":
				table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
				fmt.Fprintln(table, "VARIABLE\tVALUE\tSIGHUP\tMEANING")
				for _, setting := range cfg.Settings() {
					reload := ""
					if setting.Reload {
						reload = "yes"
					}
					fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", setting.Name, setting.Value, reload, setting.Meaning)
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
	command.AddCommand(newConfigInit(), newConfigCheck())
	return command
}

// checkedConfig returns the settings of an environment. It refuses settings that serve
// would refuse without contacting a server, and writes the warnings to out.
func checkedConfig(out io.Writer, environ map[string]string) (config.Config, error) {
	cfg, err := config.Load(environ)
	if err != nil {
		return cfg, err
	}
	for _, warning := range cfg.Warnings() {
		fmt.Fprintln(out, "warning:", warning)
	}
	return cfg, cfg.CheckMachine()
}

func newConfigInit() *cobra.Command {
	var file string
	command := &cobra.Command{
		Use:   "init",
		Short: "Write a settings file with every setting as a comment",
		Long: `init writes a file for CONFIG_FILE: every setting with what it means and its default, as
comments. It does not replace an existing file.`,
		Example: `  realtime config init --file /etc/realtime/realtime.toml
  realtime config init > realtime.toml`,
		Args: cli.Arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if file == "" {
				_, err := fmt.Fprint(cmd.OutOrStdout(), config.SettingsFile())
				return err
			}
			// Secrets may be added to the file later.
			out, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
			if err != nil {
				return err
			}
			_, err = out.WriteString(config.SettingsFile())
			return errors.Join(err, out.Close())
		},
	}
	command.Flags().StringVar(&file, "file", "", "where to write it; empty: standard output")
	return command
}

func newConfigCheck() *cobra.Command {
	var file string
	command := &cobra.Command{
		Use:   "check",
		Short: "Check the settings, and print only errors and warnings",
		Long: `check reads the settings as serve does, and the files that they name: secrets, certificates,
the catalogue. It also checks that this machine has the addresses to listen on, and that
DATA_DIR can be written. It connects to no server. Warnings go to standard error.

It exits with 0 if serve would accept the settings, and with 2 if it would not.`,
		Example: `  realtime config check --file /etc/realtime/realtime.toml`,
		Args:    cli.Arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			environ := env.ToMap(os.Environ())
			if file != "" {
				environ["CONFIG_FILE"] = file
			}
			_, err := checkedConfig(cmd.ErrOrStderr(), environ)
			return err
		},
	}
	command.Flags().StringVar(&file, "file", "", "settings file, in place of CONFIG_FILE")
	return command
}
