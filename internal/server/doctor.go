package server

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/ingest"
	"github.com/letswriteabook/realtime/internal/config"
	"github.com/letswriteabook/realtime/internal/filelock"
	"github.com/letswriteabook/realtime/internal/natsserver"
	"github.com/letswriteabook/realtime/operations/doctor"
	"github.com/letswriteabook/realtime/operations/erasure"
	"github.com/letswriteabook/realtime/projections"
)

// DoctorReport is what [Examine] finds.
type DoctorReport = doctor.Report

// probeTimeout is how long one server may take to answer.
const probeTimeout = 5 * time.Second

// Examine looks at an installation from where it is called, and changes nothing. Pass
// it what [config.Load] returned. With deep, which is nil or gets the progress, it reads
// every message of the log.
func Examine(ctx context.Context, cfg config.Config, invalid error, deep func(step string, done, total uint64)) DoctorReport {
	report := DoctorReport{Checks: []doctor.Check{}}
	if invalid != nil {
		report.Add(doctor.Settings(invalid, nil)...)
		return report
	}
	report.Add(doctor.Settings(nil, cfg.Warnings())...)
	report.Add(examineRedis(ctx, cfg)...)
	report.Add(examineMongoDB(ctx, cfg)...)
	report.Add(examineLog(ctx, cfg, deep)...)
	report.Add(examineAddresses(cfg)...)
	if limit, known := fileLimit(); known {
		report.Add(doctor.Files(limit, cfg.MaxConns))
	}
	return report
}

