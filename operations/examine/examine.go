package examine

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/eventstore/archive"
	"github.com/letswriteabook/realtime/eventstore/audit"
	"github.com/letswriteabook/realtime/eventstore/sessions"
	"github.com/letswriteabook/realtime/ingest"
	"github.com/letswriteabook/realtime/internal/backends"
	"github.com/letswriteabook/realtime/internal/config"
	"github.com/letswriteabook/realtime/internal/filelock"
	"github.com/letswriteabook/realtime/internal/machine"
	"github.com/letswriteabook/realtime/internal/natsserver"
	"github.com/letswriteabook/realtime/internal/redisdial"
	"github.com/letswriteabook/realtime/operations/doctor"
	"github.com/letswriteabook/realtime/operations/erasure"
	"github.com/letswriteabook/realtime/projections"
)

// probeTimeout bounds the wait for the answer of one server.
const probeTimeout = 5 * time.Second

// Installation examines an installation from this machine, and changes nothing. cfg and
// invalid are what [config.Load] returned. If deep is not nil, every message of the log is
// read, and deep gets the progress.
func Installation(ctx context.Context, cfg config.Config, invalid error, deep func(step string, done, total uint64)) doctor.Report {
	report := doctor.Report{Checks: []doctor.Check{}}
	if invalid != nil {
		report.Add(doctor.Settings(invalid, nil)...)
		return report
	}
	report.Add(doctor.Settings(nil, cfg.Warnings())...)
	report.Add(examineRedis(ctx, cfg)...)
	report.Add(examineMongoDB(ctx, cfg)...)
	report.Add(examineLog(ctx, cfg, deep)...)
	if cfg.RedisURL != "" && !slices.ContainsFunc(report.Checks, func(c doctor.Check) bool { return c.Level == doctor.Fail }) {
		report.Add(examineGateways(ctx, cfg)) // Otherwise what failed explains what they do not do.
	}
	report.Add(examineAddresses(cfg)...)
	if limit, known := machine.FileLimit(); known {
		report.Add(doctor.Files(limit, cfg.MaxConns))
	}
	return report
}

// closing closes a backend within probeTimeout. Its error is of no use to the report.
func closing(end func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.Background(), probeTimeout)
	defer cancel()
	_ = end(ctx)
}

