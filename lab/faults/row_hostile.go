package faults

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/letswriteabook/realtime/internal/wait"
	"github.com/letswriteabook/realtime/lab/load/socket"
	"github.com/letswriteabook/realtime/lab/processes"
	"github.com/letswriteabook/realtime/messaging"
)

func hostileRows() []Row {
	return []Row{{
		Number: 34, Title: "64 hostile clients beside 200 honest ones", Limit: hostileRecovery,
		// The attacked job is the one after the followed jobs.
		System: System{Jobs: followedJobs + 1}, Run: attackAll, InCI: true,
		Timeout: 8 * time.Minute,
	}}
}

const (
	hostileClients = 64
	// hostileMemory is the most resident memory that the gateway may use, in bytes.
	hostileMemory = 512 << 20
	// hostileRatio bounds the ratio of the honest clients' p99 with and without the attack.
	hostileRatio = 2.0
	// hostileShortFloor is a p99 that always passes in the short run: its windows are short,
	// and the machine does other work at the same time.
	hostileShortFloor = 5 * time.Second
	// hostileBusy is a p99 without hostile clients above which the short run does not judge
	// the p99 with them: other work slows the machine down.
	hostileBusy = 200 * time.Millisecond
	// hostilePatience is how long an honest client that connects during the attack waits.
	hostilePatience, hostileShortPatience = 10 * time.Second, 20 * time.Second
	// hostileRecovery is how long after the attack the gateway may take to release its
	// resources.
	hostileRecovery = 30 * time.Second
	// hostilePace is the interval of the checks: each answer takes half a megabyte of the
	// gateway's memory. The other constants are how much the gateway may still use in
	// addition to its usage before the attack: goroutines and files of the runtime and of
	// pools, heap in buffers that are kept for the next client, and resident memory that the
	// Go runtime returns to the system in the background.
	hostilePace                         = 2 * time.Second
	hostileGoroutines, hostileFiles     = 50, 20
	hostileHeapMargin, hostileRSSMargin = 64 << 20, 128 << 20
)

// holdings are the resources that a gateway uses. The heap is its size after the last
// collection.
type holdings struct{ connections, subscriptions, goroutines, files, heap, memory, processor float64 }

// hostileTrial is a run of row 34.
type hostileTrial struct {
	*Trial
	gateway *processes.Process
	honest  []*visitor
	took    samples
	late    samples // timers of this process
	peak    float64 // resident memory
}

// attackAll measures 200 clients without and with 64 hostile clients, which make all kinds of
// attacks at once, and then which resources the gateway has released.
func attackAll(ctx context.Context, t *Trial) error {
	h := &hostileTrial{Trial: t, gateway: t.Gateways[0]}
	quiet := time.Duration(t.Scaled("seconds without them", 30, 30, 6)) * time.Second
	attacked := time.Duration(t.Scaled("seconds of attacks", 60, 60, 10)) * time.Second
	clients := t.Scaled("honest clients", 200, 200, 100)

	target := t.jobs[followedJobs]
	const history, historyBytes = 200, 50_000
	for range history {
		for t.Outbox.Publish(target, historyBytes) != nil {
			if err := wait.For(ctx, 10*time.Millisecond); err != nil {
				return err
			}
		}
	}
	notes := t.Journal.Crowd("honest")
	for i := range clients {
		v := &visitor{name: fmt.Sprint(i), gateways: t.addresses(0), notes: notes, heard: &h.took}
		v.dial.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(i%4+1))}
		v.visit(ctx, t.jobs[i%followedJobs:i%followedJobs+1])
		defer v.close()
		h.honest = append(h.honest, v)
	}
	watching, endWatch := context.WithCancel(ctx)
	defer endWatch()
	go h.watchTimers(watching) // ends with endWatch
	stop := t.Load(50)
	defer stop()
	if err := h.arrive(ctx, h.honest...); err != nil {
		return err
	}
	before, _, err := h.window(ctx, quiet)
	if err != nil {
		return err
	}
	first, err := h.holds(ctx)
	if err != nil {
		return err
	}

	var running sync.WaitGroup
	attack, end := context.WithCancel(ctx)
	defer end()
	over := t.Fault("64 hostile clients")
	began := time.Now()
	hostile, err := startAttackers(h.gateway.Addr(), target)
	if err != nil {
		return err
	}
	refused := make(chan error, 1)
	running.Go(func() { refused <- h.newcomers(attack, t.jobs[0]) }) // ends with attack
	during, late, err := h.window(ctx, attacked)
	took := time.Since(began)
	busy, busyErr := h.holds(ctx)
	end()
	attempts, processor, ended := hostile.end()
	running.Wait()
	over()
	if err := errors.Join(err, busyErr, ended); err != nil {
		return err
	}
	since := time.Now()
	leftBehind := errors.Join(h.givenBack(ctx, first), h.answers(ctx, since))
	t.Recovered(time.Since(since))
	stop()
	t.Measure("attempts of the hostile", float64(attempts), "")
	t.Measure("processor of the gateway during the attack", 100*(busy.processor-first.processor)/took.Seconds(), "% of a core")
	t.Measure("processor of the hostile", 100*processor.Seconds()/took.Seconds(), "% of a core")
	t.Measure("p99 of the honest without them", milliseconds(before), "ms")
	t.Measure("p99 of the honest with them", milliseconds(during), "ms")
	t.Measure("p99 of a timer's lateness with them", milliseconds(late), "ms")
	t.Measure("most resident memory", h.peak/(1<<20), "MiB")
	return errors.Join(h.judge(before, during, late), <-refused, leftBehind, t.awaitVisitors(ctx, h.honest))
}