func examineRedis(ctx context.Context, cfg config.Config) []doctor.Check {
	const area = "redis"
	if cfg.RedisURL == "" {
		return []doctor.Check{doctor.Absent(area, "REDIS_URL", "events are published over HTTP only")}
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	opts, err := redis.ParseURL(cfg.RedisURL)
	if err != nil {
		return []doctor.Check{doctor.Reached(area, "REDIS_URL", 0, config.Wrong("REDIS_URL", cfg.RedisURL))}
	}
	opts.MaxRetries, opts.DialTimeout = -1, probeTimeout
	RouteDrivers(slog.New(slog.DiscardHandler))
	client := redis.NewClient(opts)
	defer client.Close()
	var began time.Time
	for range 2 { // The first one connects, too.
		began = time.Now()
		// A server that refuses a ping has answered.
		if err := client.Ping(ctx).Err(); err != nil && !strings.HasPrefix(err.Error(), "NOPERM") {
			return []doctor.Check{doctor.Reached(area, "REDIS_URL", 0, err)}
		}
	}
	checks := []doctor.Check{
		doctor.Reached(area, "REDIS_URL", time.Since(began), nil),
		doctor.Exercised(area, "takes the subscription and the receipts", ingest.Exercise(ctx, opts, "doctor-"+rand.Text(), probeTimeout)),
	}
	began = time.Now()
	at, err := client.Time(ctx).Result()
	answered := time.Now()
	if info, err := client.InfoMap(ctx, "server").Result(); err == nil {
		checks = append(checks, doctor.Version(area, info["Server"]["redis_version"]))
	}
	// A server that hides its configuration says nothing; that is told.
	limits, _ := client.ConfigGet(ctx, "client-output-buffer-limit").Result()
	checks = append(checks, doctor.Redis(pubsubLimit(limits["client-output-buffer-limit"])))
	if err == nil { // A gateway needs no right to ask for the time.
		checks = append(checks, doctor.Clock(area, at, began, answered))
	}
	return checks
}

func examineMongoDB(ctx context.Context, cfg config.Config) []doctor.Check {
	const area = "mongodb"
	if cfg.MongoDBURI == "" {
		return []doctor.Check{doctor.Absent(area, "MONGODB_URI", "there are no read models, and catch-up is served from the log")}
	}
	parts := newLifecycle(slog.New(slog.DiscardHandler))
	defer func() { _ = parts.stop(probeTimeout, 0) }() // nothing of it is of use to the report
	db, err := openMongo(cfg, parts, slog.New(slog.DiscardHandler))
	if err != nil {
		return []doctor.Check{doctor.Reached(area, "MONGODB_URI", 0, err)}
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	admin := db.Client().Database("admin")
	if err := admin.RunCommand(ctx, bson.D{{Key: "ping", Value: 1}}).Err(); err != nil {
		return []doctor.Check{doctor.Reached(area, "MONGODB_URI", 0, err)}
	}
	var hello struct {
		LocalTime time.Time `bson:"localTime"`
		Set       string    `bson:"setName"`
	}
	began := time.Now()
	err = admin.RunCommand(ctx, bson.D{{Key: "hello", Value: 1}}).Decode(&hello)
	answered := time.Now()
	checks := []doctor.Check{doctor.Reached(area, "MONGODB_URI", answered.Sub(began), err)}
	if err != nil {
		return checks
	}
	if models, err := projections.New(db, projections.DefaultConfig(), slog.New(slog.DiscardHandler), prometheus.NewRegistry()); err == nil {
		checks = append(checks, doctor.Exercised(area, "takes writes to "+db.Name(), models.Exercise(ctx, "doctor-"+rand.Text())))
	}
	var build struct {
		Version string `bson:"version"`
		Ferret  string `bson:"ferretdbVersion"`
	}
	if err := admin.RunCommand(ctx, bson.D{{Key: "buildInfo", Value: 1}}).Decode(&build); err == nil {
		checks = append(checks, doctor.Version(area, build.Version), doctor.MongoDB(hello.Set, build.Ferret != ""))
	}
	// MongoDB cuts its clock to the millisecond.
	return append(checks, doctor.Clock(area, hello.LocalTime, began.Truncate(time.Millisecond), answered))
}

// examineLog looks at NATS and the streams or, without NATS_URL, at the folder of the
// log, and at its streams if no gateway runs on it.
func examineLog(ctx context.Context, cfg config.Config, deep func(step string, done, total uint64)) []doctor.Check {
	quiet := slog.New(slog.DiscardHandler)
	var checks []doctor.Check
	if cfg.NATSURL == "" {
		there, held, err := lookAtFolder(cfg.DataDir)
		checks = append(checks, doctor.Folder(cfg.DataDir, there, held, err))
		if deep != nil && held {
			checks = append(checks, doctor.Check{
				Level: doctor.Fail, Area: "log", Name: "every record", Found: "not read: a gateway runs on the folder",
				Do: "set NATS_URL to the address in its NATS_LISTEN, or stop it",
			})
		}
		if !there || held || err != nil {
			return append(checks, examineDisk(cfg, 0)...)
		}
	}
	a := &App{cfg: cfg, logger: quiet, parts: newLifecycle(quiet), registry: prometheus.NewRegistry(), health: &health{}}
	defer func() { _ = a.parts.stop(cfg.ShutdownTimeout, 0) }()
	connecting, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	conn, err := a.openNATS(connecting)
	if err != nil {
		return append(checks, doctor.Reached("nats", "NATS_URL", 0, err))
	}
	a.parts.onStop("nats connection", func(context.Context) error {
		conn.Close()
		return nil
	})
	if cfg.NATSURL != "" {
		took, err := conn.RTT()
		checks = append(checks, doctor.Reached("nats", "NATS_URL", took, err), doctor.Version("nats", conn.ConnectedServerVersion()))
	}
	if err := permitted(ctx, cfg, conn); err != nil {
		// Without one of them most of what follows would wait in vain.
		return append(checks, doctor.Permissions("nats", err))
	}
	if cfg.NATSURL != "" {
		checks = append(checks, doctor.Permissions("nats", nil))
	}
	found, used := examineStreams(ctx, cfg, conn)
	checks = append(checks, found...)
	whole := false // every record of every copy was read
	var read []doctor.Check
	if deep != nil {
		read, whole = readEverything(ctx, conn, deep)
	}
	checks = append(checks, examineScrub(ctx, conn, whole)...)
	checks = append(checks, read...)
	if cfg.NATSURL == "" {
		checks = append(checks, examineDisk(cfg, used)...)
	}
	return checks
}

// permitted finds out whether the NATS user may do what the service needs.
func permitted(ctx context.Context, cfg config.Config, conn *nats.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	return eventstore.Permitted(ctx, conn, cfg.NeedsOfNATS())
}

func examineStreams(ctx context.Context, cfg config.Config, conn *nats.Conn) (checks []doctor.Check, used uint64) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	archive, err := eventstore.NewArchive(conn)
	if err != nil {
		return []doctor.Check{doctor.Reached("log", "NATS_URL", 0, err)}, 0
	}
	name := archive.Streams()[0]
	began := time.Now()
	events, err := archive.Describe(ctx, name)
	answered := time.Now()
	if errors.Is(err, eventstore.ErrNoStream) {
		checks = doctor.Events(doctor.Stream{Name: name}, doctor.Wanted{})
		if cfg.NATSURL != "" {
			checks = append(checks, doctor.Room(archive.Fits(ctx, cfg.LogMaxBytes, cfg.LogReplicas)))
		}
		return checks, 0
	}
	if err != nil {
		return []doctor.Check{doctor.Reached("log", "NATS_URL", answered.Sub(began), err)}, 0
	}
	if cfg.NATSURL != "" && !events.At.IsZero() { // old servers do not tell
		checks = append(checks, doctor.Clock("nats", events.At, began, answered))
	}
	checks = append(checks, doctor.Events(described(events, cfg.MaxEvent), doctor.Wanted{
		Replicas: cfg.LogReplicas, MaxBytes: uint64(cfg.LogMaxBytes), MaxAge: cfg.LogMaxAge, DuplicateWindow: cfg.DedupWindow,
	})...)
	letters := archive.Streams()[1]
	if there, err := archive.Exists(ctx, letters); err == nil {
		checks = append(checks, doctor.Letters(letters, there))
	}
	checks = append(checks, examineEpoch(ctx, conn)...)
	audit, err := eventstore.NewAudit(conn, eventstore.DefaultConfig(), slog.New(slog.DiscardHandler))
	if err == nil {
		var notes []Erasure
		if notes, _, err = audit.After(ctx, 0); err == nil {
			checks = append(checks, doctor.Erasures(erasure.Unfinished(notes)))
		}
	}
	if err != nil {
		checks = append(checks, doctor.Reached("log", "NATS_URL", 0, err))
	}
	return checks, events.Bytes
}

// examineEpoch exercises the log, and looks how its epoch began.
func examineEpoch(ctx context.Context, conn *nats.Conn) []doctor.Check {
	log, err := eventstore.Attach(ctx, conn, eventstore.DefaultConfig(), nil, nil)
	if err != nil {
		return []doctor.Check{doctor.Reached("log", "NATS_URL", 0, err)}
	}
	checks := []doctor.Check{doctor.Exercised("nats", "takes events, and hands them on", log.Exercise(ctx, "doctor-"+rand.Text()))}
	identity, found, err := log.Identity(ctx)
	switch {
	case err != nil:
		return append(checks, doctor.Reached("log", "NATS_URL", 0, err))
	case !found: // of an earlier version, and not opened since
		return checks
	}
	lost := ""
	if identity.Reason == eventstore.EpochTailLost || identity.Reason == eventstore.EpochCopied {
		lost = identity.Detail
	}
	return append(checks, doctor.Epoch(identity.Epoch, lost, identity.At, time.Now()))
}

// examineScrub looks at what the last scrub of a gateway found. With whole, every record
// of every copy of the log has been read just now.
func examineScrub(ctx context.Context, conn *nats.Conn, whole bool) []doctor.Check {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	log, err := eventstore.Attach(ctx, conn, eventstore.DefaultConfig(), nil, nil)
	if err != nil { // Named by examineStreams.
		return nil
	}
	last, found, err := log.Scrubbed(ctx)
	if err != nil || !found {
		return nil
	}
	return []doctor.Check{doctor.Scrubbed(doctor.Scrub{At: last.At, Server: last.Server, Read: last.Sum.Read, Damage: last.Sum.Damage()}, whole)}
}

// readEverything compares what can be read from each copy of each stream of the log with
// what the stream says that it has. whole says that it found no difference.
func readEverything(ctx context.Context, conn *nats.Conn, report func(step string, done, total uint64)) (checks []doctor.Check, whole bool) {
	archive, err := eventstore.NewArchive(conn)
	if err != nil {
		return []doctor.Check{doctor.Reached("log", "NATS_URL", 0, err)}, false
	}
	whole = true
	for _, name := range archive.Streams() {
		sums, err := archive.SumCopies(ctx, name, func(soFar eventstore.Sum) error {
			report("read "+name, soFar.Read, 0)
			return ctx.Err()
		})
		if err != nil && !errors.Is(err, eventstore.ErrNoStream) {
			checks, whole = append(checks, doctor.Unread(name, "", err)), false
		}
		for _, one := range sums {
			if one.Err != nil {
				checks, whole = append(checks, doctor.Unread(name, one.Server, one.Err)), false
				continue
			}
			damage := one.Sum.Damage()
			checks, whole = append(checks, doctor.Read(name, one.Server, one.Sum.Read, one.Sum.Deleted, one.Sum.SHA256, damage)), whole && damage == nil
		}
	}
	return checks, whole
}

func described(s eventstore.Described, maxEventBytes int) doctor.Stream {
	var flaws []string
	for _, flaw := range s.Flaws(maxEventBytes) {
		flaws = append(flaws, flaw.Text())
	}
	return doctor.Stream{
		Flaws: flaws,
		Name:  s.Name, Exists: true, Replicas: s.Replicas, Leader: s.Leader, Behind: s.Behind, MaxBytes: s.MaxBytes, Bytes: s.Bytes,
		MaxAge: s.MaxAge, DuplicateWindow: s.DuplicateWindow, DiscardsOld: s.DiscardsOld, Direct: s.Direct, Republishes: s.Republishes, File: s.File,
	}
}

// creatable returns nil if the folder can be created: its nearest parent that is there
// can be written to.
func creatable(dir string) error {
	path, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	for {
		parent := filepath.Dir(path)
		if _, err := os.Stat(parent); err == nil || parent == path {
			probe, err := os.MkdirTemp(parent, ".realtime-probe-*")
			if err != nil {
				return fmt.Errorf("the folder cannot be created: %w", err)
			}
			return os.Remove(probe)
		}
		path = parent
	}
}

// examineAddresses looks whether the service could listen here.
func examineAddresses(cfg config.Config) []doctor.Check {
	look := func(variable, address string) doctor.Check {
		listener, err := net.Listen("tcp", address)
		if err == nil {
			err = listener.Close()
		}
		return doctor.Address(variable, address, errors.Is(err, syscall.EADDRINUSE), err)
	}
	checks := []doctor.Check{look("PORT", cfg.Address())}
	if cfg.AdminAddr != "" {
		checks = append(checks, look("ADMIN_ADDR", cfg.AdminAddr))
	}
	return checks
}

// lookAtFolder reports whether the folder of the log is there, and whether a gateway
// runs on it.
func lookAtFolder(dir string) (there, held bool, err error) {
	if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
		return false, false, creatable(dir)
	} else if err != nil {
		return false, false, err
	}
	lock := filepath.Join(dir, natsserver.LockFile)
	if _, err := os.Stat(lock); errors.Is(err, os.ErrNotExist) {
		return false, false, nil // no log was ever there
	}
	file, err := filelock.Take(lock)
	if errors.Is(err, filelock.ErrLocked) {
		return true, true, nil
	}
	if err != nil {
		return true, false, fmt.Errorf("look at the folder of the log: %w", err)
	}
	return true, false, file.Close()
}

func examineDisk(cfg config.Config, used uint64) []doctor.Check {
	dir := cfg.DataDir
	for {
		free, total, known := diskSpace(dir)
		if known {
			return []doctor.Check{doctor.Disk(dir, free, total, uint64(cfg.LogMaxBytes), used)}
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return nil
		}
		dir = parent // where the folder would be made
	}
}

// pubsubLimit returns the part about subscribers of what Redis says about the limits of
// output buffers, "normal 0 0 0 slave … pubsub 33554432 8388608 60".
func pubsubLimit(limits string) string {
	_, rest, found := strings.Cut(limits, "pubsub ")
	if !found {
		return ""
	}
	fields := strings.Fields(rest)
	return strings.Join(fields[:min(len(fields), 3)], " ")
}
