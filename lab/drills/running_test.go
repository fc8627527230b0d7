package drills_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/letswriteabook/realtime/internal/testkit"
	"github.com/letswriteabook/realtime/lab/drills"
	"github.com/letswriteabook/realtime/lab/faults"
	"github.com/letswriteabook/realtime/lab/processes"
	"github.com/letswriteabook/realtime/lab/report"
	"github.com/letswriteabook/realtime/projections"
)

// others is a system that the drill did not start.
type others struct {
	*processes.Lab
	gateways []*processes.Process
	// control kills and starts a NATS node, by the path of a request.
	control *httptest.Server
	mongo   bool
	dir     string
	forgot  []string
}

func startOthers(t *testing.T, cfg processes.Config, gateways int) *others {
	t.Helper()
	executable(t)
	programs, err := built()
	if err != nil {
		t.Fatal(err)
	}
	s := &others{mongo: cfg.Mongo, dir: t.TempDir()}
	cfg.Programs, cfg.Dir, cfg.Sync = programs, filepath.Join(s.dir, "others"), "10s"
	s.Lab, err = processes.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range gateways {
		gateway, err := s.Gateway(nil)
		if err == nil {
			err = gateway.Start(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
		s.gateways = append(s.gateways, gateway)
	}
	s.control = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		part := s.NATS(0)
		if strings.HasSuffix(r.URL.Path, "/down") {
			part.Kill()
		} else if err := part.Start(r.Context()); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(s.control.Close)
	return s
}

// running names the system to a drill.
func (s *others) running(prefix string) *drills.Running {
	r := &drills.Running{Running: faults.Running{
		RedisURL: s.RedisURL(), NATSURL: s.NATSURL(), Prefix: prefix,
		Forget: func(_ context.Context, jobs []string) error {
			s.forgot = append(s.forgot, jobs...)
			return nil
		},
	}}
	if s.mongo {
		r.MongoURI = s.MongoURI()
	}
	for _, gateway := range s.gateways {
		r.Gateways = append(r.Gateways, "http://"+gateway.Addr())
	}
	return r
}

func (s *others) run(ctx context.Context, t *testing.T, name, prefix string, change func(*drills.Options)) (report.Drill, error) {
	t.Helper()
	drill, err := drills.Find(name)
	if err != nil {
		t.Fatal(err)
	}
	drill.Limit = 0
	options := drills.Options{
		Scale: drills.Scale{Events: 120, Outage: time.Second}, Running: s.running(prefix), Dir: filepath.Join(s.dir, prefix),
		Command: "go test", Log: func(line string) { t.Log(line) },
	}
	if change != nil {
		change(&options)
	}
	return drills.Run(ctx, drill, options)
}

// Drills on a system that they did not start: they pass, take everything back, and
// leave none of their jobs. An interruption takes back at once what it cuts short.
func TestDrillsOnARunningSystem(t *testing.T) {
	t.Parallel()
	s := startOthers(t, processes.Config{Nodes: 3}, 2)
	s.interrupt(t, "redis-outage", "Redis is away", func() {
		if err := s.publish(t, time.Second); err == nil {
			t.Error("Redis takes what is published, in the outage")
		}
	})
	if err := s.publish(t, 20*time.Second); err != nil { // it would hold that back for a minute
		t.Errorf("after an interruption: %v", err)
	}
	s.pass(t, "redis-outage", "")
	s.pass(t, "node-loss", "/node") // gateway-crash is its like; poison-flood is run by the end-to-end tests
}

// The same with MongoDB's collection.
func TestMongoLossOnARunningSystem(t *testing.T) {
	t.Parallel()
	s := startOthers(t, processes.Config{Nodes: 1, Mongo: true}, 1)
	s.interrupt(t, "mongo-loss", "rebuild:", func() {})
	s.expectHistory(t)
	s.pass(t, "mongo-loss", "") // finds nothing in its way, and verifies all of it
}

// pass runs a drill that passes. The part is taken away by commands, where it is not
// empty.
func (s *others) pass(t *testing.T, name, part string) {
	t.Helper()
	s.forgot = nil
	got, err := s.run(t.Context(), t, name, "drill-"+name+"-", func(options *drills.Options) {
		if part != "" {
			curl := testkit.Program(t, "curl") + " -fsS " + s.control.URL + part
			options.Running.Down, options.Running.Up = curl+"/down", curl+"/up"
		}
	})
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	result := got.Result
	if result.Status != report.Passed || result.Verdict.Acknowledged < 300 || result.Verdict.Delivered == 0 || (result.Verdict.Projected > 0) != s.mongo {
		t.Errorf("%s: %+v", name, result)
	}
	if len(s.forgot) != 3 || !strings.HasPrefix(s.forgot[0], "drill-"+name+"-") || !strings.HasPrefix(got.Target, "running: ") {
		t.Errorf("%s on %q leaves its jobs: %v", name, got.Target, s.forgot)
	}
}

// interrupt begins a drill and, at a line that it tells, calls then and ends it.
func (s *others) interrupt(t *testing.T, name, at string, then func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, err := s.run(ctx, t, name, "cut-"+name+"-", func(options *drills.Options) {
		options.Scale.Outage = time.Minute
		options.Log = func(line string) {
			t.Log(line)
			if strings.HasPrefix(line, at) && ctx.Err() == nil {
				then()
				cancel()
			}
		}
	})
	if !errors.Is(err, context.Canceled) || strings.Contains(err.Error(), "NOT UNDONE") {
		t.Errorf("%s: %v", name, err)
	}
}

// publish publishes something that is no event, and waits for Redis for so long.
func (s *others) publish(t *testing.T, most time.Duration) error {
	t.Helper()
	opts, err := redis.ParseURL(s.RedisURL())
	if err != nil {
		t.Fatal(err)
	}
	opts.ContextTimeoutEnabled, opts.MaxRetries, opts.ReadTimeout = true, -1, most
	client := redis.NewClient(opts)
	defer func() { _ = client.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), most)
	defer cancel()
	return client.Publish(ctx, "any", "text").Err()
}

// expectHistory fails the test when the collection of history is not in its place.
func (s *others) expectHistory(t *testing.T) {
	t.Helper()
	db, err := projections.Connect(s.MongoURI())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Client().Disconnect(context.WithoutCancel(t.Context())) }()
	names, err := db.ListCollectionNames(t.Context(), map[string]any{})
	if err != nil || !slices.Contains(names, "novel_job_events") || slices.Contains(names, "novel_job_events_shadow") {
		t.Errorf("the collection is not there alone: %v, %v", names, err)
	}
}