// watchTimers measures how late timers are, until its context ends. That is the delay that
// the machine causes, and not the gateway.
func (h *hostileTrial) watchTimers(ctx context.Context) {
	const pause = 5 * time.Millisecond
	for {
		began := time.Now()
		if wait.For(ctx, pause) != nil {
			return
		}
		h.late.add(began.Add(pause), time.Now())
	}
}

// judge compares the figures with their bounds.
func (h *hostileTrial) judge(before, during, late time.Duration) error {
	var failures []error
	most := time.Duration(hostileRatio * float64(before))
	if h.Short {
		most = max(most, hostileShortFloor)
	}
	switch {
	case during <= most:
	case h.Short && before > hostileBusy:
		h.Note("the p99 is not judged: without the hostile it was %s already", before)
	default:
		failures = append(failures, fmt.Errorf(
			"p99 of the honest was %s without the hostile, and %s with them, when timers were late by %s: more than %s", before, during, late, most))
	}
	if h.peak > hostileMemory {
		failures = append(failures, fmt.Errorf("the gateway took %.0f MiB of memory", h.peak/(1<<20)))
	}
	for _, v := range h.honest {
		v.mu.Lock()
		if len(v.breaks) > 0 || v.trouble != nil {
			failures = append(failures, fmt.Errorf("honest client %s lost its connection %d times, and was told: %w", v.name, len(v.breaks), orNone(v.trouble)))
		}
		v.mu.Unlock()
	}
	return errors.Join(failures...)
}

// errNone takes the place of a missing error in a message.
var errNone = errors.New("nothing")

func orNone(err error) error {
	if err == nil {
		return errNone
	}
	return err
}

// window measures for a while, and returns the 99th percentiles of the honest clients'
// events and of the lateness of timers.
func (h *hostileTrial) window(ctx context.Context, length time.Duration) (took, late time.Duration, err error) {
	from := time.Now()
	for time.Since(from) < length {
		if err := wait.For(ctx, 500*time.Millisecond); err != nil {
			return 0, 0, err
		}
		now, err := h.holds(ctx)
		if err != nil {
			return 0, 0, err
		}
		h.peak = max(h.peak, now.memory)
	}
	to := time.Now()
	// Only events that have arrived are in the figures.
	if err := h.arrive(ctx, h.honest...); err != nil {
		return 0, 0, err
	}
	return quantile(h.took.between(from, to), 0.99), quantile(h.late.between(from, to), 0.99), nil
}

