package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/letswriteabook/realtime/internal/wait"
	"github.com/letswriteabook/realtime/lab/load/measure"
	"github.com/letswriteabook/realtime/lab/load/metrics"
	"github.com/letswriteabook/realtime/lab/load/socket"
	"github.com/letswriteabook/realtime/lab/processes"
	"github.com/letswriteabook/realtime/messaging"
)

const (
	// eventBytes is about the size of an event.
	eventBytes = 330
	// abreast is the number of clients that connect at the same time.
	abreast = 50
	// jobPrefix is the prefix of the names of all jobs.
	jobPrefix = "bench-"
	// origin is the origin that the gateway allows.
	origin = "http://bench.example"
)

// system is one gateway with its log inside, or several on one NATS server, a redis-server,
// and the clients.
type system struct {
	lab      *processes.Lab
	gateways []*processes.Process
	redis    *redis.Client
	pages    *metrics.Client // of all gateways together
	peer     *peer           // runs in place of a gateway; nil: none
}

// start starts so many gateways, with the log inside if it is one.
func start(ctx context.Context, programs processes.Programs, dir, sync string, gateways int) (*system, error) {
	lab := processes.Config{Programs: programs, Dir: dir, Sync: sync}
	if gateways > 1 {
		lab.Nodes = 1
	}
	return newSystem(ctx, lab, func(s *system) error {
		for range gateways {
			gateway, err := s.lab.Gateway(map[string]string{
				"SOCKET_CLIENT_ORIGIN": origin, "SOCKET_MAX_CONNECTIONS": "0", "SOCKET_MAX_CONNECTIONS_PER_ORIGIN": "0", "LOG_LEVEL": "warn",
			})
			if err != nil {
				return err
			}
			if err := gateway.Start(ctx); err != nil {
				return err
			}
			s.gateways = append(s.gateways, gateway)
		}
		return nil
	})
}

// newSystem starts a lab, and then what startGateways adds to gateways.
func newSystem(ctx context.Context, cfg processes.Config, startGateways func(*system) error) (s *system, err error) {
	s = &system{}
	if s.lab, err = processes.New(cfg); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if err := s.lab.Start(ctx); err != nil {
		return nil, err
	}
	if err := startGateways(s); err != nil {
		return nil, err
	}
	options, err := redis.ParseURL(s.lab.RedisURL())
	if err != nil {
		return nil, err
	}
	s.redis = redis.NewClient(options)
	var urls []string
	for _, gateway := range s.gateways {
		urls = append(urls, "http://"+gateway.Addr())
	}
	s.pages = metrics.NewClient(urls, "", "")
	return s, nil
}

func (s *system) close() error {
	var err error
	if s.redis != nil {
		err = s.redis.Close()
	}
	return errors.Join(err, s.lab.Close())
}

// used returns what the processes of the gateways have used and hold, together.
func (s *system) used(ctx context.Context) (metrics.Process, error) { return s.pages.Process(ctx) }

// receipts counts the receipts of all gateways from now on, until ctx ends.
func (s *system) receipts(ctx context.Context) (*atomic.Int64, error) {
	subscription := s.redis.Subscribe(ctx, messaging.ReceiptsChannel)
	if _, err := subscription.Receive(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("subscribe to receipts: %w", err), subscription.Close())
	}
	var count atomic.Int64
	go func() { // ends with ctx
		defer func() { _ = subscription.Close() }()
		for ctx.Err() == nil {
			message, err := subscription.ReceiveMessage(ctx)
			if err == nil && strings.Contains(message.Payload, `"`+jobPrefix) { // ignores the gateway's canaries
				count.Add(1)
			}
		}
	}()
	return &count, nil
}

// event returns an event as a worker publishes it. Its id is the number n, and it contains
// the time at which it was due.
func event(job string, n int, due time.Time) ([]byte, error) {
	text := map[string]any{
		"type": "chapter.written", "occurredAt": messaging.FormatTime(due), "due": due.UnixNano(), "number": n,
		"text": strings.Repeat("x", eventBytes-220),
	}
	envelope, err := messaging.NewDomain(job, text)
	if err != nil {
		return nil, err
	}
	envelope.ID = job + "/" + strconv.Itoa(n)
	return envelope.Encode()
}

// publishAll publishes the events from one number to another of each job in turn, as fast
// as Redis accepts them.
func (s *system) publishAll(ctx context.Context, jobs []string, from, to int) error {
	const piece = 200
	var bodies [][]byte
	for n := from; n < to; n++ {
		for _, job := range jobs {
			body, err := event(job, n, time.Now())
			if err != nil {
				return err
			}
			bodies = append(bodies, body)
		}
		if len(bodies) >= piece || n == to-1 {
			if err := s.publish(ctx, jobs[0], bodies); err != nil {
				return err
			}
			bodies = bodies[:0]
		}
	}
	return nil
}