func examineRedis(ctx context.Context, cfg config.Config) []doctor.Check {
	const area = "redis"
	if cfg.RedisURL == "" {
		return []doctor.Check{doctor.Absent(area, "REDIS_URL", "events are published over HTTP only")}
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	servers, err := redisdial.New(cfg.Redis(), slog.New(slog.DiscardHandler))
	if err != nil {
		return []doctor.Check{doctor.Reached(area, "REDIS_URL", 0, config.Wrong("REDIS_URL", cfg.RedisURL))}
	}
	defer servers.Close()
	opts := servers.Options()
	opts.MaxRetries, opts.DialTimeout, opts.DialerRetries = -1, probeTimeout/2, 1
	opts.Dialer = ingest.Dialer(opts)
	backends.RouteDrivers(slog.New(slog.DiscardHandler))
	client := redis.NewClient(opts)
	defer client.Close()
	var began time.Time
	for range 2 { // the first ping includes connecting
		began = time.Now()
		// A server that refuses a ping has answered.
		if err := client.Ping(ctx).Err(); err != nil && !strings.HasPrefix(err.Error(), "NOPERM") {
			return []doctor.Check{unreachable(area, "REDIS_URL", ingest.ExplainOpening(ctx, err, opts))}
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
	// A server that hides its configuration returns nothing, which the check reports.
	limits, _ := client.ConfigGet(ctx, "client-output-buffer-limit").Result()
	checks = append(checks, doctor.Redis(pubsubLimit(limits["client-output-buffer-limit"])))
	if err == nil { // a gateway needs no permission to read the time
		checks = append(checks, doctor.Clock(area, at, began, answered))
	}
	return checks
}

// examineGateways asks the gateways that read events from Redis to hand one on.
func examineGateways(ctx context.Context, cfg config.Config) doctor.Check {
	const area = "redis"
	servers, err := redisdial.New(cfg.Redis(), slog.New(slog.DiscardHandler))
	if err != nil {
		return doctor.Gateways(area, 0, 0, err)
	}
	defer servers.Close()
	delivered, answered, err := ingest.ExerciseGateways(ctx, servers.Options(), "doctor-"+rand.Text(), probeTimeout)
	return doctor.Gateways(area, delivered, answered, err)
}

// unreachable judges a server that takes no connection.
func unreachable(area, variable string, err error) doctor.Check {
	switch backends.ReasonOf(err) {
	case backends.ReasonCredentials, backends.ReasonTLS, backends.ReasonDatabase, backends.ReasonClosed:
		return doctor.Refused(area, variable, err)
	}
	return doctor.Reached(area, variable, 0, err)
}

func examineMongoDB(ctx context.Context, cfg config.Config) []doctor.Check {
	const area = "mongodb"
	if cfg.MongoDBURI == "" {
		return []doctor.Check{doctor.Absent(area, "MONGODB_URI", "there are no read models, and catch-up is served from the log")}
	}
	db, err := backends.MongoDB(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		return []doctor.Check{doctor.Reached(area, "MONGODB_URI", 0, err)}
	}
	defer closing(db.Client().Disconnect)
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	admin := db.Client().Database("admin")
	if err := admin.RunCommand(ctx, bson.D{{Key: "ping", Value: 1}}).Err(); err != nil {
		return []doctor.Check{unreachable(area, "MONGODB_URI", projections.Explain(ctx, err))}
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
		omitted, err := models.Omitted(ctx)
		first := ""
		if len(omitted) > 0 {
			first = fmt.Sprintf("projection %s, job %q, sequence %d", omitted[0].Projection, omitted[0].JobID, omitted[0].Sequence)
		}
		checks = append(checks, doctor.Omitted(len(omitted), first, err))
	}
	var build struct {
		Version string `bson:"version"`
		Ferret  string `bson:"ferretdbVersion"`
	}
	if err := admin.RunCommand(ctx, bson.D{{Key: "buildInfo", Value: 1}}).Decode(&build); err == nil {
		checks = append(checks, doctor.Version(area, build.Version), doctor.MongoDB(hello.Set, build.Ferret != ""))
	}
	// MongoDB truncates its clock to the millisecond.
	return append(checks, doctor.Clock(area, hello.LocalTime, began.Truncate(time.Millisecond), answered))
}

// examineLog examines NATS and the streams. Without NATS_URL it examines the folder of the
// log, and its streams unless a gateway runs on it.
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
	connecting, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	servers, err := backends.OpenNATS(connecting, cfg, quiet)
	if err != nil {
		return append(checks, unreachable("nats", "NATS_URL", err))
	}
	defer closing(servers.Close)
	if cfg.NATSURL != "" {
		took, err := servers.Conn().RTT()
		checks = append(checks, doctor.Reached("nats", "NATS_URL", took, err), doctor.Version("nats", servers.Conn().ConnectedServerVersion()))
		checks = append(checks, doctor.Synced(servers.SyncRisk(ctx)))
	}
	if err := permitted(ctx, cfg, servers); err != nil {
		// Most of the checks below would only time out without these permissions.
		return append(checks, doctor.Permissions("nats", err))
	}
	if cfg.NATSURL != "" {
		checks = append(checks, doctor.Permissions("nats", nil))
	}
	found, used := examineStreams(ctx, cfg, servers)
	checks = append(checks, found...)
	whole := false // every record of every copy was read
	var read []doctor.Check
	if deep != nil {
		read, whole = readEverything(ctx, servers, deep)
	}
	checks = append(checks, examineModels(ctx, cfg, servers)...)
	checks = append(checks, examineScrub(ctx, servers, whole)...)
	checks = append(checks, read...)
	if cfg.NATSURL == "" {
		checks = append(checks, examineDisk(cfg, used)...)
	}
	return checks
}

// examineModels looks for the read models of what the log holds.
func examineModels(ctx context.Context, cfg config.Config, servers *backends.NATS) []doctor.Check {
	if cfg.MongoDBURI == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	// What does not answer is reported elsewhere.
	quiet := slog.New(slog.DiscardHandler)
	log, err := attach(ctx, servers)
	if err != nil {
		return nil
	}
	head, err := log.Head(ctx)
	if err != nil {
		return nil
	}
	var projected uint64
	var paused []string
	for _, name := range projections.Names() {
		state, err := log.ConsumerState(ctx, name)
		if err != nil {
			continue
		}
		if state.LongPaused() {
			paused = append(paused, name)
		}
		projected = max(projected, state.Floor)
	}
	db, err := backends.MongoDB(cfg, quiet)
	if err != nil {
		return nil
	}
	defer closing(db.Client().Disconnect)
	models, err := projections.New(db, projections.DefaultConfig(), quiet, prometheus.NewRegistry())
	if err != nil {
		return nil
	}
	present, err := models.Present(ctx)
	if err != nil {
		return nil
	}
	return []doctor.Check{doctor.Models(db.Name(), present, head, projected), doctor.Consumers(paused)}
}

// attach returns the log as it is.
func attach(ctx context.Context, servers *backends.NATS) (*eventstore.Log, error) {
	cfg := eventstore.DefaultConfig()
	cfg.Domain = servers.Domain()
	return eventstore.Attach(ctx, servers.Conn(), cfg, nil, nil)
}

// permitted returns which permissions the NATS user lacks.
func permitted(ctx context.Context, cfg config.Config, servers *backends.NATS) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	return eventstore.Permitted(ctx, servers.Conn(), servers.Domain(), cfg.NeedsOfNATS())
}

func examineStreams(ctx context.Context, cfg config.Config, servers *backends.NATS) (checks []doctor.Check, used uint64) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	streams, err := archive.New(servers.Conn(), servers.Domain())
	if err != nil {
		return []doctor.Check{doctor.Reached("log", "NATS_URL", 0, err)}, 0
	}
	name := archive.Streams()[0]
	began := time.Now()
	events, err := eventstore.Describe(ctx, servers.Conn(), servers.Domain(), name)
	answered := time.Now()
	if errors.Is(err, eventstore.ErrNoStream) {
		checks = doctor.Events(doctor.Stream{Name: name}, doctor.Wanted{})
		if cfg.NATSURL != "" {
			checks = append(checks, doctor.Room(eventstore.Fits(ctx, servers.Conn(), servers.Domain(), cfg.LogMaxBytes, cfg.LogReplicas, cfg.WithTokens())))
		}
		return checks, 0
	}
	if err != nil {
		return []doctor.Check{doctor.Reached("log", "NATS_URL", answered.Sub(began), err)}, 0
	}
	if cfg.NATSURL != "" && !events.At().IsZero() { // old servers send no time
		checks = append(checks, doctor.Clock("nats", events.At(), began, answered))
	}
	checks = append(checks, doctor.Events(described(events, cfg.MaxEvent), doctor.Wanted{
		Replicas: cfg.LogReplicas, MaxBytes: uint64(cfg.LogMaxBytes), MaxAge: cfg.LogMaxAge, DuplicateWindow: cfg.DedupWindow,
	})...)
	letters := archive.Streams()[1]
	if there, err := streams.Exists(ctx, letters); err == nil {
		checks = append(checks, doctor.Letters(letters, there))
	}
	for _, name := range eventstore.BesideStreams() {
		other, err := eventstore.Describe(ctx, servers.Conn(), servers.Domain(), name)
		switch {
		case errors.Is(err, eventstore.ErrNoStream):
		case err != nil:
			checks = append(checks, doctor.Reached("log", "NATS_URL", 0, err))
		default:
			checks = append(checks, doctor.Beside(name, other.Flawed()))
		}
		if name == sessions.Stream && (err == nil || errors.Is(err, eventstore.ErrNoStream)) {
			var states doctor.Stream
			var recovery time.Duration
			if err == nil {
				states = doctor.Stream{Exists: true, Bytes: other.Bytes, MaxBytes: uint64(other.MaxBytes)}
				recovery = config.RecoveryTTL(other.Settings().MaxAge)
			}
			checks = append(checks, doctor.Sessions(states, recovery, cfg.RecoveryTTL))
		}
	}
	checks = append(checks, examineEpoch(ctx, servers)...)
	trail, err := audit.New(servers.Conn(), servers.Domain())
	if err == nil {
		var notes []audit.Erasure
		if notes, _, err = trail.After(ctx, 0); err == nil {
			checks = append(checks, doctor.Erasures(erasure.Unfinished(notes)))
		}
	}
	if err != nil {
		checks = append(checks, doctor.Reached("log", "NATS_URL", 0, err))
	}
	return checks, events.Bytes
}

