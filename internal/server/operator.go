package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/letswriteabook/realtime/eventstore"
	"github.com/letswriteabook/realtime/internal/config"
	"github.com/letswriteabook/realtime/internal/natsserver"
	"github.com/letswriteabook/realtime/operations/backup"
	"github.com/letswriteabook/realtime/operations/rebuild"
	"github.com/letswriteabook/realtime/projections"
)

// ErrNoLog is returned by [OpenOperator] where there is no log.
var ErrNoLog = errors.New("there is no log here")

// whereTimeout bounds the question which log it is.
const whereTimeout = 5 * time.Second

// Operator is what the operators' commands work with: the log and the read models,
// without a gateway. It makes no stream and changes no limits.
type Operator struct {
	app  *App
	conn *nats.Conn
}

// OpenOperator connects to NATS; without NATS_URL it opens the log in DATA_DIR,
// which no gateway may be running on. [Operator.Close] ends it.
//
// It makes no log: it returns [ErrNoLog] where there is none in DATA_DIR, unless create is
// set, which a restore into a new folder needs.
func OpenOperator(ctx context.Context, cfg config.Config, create bool, logger *slog.Logger) (*Operator, error) {
	if cfg.NATSURL == "" && !create {
		if _, err := os.Stat(filepath.Join(cfg.DataDir, natsserver.Folder)); err != nil {
			return nil, fmt.Errorf("%w: NATS_URL is not set, and there is no log in DATA_DIR, %q: set the one that the gateways have", ErrNoLog, cfg.DataDir)
		}
	}
	a := &App{cfg: cfg, logger: logger, parts: newLifecycle(logger), registry: prometheus.NewRegistry(), health: &health{}}
	conn, err := a.openNATS(ctx)
	if errors.Is(err, natsserver.ErrFolderInUse) {
		err = fmt.Errorf("%w: a gateway runs on it; set NATS_URL to the address in its NATS_LISTEN, or stop it", err)
	}
	if err != nil {
		return nil, errors.Join(err, a.parts.stop(cfg.ShutdownTimeout, 0))
	}
	a.parts.onStop("nats connection", func(context.Context) error {
		conn.Close()
		return nil
	})
	return &Operator{app: a, conn: conn}, nil
}

// Where names the log that the operator speaks of, in one line: the server or folder,
// the epoch, and the newest sequence.
func (o *Operator) Where(ctx context.Context) string {
	place := fmt.Sprintf("server %s at %s", o.conn.ConnectedServerName(), o.conn.ConnectedAddr())
	if o.app.cfg.NATSURL == "" {
		place = fmt.Sprintf("folder %q", o.app.cfg.DataDir)
	}
	bounded, cancel := context.WithTimeout(ctx, whereTimeout)
	defer cancel()
	epoch, head, err := eventstore.Head(bounded, o.conn)
	if err != nil {
		return fmt.Sprintf("%s: %v", place, err)
	}
	return fmt.Sprintf("%s, epoch %s, head %d", place, epoch, head)
}

// Close closes what [OpenOperator] opened.
func (o *Operator) Close() error { return o.app.parts.stop(o.app.cfg.ShutdownTimeout, 0) }

// Rebuilds returns a rebuild for each of the named projections, all when none is
// named. report is told how they go.
func (o *Operator) Rebuilds(ctx context.Context, names []string, report func(step string, done, total uint64)) ([]*Rebuild, error) {
	if len(names) == 0 {
		names = projections.Names()
	}
	store, err := o.models()
	if err != nil {
		return nil, err
	}
	log, err := o.attach(ctx)
	if err != nil {
		return nil, err
	}
	store.Honour(modelErasures{log.Audit()})
	var rebuilds []*Rebuild
	for _, name := range names {
		model, err := store.Model(name)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", config.ErrInvalid, err)
		}
		r := &Rebuild{Model: model, operator: o}
		r.Rebuild = rebuild.New(log, model, func(p rebuild.Progress) {
			report(name+": "+p.Step, p.Done, p.Total)
			if r.told != nil {
				r.told(p.Step, p.Done, p.Total)
			}
		})
		rebuilds = append(rebuilds, r)
	}
	return rebuilds, nil
}

// attach returns the log as it is.
func (o *Operator) attach(ctx context.Context) (*eventstore.Log, error) {
	limits := eventstore.DefaultConfig()
	limits.MaxEventBytes = o.app.cfg.MaxEvent
	return eventstore.Attach(ctx, o.conn, limits, o.app.logger, o.app.registry)
}

// models returns the read models.
func (o *Operator) models() (*projections.Store, error) {
	if o.app.cfg.MongoDBURI == "" {
		return nil, fmt.Errorf("%w: MONGODB_URI is not set: there are no projections", config.ErrInvalid)
	}
	db, err := openMongo(o.app.cfg, o.app.parts, o.app.logger)
	if err != nil {
		return nil, err
	}
	return projections.New(db, projections.DefaultConfig(), o.app.logger, o.app.registry)
}

// Rebuild is one projection's rebuild, and the model it works on.
type Rebuild struct {
	*rebuild.Rebuild
	*projections.Model

	operator *Operator
	told     func(step string, done, total uint64) // nil outside of [Rebuild.Hold]
}

// ErrNoShadow is what a swap without a rebuild ends with.
var ErrNoShadow = projections.ErrNoShadow

// What the commands show.
type (
	ProjectionStatus  = rebuild.Status
	ProjectionReport  = rebuild.Report
	ProjectionSwapped = rebuild.Swapped
)

