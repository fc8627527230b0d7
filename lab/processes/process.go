package processes

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

var (
	// ErrRunning is returned by [Process.Start] while the process runs.
	ErrRunning = errors.New("process runs already")
	// ErrNotRunning is returned by signals to a process that does not run.
	ErrNotRunning = errors.New("process does not run")
	// ErrEnded is matched if a process ended before it was ready. The error has the end of
	// its output; a retry helps if that says so.
	ErrEnded = errors.New("process ended before it was ready")
)

// How long a process may take to become ready, and how often this is checked.
const (
	startTimeout = 45 * time.Second
	readyPause   = 20 * time.Millisecond
)

// Process is one program with its arguments, over any number of runs. Its methods may be
// called concurrently.
type Process struct {
	name   string
	args   []string
	addr   string
	ready  func(ctx context.Context) error
	output *output

	mu   sync.Mutex // guards the fields below
	path string
	// unbooted is the program itself while path is the script of [Lab.NextBoot].
	unbooted string
	env      map[string]string
	cmd      *exec.Cmd     // nil before the first life
	ended    chan struct{} // closed when the latest life has ended
	status   error         // what it ended with; set before ended is closed
	lives    int
}

// Name returns the name of the process in this lab, such as "gateway-2".
func (p *Process) Name() string { return p.name }

// Addr returns the loopback host and port of the process, the same in each run.
func (p *Process) Addr() string { return p.addr }

// LastWords returns the end of the output of all runs.
func (p *Process) LastWords() string { return p.output.String() }

// Set sets a variable of its environment, from the next start on.
func (p *Process) Set(name, value string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.env[name] = value
}

// Replace replaces its program by another build, from the next start on.
func (p *Process) Replace(path string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.path = path
}

// Launch starts the program and does not wait until it is ready.
func (p *Process) Launch() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running() {
		return fmt.Errorf("start %s: %w", p.name, ErrRunning)
	}
	cmd := exec.Command(p.path, p.args...)
	cmd.Env = environment(p.env)
	cmd.Stdout, cmd.Stderr = p.output, p.output
	cmd.SysProcAttr = attributes()
	started, ended := make(chan error, 1), make(chan struct{})
	go func() { // ends with the process, which Kill, Stop and Lab.Close end
		// The kernel ties the child to the thread that has started it, so the thread must run
		// as long as the child.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		status := cmd.Wait()
		p.mu.Lock()
		p.status = status
		p.mu.Unlock()
		close(ended)
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	p.cmd, p.ended = cmd, ended
	p.lives++
	return nil
}

// Start starts the program and returns when it serves, or with [ErrEnded] or the error of
// ctx. A program that is not ready in time is killed.
func (p *Process) Start(ctx context.Context) error {
	if err := p.Launch(); err != nil {
		return err
	}
	if err := p.Ready(ctx); err != nil {
		p.Kill()
		return err
	}
	return nil
}

// Ready waits until the process serves.
func (p *Process) Ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	p.mu.Lock()
	ended := p.ended
	p.mu.Unlock()
	if ended == nil {
		return fmt.Errorf("wait for %s: %w", p.name, ErrNotRunning)
	}
	tick := time.NewTicker(readyPause)
	defer tick.Stop()
	for {
		err := p.ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ended:
			return fmt.Errorf("start %s: %w:\n%s", p.name, ErrEnded, p.LastWords())
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w, last: %w", p.name, ctx.Err(), err)
		}
	}
}

// Kill ends the process with SIGKILL, even if it is paused, and waits for it. It does
// nothing if the process does not run.
func (p *Process) Kill() {
	ended, err := p.signal(syscall.SIGKILL)
	if err == nil {
		<-ended
	}
}

// Stop ends the process with SIGTERM, as an operator would, and waits for it; when ctx ends
// it kills the process. The error says that the process was killed, or how it exited.
func (p *Process) Stop(ctx context.Context) error {
	ended, err := p.signal(syscall.SIGTERM)
	if err != nil {
		return err
	}
	select {
	case <-ended:
	case <-ctx.Done():
		p.Kill()
		return fmt.Errorf("stop %s: %w: killed", p.name, ctx.Err())
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.status != nil {
		return fmt.Errorf("stop %s: %w:\n%s", p.name, p.status, p.output.String())
	}
	return nil
}

// Pause stops the process with SIGSTOP: its connections stay open and accept
// bytes, and nothing answers.
func (p *Process) Pause() error {
	_, err := p.signal(syscall.SIGSTOP)
	return err
}

// Resume continues a paused process.
func (p *Process) Resume() error {
	_, err := p.signal(syscall.SIGCONT)
	return err
}

// Running reports whether the process runs, paused or not.
func (p *Process) Running() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.running()
}

// PID returns the process id of the latest run, 0 before the first.
func (p *Process) PID() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return 0
	}
	return p.cmd.Process.Pid
}

// running is called with mu held.
func (p *Process) running() bool {
	if p.ended == nil {
		return false
	}
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// signal sends a signal and returns a channel that is closed when the process has ended.
func (p *Process) signal(signal syscall.Signal) (<-chan struct{}, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.running() {
		return nil, fmt.Errorf("send %v to %s: %w", signal, p.name, ErrNotRunning)
	}
	if err := p.cmd.Process.Signal(signal); err != nil {
		return nil, fmt.Errorf("send %v to %s: %w", signal, p.name, err)
	}
	return p.ended, nil
}
