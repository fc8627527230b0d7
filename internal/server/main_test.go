package server_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/letswriteabook/realtime/internal/testkit/mongokit"
)

func TestMain(m *testing.M) {
	if store := os.Getenv(guardedStore); store != "" {
		if err := serveGuarded(store, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "serve NATS:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(mongokit.Main(m).Run())
}