// What the command log set works with.
type (
	LogSettings = eventstore.Settings
	LogLoss     = eventstore.Loss
	LogChange   = eventstore.Change
)

// LogSettings returns the settings of the log and of the sessions beside it.
func (o *Operator) LogSettings(ctx context.Context) (LogSettings, error) {
	log, err := eventstore.Attach(ctx, o.conn, eventstore.DefaultConfig(), o.app.logger, nil)
	if err != nil {
		return LogSettings{}, err
	}
	return log.AllSettings(ctx)
}

// ConsiderSettings says what other settings would delete of the log.
func (o *Operator) ConsiderSettings(ctx context.Context, wanted LogSettings) (LogLoss, error) {
	log, err := eventstore.Attach(ctx, o.conn, eventstore.DefaultConfig(), o.app.logger, nil)
	if err != nil {
		return LogLoss{}, err
	}
	return log.Consider(ctx, wanted)
}

// ChangeSettings gives the log other settings, and notes by whom.
func (o *Operator) ChangeSettings(ctx context.Context, by string, wanted LogSettings) error {
	log, err := eventstore.Attach(ctx, o.conn, eventstore.DefaultConfig(), o.app.logger, nil)
	if err != nil {
		return err
	}
	return log.Change(ctx, by, wanted)
}

// SettingsChanges returns the changes of the log's settings, oldest first.
func (o *Operator) SettingsChanges(ctx context.Context) ([]LogChange, error) {
	audit, err := eventstore.NewAudit(o.conn, eventstore.DefaultConfig(), o.app.logger)
	if err != nil {
		return nil, err
	}
	return audit.Changes(ctx)
}

// BackupManifest says what a backup holds.
type BackupManifest = backup.Manifest

// Backup writes a backup of the log into a folder.
func (o *Operator) Backup(ctx context.Context, dir string, report func(step string, done, total uint64)) (backup.Manifest, error) {
	archive, err := eventstore.NewArchive(o.conn)
	if err != nil {
		return backup.Manifest{}, err
	}
	return backup.Save(ctx, archive, dir, func(p backup.Progress) { report(p.Step, p.Done, p.Total) })
}

// RestoreRequest says what to restore and how.
type RestoreRequest struct {
	Dir string
	// Replace takes the place of the log that is there, after the backup was restored
	// beside it; InPlace deletes that first, for a server that cannot hold both.
	Replace, InPlace bool
}

// command is what goes on with a restore.
func (r RestoreRequest) command() string {
	command := "realtime restore " + r.Dir
	if r.Replace {
		command += " --replace"
	}
	if r.InPlace {
		command += " --in-place"
	}
	return command
}

// Restore makes the log anew from a backup, in a new epoch, without what was erased
// after the backup was made.
func (o *Operator) Restore(ctx context.Context, request RestoreRequest, report func(step string, done, total uint64)) (restored backup.Restored, err error) {
	archive, err := eventstore.NewArchive(o.conn)
	if err != nil {
		return restored, err
	}
	audit, err := eventstore.NewAudit(o.conn, eventstore.DefaultConfig(), o.app.logger)
	if err != nil {
		return restored, err
	}
	if _, err := backup.Load(request.Dir); err != nil { // before anything is made on the server
		return restored, err
	}
	operation := Operation{Target: eventstore.WholeLog, Kind: "restore", Resume: request.command()}
	if operation.Epoch, err = o.epochOfRestore(ctx, operation); err != nil {
		return restored, err
	}
	err = o.during(ctx, operation, report, func(ctx context.Context, report func(string, uint64, uint64)) error {
		var begun []Erasure
		options := backup.Options{
			Replace: request.Replace, InPlace: request.InPlace, Epoch: operation.Epoch,
			Prepare: func(ctx context.Context, coming backup.Coming) (err error) {
				begun, err = prepareErasures(ctx, audit, coming)
				return err
			},
			Report: func(p backup.Progress) { report(p.Step, p.Done, p.Total) },
		}
		restored, err = backup.RestoreWith(ctx, archive, request.Dir, options)
		if errors.Is(err, eventstore.ErrNoRoom) {
			err = fmt.Errorf("%w; --in-place removes that first", err)
		}
		if err != nil || len(begun) == 0 {
			return err
		}
		restored.Erased = UnfinishedErasures(begun)
		return o.eraseAgain(ctx, begun, report)
	})
	return restored, err
}

// epochOfRestore returns the epoch that a restore gives the log: that of the same one,
// when it was interrupted, and else a new one.
func (o *Operator) epochOfRestore(ctx context.Context, operation Operation) (string, error) {
	all, err := o.Operations(ctx)
	if err != nil {
		return "", err
	}
	for _, other := range all {
		if other.Target == operation.Target && other.Kind == operation.Kind && other.Resume == operation.Resume && other.Epoch != "" {
			return other.Epoch, nil
		}
	}
	return eventstore.NewEpoch(), nil
}

// AdoptBackup writes the manifest of a folder that the `nats` CLI has written.
func AdoptBackup(dir string) (BackupManifest, error) { return backup.Adopt(dir) }

// ErrCorruptBackup is what a check of a backup ends with that is not as it was written.
var ErrCorruptBackup = backup.ErrCorrupt

// CheckBackup compares the files of a backup with its manifest.
func CheckBackup(dir string) (backup.Manifest, error) {
	manifest, err := backup.Load(dir)
	if err != nil {
		return manifest, err
	}
	return manifest, backup.Check(dir, manifest)
}
