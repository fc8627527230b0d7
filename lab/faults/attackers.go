package faults

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/letswriteabook/realtime/internal/wait"
)

// AttackCommand is the subcommand that runs [Attack] in a process of its own.
const AttackCommand = "attack"

// attackersNice is the priority of the hostile clients, the lowest one: they share the
// gateway's processors here, which clients over a network would not.
const attackersNice = "19"

// attackersEnd is how long the hostile clients may take to end.
const attackersEnd = 20 * time.Second

// Attack runs the hostile clients of row 34 against a gateway, given as host and port,
// until ctx ends, and returns the number of their attempts. job is a job with a long
// history. The clients start one after the other within one hostileStep: they are
// independent, and would otherwise repeat their longest attempts all at the same moments.
func Attack(ctx context.Context, gateway, job string) (attempts int64) {
	var tries atomic.Int64
	var running sync.WaitGroup
	for i := range hostileClients {
		client := &hostile{gateway: gateway, address: &net.TCPAddr{IP: net.IPv4(127, 0, 2, byte(i+1))}, job: job, tries: &tries}
		running.Go(func() { // ends with ctx
			_ = wait.For(ctx, time.Duration(i)*hostileStep/hostileClients) // run sees the end of ctx
			client.run(ctx, attacks[i%len(attacks)])
		})
	}
	running.Wait()
	return tries.Load()
}

// attackers is the process of the hostile clients.
type attackers struct {
	command *exec.Cmd
	input   io.Closer // the process ends when it is closed
	said    *said
}

// startAttackers starts the process, at the lowest priority if the machine has nice.
func startAttackers(gateway, job string) (*attackers, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("start the hostile clients: %w", err)
	}
	args := []string{program, AttackCommand, gateway, job}
	if nice, err := exec.LookPath("nice"); err == nil {
		args = append([]string{nice, "-n", attackersNice}, args...)
	}
	a := &attackers{command: exec.Command(args[0], args[1:]...), said: &said{}}
	a.command.Stdout, a.command.Stderr = a.said, a.said
	if a.input, err = a.command.StdinPipe(); err != nil {
		return nil, fmt.Errorf("start the hostile clients: %w", err)
	}
	if err := a.command.Start(); err != nil {
		return nil, fmt.Errorf("start the hostile clients: %w", err)
	}
	return a, nil
}

// end ends the process, and returns the number of attempts and the processor time that they
// took.
func (a *attackers) end() (attempts int64, took time.Duration, err error) {
	kill := time.AfterFunc(attackersEnd, func() { _ = a.command.Process.Kill() })
	defer kill.Stop()
	err = errors.Join(a.input.Close(), a.command.Wait())
	if err == nil {
		attempts, err = strconv.ParseInt(strings.TrimSpace(a.said.String()), 10, 64)
	}
	if err != nil {
		return 0, 0, fmt.Errorf("hostile clients: %w: %s", err, a.said)
	}
	return attempts, a.command.ProcessState.UserTime() + a.command.ProcessState.SystemTime(), nil
}
