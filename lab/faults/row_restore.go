package faults

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/letswriteabook/realtime/eventstore/archive"
	"github.com/letswriteabook/realtime/lab/processes"
	"github.com/letswriteabook/realtime/operations/backup"
)

func restoreRows() []Row {
	embedded := System{Mongo: true, Jobs: 6}
	server := System{Nodes: 1, Mongo: true, Jobs: 6, Gateways: 2}
	cluster := System{Nodes: 3, Mongo: true, Jobs: 6, Gateways: 2}
	const limit = time.Minute
	return []Row{
		{
			Number: 29, Title: "restore kill -9, again and again, the log inside the gateway", Limit: limit,
			System: embedded, Run: killRestore,
		},
		{
			Number: 29, Variant: "replace", Title: "restore --replace kill -9, again and again, beside the log inside the gateway", Limit: limit,
			System: embedded, Run: killReplacement,
		},
		{
			Number: 29, Variant: "replace-server", Title: "restore --replace kill -9, again and again, behind 2 running gateways", Limit: limit,
			System: server, Run: killReplacement,
		},
		{
			Number: 29, Variant: "replace-cluster", Title: "restore --replace kill -9, again and again, 3 NATS nodes", Limit: limit,
			System: cluster, Run: killReplacement,
		},
		{
			Number: 29, Variant: "folder", Title: "restore into a new folder kill -9, again and again, and with it the log inside", Limit: limit,
			System: embedded, Run: killRestoreIntoFolder,
		},
		{Number: 29, Variant: "server", Title: "restore kill -9, again and again, behind 2 running gateways", Limit: limit, System: server, Run: killRestore},
		{Number: 29, Variant: "cluster", Title: "restore kill -9, again and again, 3 NATS nodes", Limit: limit, System: cluster, Run: killRestore},
		{
			Number: 29, Variant: "refused", Title: "restore --replace of what the server refuses, the log inside the gateway", InCI: true,
			System: embedded, Run: refuseRestore,
		},
		{Number: 29, Variant: "refused-server", Title: "restore --replace of what the NATS server refuses", System: server, Run: refuseRestore},
		{Number: 29, Variant: "refused-cluster", Title: "restore --replace of what 3 NATS nodes refuse", System: cluster, Run: refuseRestore},
	}
}

// saveLog waits until everything is quiet, and saves the log.
func (t *Trial) saveLog(ctx context.Context, streams *archive.Archive) (dir string, saved backup.Manifest, err error) {
	if err := t.Outbox.AwaitIdle(ctx); err != nil {
		return "", saved, err
	}
	if err := t.AwaitClients(ctx); err != nil {
		return "", saved, err
	}
	dir = filepath.Join(t.dir, "backup")
	saved, err = backup.Save(ctx, streams, dir, func(backup.Progress) {})
	return dir, saved, err
}

// answerDelay delays each answer of the server to a restore, so that the restore can be
// killed at any point.
const answerDelay = 30 * time.Millisecond

// maxKills bounds how often a restore is killed.
const maxKills = 40

// kills is the result of killing a restore repeatedly.
type kills struct {
	times int       // how often it was killed
	parts int       // how often a part of a log was left
	since time.Time // when the restore that completed began
}

// killRestores repeatedly starts the restore of a backup, and kills it with SIGKILL at later
// and later moments, until one completes: the first after pace, and each one later than the
// one before by pace, which grows by an eighth. judge checks what is left after a kill.
func (t *Trial) killRestores(ctx context.Context, env map[string]string, dir string, pace time.Duration, judge func() (part bool, err error), flags ...string) (kills, error) {
	var k kills
	for moment := pace; ; moment, pace = moment+pace, pace+pace/8 {
		if k.times == maxKills {
			return k, fmt.Errorf("the restore did not come to its end in %s", moment)
		}
		k.since = time.Now()
		restore, err := t.launch(ctx, env, append([]string{"restore", dir}, flags...)...)
		if err != nil {
			return k, err
		}
		timer := time.NewTimer(moment)
		select {
		case <-restore.ended:
		case <-timer.C:
			restore.kill()
		}
		timer.Stop()
		switch code := restore.code(); {
		case code == 0:
			t.Measure("kills", float64(k.times), "")
			t.Measure("kills that left a part of a log", float64(k.parts), "")
			return k, nil
		case code > 0:
			return k, fmt.Errorf("after %d kills, the restore failed with %d: %s", k.times, code, restore.said)
		}
		k.times++
		part, err := judge()
		if err != nil {
			return k, fmt.Errorf("after %d kills, the last at %s: %w", k.times, moment, err)
		}
		if part {
			k.parts++
		}
	}
}

