package faults

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/letswriteabook/realtime/internal/wait"
	"github.com/letswriteabook/realtime/lab/processes"
)

// tool is a run of the operators' program on the trial's system.
type tool struct {
	*exec.Cmd
	said  *said
	ended chan struct{} // closed when it has ended
	err   error         // its error; set before ended is closed
}

// said is the output of a program, bounded in size.
type said struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

// maxToolBytes bounds the kept output of a command.
const maxToolBytes = 1 << 20

// Write adds output.
func (s *said) Write(piece []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text.Write(piece[:min(len(piece), maxToolBytes-s.text.Len())])
	return len(piece), nil
}

// String returns the output so far.
func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.TrimSpace(s.text.String())
}

// launch starts a command, which ends with ctx. The variables are those of
// [processes.Lab.Operate].
func (t *Trial) launch(ctx context.Context, env map[string]string, args ...string) (*tool, error) {
	r := &tool{Cmd: t.Lab.Operate(ctx, env, args...), said: &said{}, ended: make(chan struct{})}
	r.Stdout, r.Stderr = r.said, r.said
	if err := r.Start(); err != nil {
		return nil, fmt.Errorf("realtime %s: %w", args[0], err)
	}
	go func() { // ends with the command
		r.err = r.Wait()
		close(r.ended)
	}()
	return r, nil
}

// code waits for the end of the command, and returns its exit code, or -1 if it was killed.
func (r *tool) code() int {
	<-r.ended
	return r.ProcessState.ExitCode()
}

// kill ends the command with SIGKILL, and waits for it.
func (r *tool) kill() {
	_ = r.Process.Kill() // fails when it has ended
	<-r.ended
}

// operate runs a command, whose exit code must be want, and returns its output.
func (t *Trial) operate(ctx context.Context, want int, env map[string]string, args ...string) (string, error) {
	r, err := t.launch(ctx, env, args...)
	if err != nil {
		return "", err
	}
	if code := r.code(); code != want {
		return r.said.String(), errors.Join(fmt.Errorf("realtime %s ended with %d, want %d: %.1000s", strings.Join(args, " "), code, want, r.said), ctx.Err())
	}
	return r.said.String(), nil
}

// jetStream connects to the trial's streams as a foreign tool does.
func (t *Trial) jetStream() (jetstream.JetStream, func(), error) {
	conn, err := nats.Connect(t.natsURL(), nats.Name("fault run"))
	if err != nil {
		return nil, nil, fmt.Errorf("connect to NATS: %w", err)
	}
	js, err := jetstream.New(conn)
	if err != nil {
		conn.Close()
		return nil, nil, err
	}
	return js, conn.Close, nil
}

// insist repeats a request until it is answered, because during an election of the cluster
// it may not be.
func insist(ctx context.Context, request func(ctx context.Context) error) error {
	for {
		bounded, cancel := context.WithTimeout(ctx, 5*time.Second)
		err := request(bounded)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
			return err
		}
	}
}

// lead makes a node lead the log. The other nodes must be up to date.
func (t *Trial) lead(ctx context.Context, node *processes.Process) error {
	conn, err := nats.Connect(t.natsURL(), nats.Name("fault run"))
	if err != nil {
		return fmt.Errorf("have %s lead the log: %w", node.Name(), err)
	}
	defer conn.Close()
	request := fmt.Appendf(nil, `{"placement":{"preferred":%q}}`, node.Name())
	for {
		leader, err := t.Lab.AwaitLeader(ctx)
		if err != nil {
			return err
		}
		if t.Lab.NATS(leader) == node {
			return nil
		}
		bounded, cancel := context.WithTimeout(ctx, 5*time.Second)
		_, err = conn.RequestWithContext(bounded, "$JS.API.STREAM.LEADER.STEPDOWN."+processes.EventStream, request)
		cancel()
		// Retry after a refusal, or without an answer, during an election.
		if waited := wait.For(ctx, 500*time.Millisecond); waited != nil {
			return fmt.Errorf("have %s lead the log: %w", node.Name(), errors.Join(waited, err))
		}
	}
}