// What cannot be done to a running system is refused before anything is touched.
func TestPlans(t *testing.T) {
	t.Parallel()
	whole := drills.Running{
		Running: faults.Running{Gateways: []string{"http://a", "http://b"}, MongoURI: "mongodb://c", Prefix: "p-"},
		Down:    "take it away", Up: "bring it back",
	}
	bare := drills.Running{Running: faults.Running{Gateways: []string{"http://a"}}}
	for _, d := range drills.Drills() {
		running := whole
		if d.Name == "mongo-loss" || d.Name == "poison-flood" {
			if _, err := d.Plan(whole, drills.Scale{}); !errors.Is(err, drills.ErrThrowAwayOnly) {
				t.Errorf("%s takes commands: %v", d.Name, err)
			}
			running.Down, running.Up = "", ""
		}
		plan, err := d.Plan(running, drills.Scale{})
		if d.Name == "log-restore" {
			if !errors.Is(err, drills.ErrThrowAwayOnly) {
				t.Errorf("%s: %v", d.Name, err)
			}
			continue
		}
		text := fmt.Sprint(plan)
		if err != nil || len(plan) < 2 || !strings.Contains(text, "p-…") {
			t.Errorf("%s: %v, %q", d.Name, err, plan)
		}
		if _, err := d.Plan(bare, drills.Scale{}); (err == nil) != (d.Name == "redis-outage" || d.Name == "poison-flood") {
			t.Errorf("%s with nothing said: %v", d.Name, err)
		}
	}
}