// examineEpoch exercises the log, and checks how its epoch began.
func examineEpoch(ctx context.Context, servers *backends.NATS) []doctor.Check {
	log, err := attach(ctx, servers)
	if err != nil {
		return []doctor.Check{doctor.Reached("log", "NATS_URL", 0, err)}
	}
	checks := []doctor.Check{doctor.Exercised("nats", "takes events, and hands them on", log.Exercise(ctx, "doctor-"+rand.Text()))}
	identity, found, err := log.Identity(ctx)
	switch {
	case err != nil:
		return append(checks, doctor.Reached("log", "NATS_URL", 0, err))
	case !found: // written by an earlier version, and not opened since
		return checks
	}
	lost := ""
	if identity.Reason == eventstore.EpochTailLost || identity.Reason == eventstore.EpochCopied {
		lost = identity.Detail
	}
	return append(checks, doctor.Epoch(identity.Epoch, lost, identity.At, time.Now()))
}

// examineScrub reports what the last scrub of a gateway found. whole says that every record
// of every copy of the log was read in this run.
func examineScrub(ctx context.Context, servers *backends.NATS, whole bool) []doctor.Check {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	log, err := attach(ctx, servers)
	if err != nil { // examineStreams reports it
		return nil
	}
	last, found, err := log.Scrubbed(ctx)
	if err != nil {
		return nil
	}
	var scrub doctor.Scrub
	since := last.At
	if found {
		scrub = doctor.Scrub{At: last.At, Server: last.Server, Read: last.Sum.Read, Damage: last.Sum.Damage()}
	} else if identity, recorded, err := log.Identity(ctx); err == nil && recorded {
		since = identity.At
	}
	if age := time.Since(since); !since.IsZero() && age > eventstore.ScrubLate {
		scrub.Late = age
	}
	return []doctor.Check{doctor.Scrubbed(scrub, whole)}
}