// savedLog is a backup of the log, which is restored over a connection that is slow enough
// for the restore to be killed at any point.
type savedLog struct {
	trial    *Trial
	streams  *archive.Archive
	dir      string
	manifest backup.Manifest
	slow     *processes.Proxy
	done     func() // closes streams
}

// saveSome publishes some events and saves the log.
func (t *Trial) saveSome(ctx context.Context) (s *savedLog, err error) {
	if err := t.PublishSome(ctx, t.Scaled("events", 2000, 600, 200)); err != nil {
		return nil, err
	}
	s = &savedLog{trial: t}
	if s.streams, s.done, err = t.OpenArchive(ctx); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.done()
		}
	}()
	if s.dir, s.manifest, err = t.saveLog(ctx, s.streams); err != nil {
		return nil, err
	}
	server, _, _ := strings.Cut(strings.TrimPrefix(t.natsURL(), "nats://"), ",")
	if s.slow, err = processes.NewProxy(server); err != nil {
		return nil, err
	}
	s.slow.Delay(answerDelay)
	return s, nil
}

func (s *savedLog) close() {
	s.slow.Close()
	s.done()
}

// restore is [Trial.killRestores] of the backup. It fails when no kill has left a part of a
// log, unless the run is short.
func (s *savedLog) restore(ctx context.Context, judge func() (part bool, err error), flags ...string) (kills, error) {
	pace := time.Duration(s.trial.Scaled("ms between two kills", 100, 300, 600)) * time.Millisecond
	k, err := s.trial.killRestores(ctx, map[string]string{"NATS_URL": "nats://" + s.slow.Addr()}, s.dir, pace, judge, flags...)
	if err == nil && k.parts == 0 && !s.trial.Short {
		err = errors.New("no kill left a part of a log, so that the row proves nothing")
	}
	return k, err
}

// goesOn waits until the system has recovered after the restore that completed.
func (t *Trial) goesOn(ctx context.Context, k kills) error {
	if err := t.Resumed(ctx, k.since); err != nil {
		return err
	}
	if err := t.AwaitEpoch(ctx); err != nil {
		return err
	}
	return t.Outbox.AwaitMore(ctx, 50)
}

// killRestore removes the log, and kills its restore at later and later points. No gateway
// and no tool may use a part of a log as the log.
func killRestore(ctx context.Context, t *Trial) error {
	saved, err := t.saveSome(ctx)
	if err != nil {
		return err
	}
	defer saved.close()
	t.ExpectEpoch()
	for _, stream := range archive.Streams() {
		if err := saved.streams.Remove(ctx, stream); err != nil {
			return err
		}
	}
	stop := t.Load(50)
	defer stop()
	acknowledged := t.Outbox.Acknowledged()
	k, err := saved.restore(ctx, func() (part bool, err error) {
		part, whole, err := t.judgeUnfinished(ctx, saved.streams, saved.manifest)
		if n := t.Outbox.Acknowledged(); err == nil && !whole && n != acknowledged {
			err = fmt.Errorf("%d events were acknowledged", n-acknowledged)
		}
		return part, err
	})
	if err != nil {
		return err
	}
	if err := t.goesOn(ctx, k); err != nil {
		return err
	}
	stop()
	if err := t.expectNoOperation(ctx, nil); err != nil {
		return err
	}
	return t.verifyModels(ctx)
}

// killReplacement replaces the log with a backup, and kills that at later and later points.
// After each kill, the old or the new log must be complete, or what is there must have the
// mark of a restore. Nothing is published meanwhile, because the old log is discarded.
func killReplacement(ctx context.Context, t *Trial) error {
	saved, err := t.saveSome(ctx)
	if err != nil {
		return err
	}
	defer saved.close()
	t.ExpectEpoch()
	k, err := saved.restore(ctx, func() (part bool, err error) {
		if part, _, err = t.judgeUnfinished(ctx, saved.streams, saved.manifest); part || err != nil {
			return part, err
		}
		return saved.streams.Exists(ctx, archive.Beside(processes.EventStream))
	}, "--replace")
	if err != nil {
		return err
	}
	stop := t.Load(50)
	defer stop()
	if err := t.goesOn(ctx, k); err != nil {
		return err
	}
	stop()
	if there, err := saved.streams.Exists(ctx, archive.Beside(processes.EventStream)); there || err != nil {
		return errors.Join(errors.New("what was restored beside the log is left"), err)
	}
	if err := t.expectNoOperation(ctx, nil); err != nil {
		return err
	}
	return t.verifyModels(ctx)
}