// publish publishes events to Redis with one request, or to the peer, which needs to be told
// their job.
func (s *system) publish(ctx context.Context, job string, bodies [][]byte) error {
	if s.peer != nil && s.peer.publish != nil {
		return s.peer.publish(ctx, s.gateways[0].Addr(), job, bodies)
	}
	pipe := s.redis.Pipeline()
	for _, body := range bodies {
		pipe.Publish(ctx, messaging.EventsChannel, body)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	return nil
}

// store publishes a number of events of each job, for at most piece jobs at a time, and waits
// for the receipts of each piece, one of each gateway for an event. It returns how long that
// took.
func (s *system) store(ctx context.Context, jobs []string, events, piece int) (took time.Duration, err error) {
	receiving, stop := context.WithCancel(ctx)
	defer stop()
	receipts, err := s.receipts(receiving)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	for from := 0; from < len(jobs); from += piece {
		to := min(from+piece, len(jobs))
		if err := s.publishAll(ctx, jobs[from:to], 0, events); err != nil {
			return 0, err
		}
		if err := await(ctx, receipts, int64(to*events*len(s.gateways))); err != nil {
			return 0, fmt.Errorf("receipts: %w", err)
		}
	}
	return time.Since(began), nil
}

// publishPaced publishes count events of a job, each when it is due.
func (s *system) publishPaced(ctx context.Context, job string, count int, pause time.Duration) error {
	began := time.Now()
	for n := range count {
		due := began.Add(time.Duration(n) * pause)
		if err := wait.For(ctx, time.Until(due)); err != nil {
			return err
		}
		body, err := event(job, n, due)
		if err != nil {
			return err
		}
		if err := s.publish(ctx, job, [][]byte{body}); err != nil {
			return err
		}
	}
	return nil
}

// clients are sockets that count the events they receive.
type clients struct {
	sockets    []*socket.Socket
	leave      []func() // disconnect the clients of a peer
	subscribed atomic.Int64
	received   atomic.Int64
	latency    *measure.Latency // nil: not measured
}

// connect opens count sockets, in turn to each gateway, each subscribed to
// jobs[i % len(jobs)], and returns when the gateways have confirmed all of them.
func (s *system) connect(ctx context.Context, count int, jobs []string, since func(job string) any) (*clients, error) {
	c := &clients{sockets: make([]*socket.Socket, count), leave: make([]func(), count), latency: measure.NewLatency()}
	err := each(ctx, count, func(i int) (err error) {
		addr, job := s.gateways[i%len(s.gateways)].Addr(), jobs[i%len(jobs)]
		if s.peer != nil && s.peer.follow != nil {
			c.leave[i], err = s.peer.follow(ctx, c, addr, i, job, since != nil)
			return err
		}
		return c.open(ctx, addr, i, job, since)
	})
	if err != nil {
		return c, err
	}
	return c, await(ctx, &c.subscribed, int64(count))
}

// each calls do for count clients, at most abreast at a time, and returns the first error.
func each(ctx context.Context, count int, do func(i int) error) error {
	var group sync.WaitGroup
	failed := make(chan error, count)
	slots := make(chan struct{}, abreast)
	for i := range count {
		slots <- struct{}{}
		group.Go(func() { // ends with do
			defer func() { <-slots }()
			failed <- do(i)
		})
	}
	group.Wait()
	close(failed)
	for err := range failed {
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}

// localAddr returns the address of client number i. One address allows at most some 28,000
// connections.
func localAddr(i int) *net.TCPAddr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(2+i%8))} }

// dial connects client number i.
func dial(ctx context.Context, addr string, i int, take func(socket.Event)) (*socket.Socket, error) {
	return socket.Dial(ctx, socket.Config{Endpoint: "http://" + addr + "/ws", Origin: origin, LocalAddr: localAddr(i), Handler: take, ReadBufferBytes: 4 << 10})
}

// end closes a connection, and waits until it is closed; nil is none.
func end(s *socket.Socket) {
	if s != nil {
		s.Kill()
		<-s.Ended()
	}
}

func (c *clients) open(ctx context.Context, addr string, i int, job string, since func(job string) any) error {
	opened, err := dial(ctx, addr, i, c.take)
	if err != nil {
		return err
	}
	c.sockets[i] = opened
	request := map[string]any{"jobId": job}
	if since != nil {
		request["since"] = since(job)
	}
	return opened.Emit(messaging.EventSubscribe, request)
}

// take counts a confirmation, or an event with its latency from when it was due.
func (c *clients) take(e socket.Event) {
	switch e.Name {
	case messaging.EventSubscribed:
		c.subscribed.Add(1)
	case socket.DomainEvent:
		c.count(e.Text(), e.Received)
	}
}

// count counts one event.
func (c *clients) count(text []byte, received time.Time) {
	if due, found := dueOf(text); found {
		c.latency.Record(received.Sub(due))
	}
	c.received.Add(1)
}

// dueOf finds when an event was due, without decoding it.
func dueOf(text []byte) (time.Time, bool) {
	ns, found := numberAfter(text, `"due":`)
	return time.Unix(0, ns), found
}

// numberAfter finds the number that follows a name, without decoding the event.
func numberAfter(text []byte, name string) (int64, bool) {
	_, rest, found := bytes.Cut(text, []byte(name))
	end := bytes.IndexAny(rest, ",}")
	if !found || end < 0 {
		return 0, false
	}
	number, err := strconv.ParseInt(string(rest[:end]), 10, 64)
	return number, err == nil
}

// await waits until count is want, and fails if it exceeds want.
func await(ctx context.Context, count *atomic.Int64, want int64) error {
	for count.Load() < want {
		if err := wait.For(ctx, time.Millisecond); err != nil {
			return fmt.Errorf("%d of %d came: %w", count.Load(), want, err)
		}
	}
	if got := count.Load(); got > want {
		return fmt.Errorf("%d came in place of %d", got, want)
	}
	return nil
}

func (c *clients) close() {
	for i, s := range c.sockets {
		end(s)
		if leave := c.leave[i]; leave != nil {
			leave()
		}
	}
}