// readEverything reads each copy of each stream of the log, and compares what it reads with
// the state of the stream. whole says that it found no difference.
func readEverything(ctx context.Context, servers *backends.NATS, report func(step string, done, total uint64)) (checks []doctor.Check, whole bool) {
	streams, err := archive.New(servers.Conn(), servers.Domain())
	if err != nil {
		return []doctor.Check{doctor.Reached("log", "NATS_URL", 0, err)}, false
	}
	whole = true
	for _, name := range archive.Streams() {
		sums, err := streams.SumCopies(ctx, name, func(soFar archive.Sum) error {
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

// described returns the event stream as package doctor judges it.
func described(s eventstore.Stream, maxEventBytes int) doctor.Stream {
	settings := s.Settings()
	judged := doctor.Stream{
		Name: s.Name, Exists: true, Replicas: s.Replicas, Leader: s.Led(), Behind: len(s.LaggingReplicas), MaxBytes: uint64(s.MaxBytes), Bytes: s.Bytes,
		MaxAge: settings.MaxAge, DuplicateWindow: settings.DuplicateWindow,
	}
	for _, flaw := range s.Flaws(maxEventBytes) {
		judged.Flaws = append(judged.Flaws, flaw.Text())
	}
	return judged
}

// examineAddresses checks whether the service could listen on this machine.
func examineAddresses(cfg config.Config) []doctor.Check {
	look := func(variable, address string) doctor.Check {
		listener, err := net.Listen("tcp", address)
		if err == nil {
			err = listener.Close()
		}
		return doctor.Address(variable, address, errors.Is(err, syscall.EADDRINUSE), err)
	}
	var checks []doctor.Check
	for _, place := range cfg.Listeners() {
		checks = append(checks, look(place.Setting, place.Address))
	}
	return checks
}

// lookAtFolder reports whether the folder has held a log, and whether a gateway runs on
// it. The error says why none could start on it.
func lookAtFolder(dir string) (there, held bool, err error) {
	lock := filepath.Join(dir, natsserver.LockFile)
	if _, err := os.Stat(lock); err != nil {
		return false, false, natsserver.CheckFolder(dir) // it has never held a log, or cannot be read
	}
	file, err := filelock.Take(lock)
	if errors.Is(err, filelock.ErrLocked) {
		return true, true, nil
	}
	if err != nil {
		return true, false, fmt.Errorf("look at the folder of the log: %w", err)
	}
	return true, false, errors.Join(file.Close(), natsserver.CheckFolder(dir))
}

func examineDisk(cfg config.Config, used uint64) []doctor.Check {
	dir := cfg.DataDir
	for {
		free, total, known := machine.DiskSpace(dir)
		if known {
			return []doctor.Check{doctor.Disk(dir, free, total, uint64(cfg.LogMaxBytes), used)}
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return nil
		}
		dir = parent // where the folder would be created
	}
}

// pubsubLimit returns the limit of subscribers from the value of Redis's setting
// client-output-buffer-limit, "normal 0 0 0 slave … pubsub 33554432 8388608 60".
func pubsubLimit(limits string) string {
	_, rest, found := strings.Cut(limits, "pubsub ")
	if !found {
		return ""
	}
	fields := strings.Fields(rest)
	return strings.Join(fields[:min(len(fields), 3)], " ")
}