// judgeUnfinished checks what a killed restore has left: nothing, the whole log, or a part
// with the mark of a restore, which no gateway and no tool uses as the log.
func (t *Trial) judgeUnfinished(ctx context.Context, streams *archive.Archive, saved backup.Manifest) (part, whole bool, err error) {
	there, marked, err := streams.Restoring(ctx, processes.EventStream)
	if err != nil || !there {
		return false, false, err
	}
	if marked {
		for _, gateway := range t.Gateways {
			if _, err := notReady(ctx, gateway); err != nil {
				return true, false, err
			}
		}
		_, err = t.operate(ctx, 1, nil, "log", "status")
		return true, false, err
	}
	js, done, err := t.jetStream()
	if err != nil {
		return false, false, err
	}
	defer done()
	stream, err := js.Stream(ctx, processes.EventStream)
	if err != nil {
		return false, false, err
	}
	if n := stream.CachedInfo().State.Msgs; n < saved.Streams[0].Messages {
		return false, false, fmt.Errorf("a part of a log has no mark: %d of %d messages", n, saved.Streams[0].Messages)
	}
	return false, true, nil // only the report of its end was missing
}

// expectNoOperation fails if an operation remains that has to be resumed or undone.
func (t *Trial) expectNoOperation(ctx context.Context, env map[string]string) error {
	text, err := t.operate(ctx, 0, env, "operations", "-o", "json")
	if err != nil {
		return err
	}
	if from := strings.Index(text, "["); from < 0 || strings.TrimSpace(text[from:]) != "[]" {
		return fmt.Errorf("an operation is left: %s", text)
	}
	return nil
}

// killRestoreIntoFolder restores a backup into a new folder, as on a new machine, and kills
// the restore with its embedded server, until one completes. Then the gateway uses that
// folder.
func killRestoreIntoFolder(ctx context.Context, t *Trial) error {
	if err := t.PublishSome(ctx, t.Scaled("events", 2000, 600, 200)); err != nil {
		return err
	}
	streams, done, err := t.OpenArchive(ctx)
	if err != nil {
		return err
	}
	dir, saved, err := t.saveLog(ctx, streams)
	done()
	if err != nil {
		return err
	}
	gateway := t.Gateways[0]
	gateway.Kill()
	t.ExpectEpoch()
	stop := t.Load(50)
	defer stop()
	env := map[string]string{"NATS_URL": "", "DATA_DIR": filepath.Join(t.Lab.Dir(), "restored")}
	pace := time.Duration(t.Scaled("ms between two kills", 10, 40, 150)) * time.Millisecond
	if _, err := t.killRestores(ctx, env, dir, pace, func() (bool, error) { return t.judgeFolder(ctx, env, saved) }); err != nil {
		return err
	}
	if err := t.expectNoOperation(ctx, env); err != nil {
		return err
	}
	gateway.Set("DATA_DIR", env["DATA_DIR"])
	since := time.Now()
	if err := gateway.Start(ctx); err != nil {
		return err
	}
	if err := t.Resumed(ctx, since); err != nil {
		return err
	}
	if err := t.AwaitEpoch(ctx); err != nil {
		return err
	}
	stop()
	return t.verifyModels(ctx)
}

// judgeFolder runs a tool on a folder in which a restore was killed. The tool may report that
// there is no log. If it shows a log, the log must be complete.
func (t *Trial) judgeFolder(ctx context.Context, env map[string]string, saved backup.Manifest) (part bool, err error) {
	status, err := t.launch(ctx, env, "log", "status", "-o", "json")
	if err != nil {
		return false, err
	}
	if status.code() != 0 {
		return strings.Contains(status.said.String(), "restored"), ctx.Err()
	}
	var found struct {
		Streams []struct {
			Name     string `json:"name"`
			Messages uint64 `json:"messages"`
		} `json:"streams"`
	}
	text := status.said.String()
	if err := json.Unmarshal([]byte(text[max(0, strings.Index(text, "{")):]), &found); err != nil {
		return false, fmt.Errorf("read what log status says: %w: %s", err, text)
	}
	for _, stream := range found.Streams {
		if stream.Name == processes.EventStream && stream.Messages < saved.Streams[0].Messages {
			return false, fmt.Errorf("a part of a log is shown as the log: %d of %d messages", stream.Messages, saved.Streams[0].Messages)
		}
	}
	return false, nil
}

