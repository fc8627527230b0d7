package processes

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
)

// maxSaid bounds the output of a command in an error, in bytes.
const maxSaid = 2000

// Shell runs an operator's command with sh. It returns when the command has ended;
// processes that it has left running continue. A Ctrl-C at the terminal does not reach it.
func Shell(ctx context.Context, command string) error {
	// A file, because with a pipe Wait would wait until every process that has it has ended.
	said, err := os.CreateTemp("", "realtime-shell-")
	if err != nil {
		return fmt.Errorf("%s: %w", command, err)
	}
	defer func() { _, _ = said.Close(), os.Remove(said.Name()) }()
	process := exec.CommandContext(ctx, "sh", "-c", command)
	process.Stdout, process.Stderr, process.SysProcAttr = said, said, detached()
	if err := process.Run(); err != nil {
		text, _ := io.ReadAll(io.NewSectionReader(said, 0, maxSaid))
		return fmt.Errorf("%s: %w: %s", command, err, bytes.TrimSpace(text))
	}
	return nil
}
