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
	// ErrEnded is matched when a process ended before it was ready. Its last words
	// are in the error; a retry helps when they say so.
	ErrEnded = errors.New("process ended before it was ready")
)

// How long a process may take to become ready, and how often it is asked.
const (
	startTimeout = 45 * time.Second
	readyPause   = 20 * time.Millisecond
)

// Process is one program with its arguments, over any number of lives. Its
// methods may be called concurrently.
type Process struct {
	name   string
	args   []string
	addr   string
	ready  func(ctx context.Context) error
	output *output

	mu     sync.Mutex // guards the fields below
	path   string
	env    map[string]string
	cmd    *exec.Cmd     // nil before the first life
	ended  chan struct{} // closed when the latest life has ended
	status error         // what it ended with; set before ended is closed
	lives  int
}

// Name returns what the process is called in this lab, such as "gateway-2".
func (p *Process) Name() string { return p.name }

// Addr returns the loopback host and port it serves, the same in each life.
func (p *Process) Addr() string { return p.addr }

// LastWords returns the end of its output over all lives.
func (p *Process) LastWords() string { return p.output.String() }

// Set changes one variable of its environment, from the next start on.
func (p *Process) Set(name, value string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.env[name] = value
}

// Replace makes it another build of its program, from the next start on.
func (p *Process) Replace(path string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.path = path
}

// Launch runs the program and does not wait until it is ready.
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
		// The kernel ties the child to the thread that made it, so that thread has
		// to last as long as the child.
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

// Start runs the program and returns when it serves, or with [ErrEnded], or with
// the error of ctx; a program that is not ready in time is killed.
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

// Kill ends the process with SIGKILL, paused or not, and waits for it. It does
// nothing when it does not run.
func (p *Process) Kill() {
	ended, err := p.signal(syscall.SIGKILL)
	if err == nil {
		<-ended
	}
}

// Stop ends the process with SIGTERM, as an operator would, and waits for it or,
// when ctx ends, kills it. The error says that it had to be killed or how it left.
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

// Resume lets a paused process go on.
func (p *Process) Resume() error {
	_, err := p.signal(syscall.SIGCONT)
	return err
}

// Running reports whether the process lives, paused or not.
func (p *Process) Running() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.running()
}

// PID returns the process id of the latest life, 0 before the first.
func (p *Process) PID() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return 0
	}
	return p.cmd.Process.Pid
}

// running needs the mutex.
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

// signal sends a signal and returns what is closed when the process has ended.
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
