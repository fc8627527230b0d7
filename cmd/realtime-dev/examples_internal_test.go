package main

import (
	"testing"

	"github.com/letswriteabook/realtime/internal/testkit"
)

// Each example in the help of a command is a command line that the command takes.
func TestExamplesAreTaken(t *testing.T) {
	t.Parallel()
	testkit.CheckExamples(t, newCommand)
}