// refuseRestore restores a backup that the servers refuse, because it needs more nodes than
// there are, in place of the log, while events are published. Nothing may change.
func refuseRestore(ctx context.Context, t *Trial) error {
	if err := t.PublishSome(ctx, 200); err != nil {
		return err
	}
	streams, done, err := t.OpenArchive(ctx)
	if err != nil {
		return err
	}
	defer done()
	dir, saved, err := t.saveLog(ctx, streams)
	if err != nil {
		return err
	}
	var names []string
	for _, stream := range saved.Streams {
		names = append(names, stream.Name)
	}
	replicas := 3
	if t.Lab.Nodes() == 3 {
		replicas = 5
	}
	if dir, err = ofMoreNodes(dir, names, replicas); err != nil {
		return err
	}
	js, disconnect, err := t.jetStream()
	if err != nil {
		return err
	}
	defer disconnect()
	before, err := describeStreams(ctx, js, names)
	if err != nil {
		return err
	}
	stop := t.Load(100)
	defer stop()
	for _, args := range [][]string{{"--replace"}, {"--replace", "--in-place"}} {
		reason, err := t.operate(ctx, 1, nil, append([]string{"restore", dir}, args...)...)
		if err != nil {
			return err
		}
		_, last, _ := cutLast(reason, "\n")
		t.Note("restore %s: %s", strings.Join(args, " "), last)
		after, err := describeStreams(ctx, js, names)
		if err != nil {
			return err
		}
		for name, stream := range before {
			if changed := after[name]; changed == nil || !changed.Created.Equal(stream.Created) || changed.State.Msgs < stream.State.Msgs {
				return fmt.Errorf("stream %s was %+v and is %+v", name, stream, changed)
			}
			if there, err := streams.Exists(ctx, archive.Beside(name)); there || err != nil {
				return errors.Join(fmt.Errorf("what was restored beside %s is left", name), err)
			}
		}
		if err := t.Outbox.AwaitMore(ctx, 50); err != nil {
			return err
		}
	}
	// A refused restore has changed nothing, so there is nothing to resume or to undo.
	if err := t.expectNoOperation(ctx, nil); err != nil {
		return err
	}
	stop()
	return t.verifyModels(ctx)
}

// describeStreams returns the server's descriptions of streams.
func describeStreams(ctx context.Context, js jetstream.JetStream, names []string) (map[string]*jetstream.StreamInfo, error) {
	all := map[string]*jetstream.StreamInfo{}
	for _, name := range names {
		err := insist(ctx, func(ctx context.Context) error {
			stream, err := js.Stream(ctx, name)
			if err == nil {
				all[name] = stream.CachedInfo()
			}
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("look at stream %s: %w", name, err)
		}
	}
	return all, nil
}

// ofMoreNodes copies a backup, and sets the number of replicas in the copy. It returns the
// folder of the copy.
func ofMoreNodes(dir string, streams []string, replicas int) (string, error) {
	larger := dir + "-of-more-nodes"
	if err := os.CopyFS(larger, os.DirFS(dir)); err != nil {
		return "", err
	}
	if err := os.Remove(filepath.Join(larger, "manifest.json")); err != nil {
		return "", err
	}
	for _, stream := range streams {
		path := filepath.Join(larger, stream, "backup.json")
		text, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		var description map[string]json.RawMessage
		if err := json.Unmarshal(text, &description); err != nil {
			return "", fmt.Errorf("read %s: %w", path, err)
		}
		var config map[string]json.RawMessage
		if err := json.Unmarshal(description["config"], &config); err != nil {
			return "", fmt.Errorf("read %s: %w", path, err)
		}
		config["num_replicas"] = fmt.Append(nil, replicas)
		if description["config"], err = json.Marshal(config); err != nil {
			return "", err
		}
		if text, err = json.Marshal(description); err != nil {
			return "", err
		}
		if err := os.WriteFile(path, text, 0o600); err != nil {
			return "", err
		}
	}
	_, err := backup.Adopt(larger)
	return larger, err
}

// cutLast cuts a text around the last separator.
func cutLast(text, separator string) (before, after string, found bool) {
	at := strings.LastIndex(text, separator)
	if at < 0 {
		return "", text, false
	}
	return text[:at], text[at+len(separator):], true
}
