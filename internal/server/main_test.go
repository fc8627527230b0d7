package server_test

import (
	"os"
	"testing"

	"github.com/letswriteabook/realtime/internal/testkit/mongokit"
)

func TestMain(m *testing.M) { os.Exit(mongokit.Main(m).Run()) }
