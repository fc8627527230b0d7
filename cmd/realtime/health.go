package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/letswriteabook/realtime/internal/cli"
	"github.com/letswriteabook/realtime/internal/client"
	"github.com/letswriteabook/realtime/internal/config"
)

// errUnhealthy makes the command exit with status 1.
var errUnhealthy = errors.New("the gateway is not healthy")

func newHealth() *cobra.Command {
	var url string
	var live bool
	command := &cobra.Command{
		Use:   "health",
		Short: "Ask the gateway on this machine whether it is ready",
		Long: `health requests /health/ready of the gateway with the settings of the environment (ADMIN_ADDR,
or LISTEN, or HOST and PORT), or of the one at --url, and prints its state. It is meant for the health checks of
containers, whose images have no curl.

It exits with 0 when the gateway is ready or degraded, 1 when it is not ready, stopping or
does not answer, 2 for wrong usage.`,
		Example: `  realtime health
  realtime health --live
  realtime health --url http://gateway-2:3001`,
		Args: cli.Arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			local := url == ""
			if local {
				cfg, err := loadConfig()
				if err != nil {
					return err
				}
				url = localURL(cfg)
			}
			page := "/health/ready"
			if live {
				page = "/health/live"
			}
			health, passed, err := client.CheckHealth(cmd.Context(), url, page, local)
			if err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), health.State)
			for _, part := range slices.Sorted(maps.Keys(health.Parts)) {
				if state := health.Parts[part]; state != "ok" {
					fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", part, state)
				}
			}
			if !passed {
				return errUnhealthy
			}
			return nil
		},
	}
	command.Flags().StringVar(&url, "url", "", "address of a gateway, such as http://gateway-2:3001")
	command.Flags().BoolVar(&live, "live", false, "only ask whether the process answers")
	return command
}

// localURL returns the address of the gateway with these settings on this machine: a URL,
// or unix: and the path of a UNIX socket.
func localURL(cfg config.Config) string {
	if _, onUnix := cfg.UnixSocket(); onUnix && cfg.AdminAddr == "" {
		return cfg.Listen
	}
	scheme, host, port := "http", cfg.Host, strconv.Itoa(cfg.Port)
	if cfg.SpeaksTLS() {
		scheme = "https"
	}
	if cfg.AdminAddr != "" {
		scheme = "http"
		host, port, _ = net.SplitHostPort(cfg.AdminAddr) // validated
	}
	host = cmp.Or(host, "127.0.0.1")
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}
