package e2e_test

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"strings"
	"time"
)

// signalled runs a command and sends it a signal once a line on its standard error holds
// a text.
func (o *operated) signalled(signal os.Signal, at string, args ...string) result {
	o.t.Helper()
	command := exec.CommandContext(o.t.Context(), build(o.t, "realtime"), args...)
	command.Dir = o.t.TempDir()
	command.Env = environ(o.env)
	var stdout, stderr strings.Builder
	command.Stdout = &stdout
	pipe, err := command.StderrPipe()
	if err != nil {
		o.t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		o.t.Fatal(err)
	}
	late := time.AfterFunc(patience, func() { _ = command.Process.Kill() })
	defer late.Stop()
	sent := false
	for lines := bufio.NewScanner(pipe); lines.Scan(); {
		stderr.WriteString(lines.Text() + "\n")
		if sent || !strings.Contains(lines.Text(), at) {
			continue
		}
		sent = true
		if err := command.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
			o.t.Fatal(err)
		}
	}
	_ = command.Wait() // its status is looked at
	if !sent {
		o.t.Fatalf("%q never says %q:\n%s", args, at, stderr.String())
	}
	return result{code: command.ProcessState.ExitCode(), stdout: stdout.String(), stderr: stderr.String()}
}