// newcomers connects honest clients during the attack: sockets that follow a job to its
// head, and requests for a page of its history. The gateway must serve each of them.
func (h *hostileTrial) newcomers(ctx context.Context, job string) error {
	patience := hostilePatience
	if h.Short {
		patience = hostileShortPatience
	}
	var failures []error
	served := 0
	for ctx.Err() == nil {
		caught := make(chan struct{}, 1)
		visit := func(ctx context.Context) error {
			cfg := socket.Config{Endpoint: "http://" + h.gateway.Addr() + "/ws", Handler: func(event socket.Event) {
				if event.Name == messaging.EventCaughtUp {
					caught <- struct{}{}
				}
			}}
			cfg.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, 0, 1, 9)}
			conn, err := socket.Dial(ctx, cfg)
			if err != nil {
				return err
			}
			defer conn.Kill()
			if err := conn.Emit(messaging.EventSubscribe, map[string]any{"jobId": job}); err != nil {
				return err
			}
			select {
			case <-caught:
			case <-conn.Ended():
				return errors.New("the connection ended")
			case <-ctx.Done():
				return ctx.Err()
			}
			status, _, err := get(ctx, "http://"+h.gateway.Addr()+"/api/novel/"+job+"/events?limit=10", "")
			if err == nil && status != http.StatusOK {
				err = fmt.Errorf("a page of history is answered with %d", status)
			}
			return err
		}
		one, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		if err := visit(one); err != nil && len(failures) < 5 {
			failures = append(failures, fmt.Errorf("an honest client that comes during the attack, after %d that were served: %w", served, err))
		} else if err == nil {
			served++
		}
		cancel()
		_ = wait.For(ctx, 500*time.Millisecond) // the loop sees the end of ctx
	}
	return errors.Join(failures...)
}

// answers waits until the gateway's embedded log answers again.
func (h *hostileTrial) answers(ctx context.Context, since time.Time) error {
	for {
		_, err := h.heads(ctx)
		if err == nil {
			return nil
		}
		if time.Since(since) > 2*hostileRecovery {
			return fmt.Errorf("%s after the attack the log does not answer: %w", time.Since(since).Round(time.Second), err)
		}
		if err := wait.For(ctx, 500*time.Millisecond); err != nil {
			return err
		}
	}
}

// holds returns the resources that the gateway uses.
func (h *hostileTrial) holds(ctx context.Context) (holdings, error) {
	const subscriptions, goroutines, files, heap = "realtime_fanout_subscriptions", "go_goroutines", "process_open_fds", "go_memstats_next_gc_bytes"
	const memory, processor = "process_resident_memory_bytes", "process_cpu_seconds_total"
	// All are of one page, because the gateway's answer takes processor time.
	sums, err := scrapeAll(ctx, "http://"+h.gateway.Addr(), "", connectionsMetric, subscriptions, goroutines, files, heap, memory, processor)
	if err != nil {
		return holdings{}, err
	}
	now := holdings{
		connections: sums[connectionsMetric], subscriptions: sums[subscriptions], goroutines: sums[goroutines],
		files: sums[files], heap: sums[heap], memory: sums[memory], processor: sums[processor],
	}
	// The runtime collects when the heap has twice its size after the last collection. The
	// present heap contains an arbitrary amount of garbage.
	now.heap /= 2
	return now, nil
}

// givenBack waits until the gateway uses no more resources than before the attack, within
// the margins.
func (h *hostileTrial) givenBack(ctx context.Context, first holdings) error {
	since := time.Now()
	for {
		now, err := h.holds(ctx)
		if err != nil {
			return err
		}
		back := now.connections <= first.connections && now.subscriptions <= first.subscriptions &&
			now.goroutines <= first.goroutines+hostileGoroutines && now.files <= first.files+hostileFiles &&
			now.heap <= first.heap+hostileHeapMargin && now.memory <= first.memory+hostileRSSMargin
		if back || time.Since(since) > hostileRecovery {
			h.Measure("heap before", first.heap/(1<<20), "MiB")
			h.Measure("heap after", now.heap/(1<<20), "MiB")
			h.Measure("resident memory before", first.memory/(1<<20), "MiB")
			h.Measure("resident memory after", now.memory/(1<<20), "MiB")
			h.Measure("time until all is given back", time.Since(since).Seconds(), "s")
		}
		if back {
			return nil
		}
		if time.Since(since) > hostileRecovery {
			return fmt.Errorf("%s after the attack the gateway holds %+v, and held %+v before", hostileRecovery, now, first)
		}
		if err := wait.For(ctx, hostilePace); err != nil {
			return err
		}
	}
}
