package doctor

import (
	"fmt"
	"strings"
	"time"
)

// Stream is what the checks need of a stream. It is a type of its own, and not
// eventstore.Stream, because this package imports no other package of the project, and because
// a stream that does not exist is checked as well.
type Stream struct {
	Name     string
	Exists   bool
	Replicas int
	// Leader says whether the stream has a leader, and Behind counts the replicas that are
	// offline or behind it.
	Leader          bool
	Behind          int
	MaxBytes, Bytes uint64 // MaxBytes is 0 without a bound
	MaxAge          time.Duration
	DuplicateWindow time.Duration
	// Flaws are what is wrong with the settings that no user chooses, a text for each.
	Flaws []string
}

// Wanted is what the settings ask of the event stream.
type Wanted struct {
	Replicas        int
	MaxBytes        uint64
	MaxAge          time.Duration
	DuplicateWindow time.Duration
}

// Events judges the stream of events. Settings that differ from those of the process
// are a warning, because the log's count; what breaks a promise is a failure.
func Events(s Stream, want Wanted) []Check {
	const area = "log"
	if !s.Exists {
		return []Check{{Warn, area, s.Name, "there is none", "a gateway creates it when it starts"}}
	}
	checks := []Check{ok(area, s.Name, "as a gateway creates it")}
	if len(s.Flaws) > 0 {
		checks[0] = Check{Fail, area, s.Name, strings.Join(s.Flaws, "; "), "restart a gateway, which restores its settings; one that is sealed, a mirror or in memory has to be backed up and restored (realtime backup, restore)"}
	}
	var differs []string
	for _, setting := range []struct {
		name      string
		got, want any
	}{
		{"STREAM_REPLICAS", s.Replicas, want.Replicas},
		{"STREAM_MAX_BYTES", s.MaxBytes, want.MaxBytes},
		{"STREAM_MAX_AGE", s.MaxAge, want.MaxAge},
		{"STREAM_DEDUP_WINDOW", s.DuplicateWindow, want.DuplicateWindow},
	} {
		if setting.got != setting.want {
			differs = append(differs, fmt.Sprintf("%s is %v, the stream has %v", setting.name, setting.want, setting.got))
		}
	}
	settings := ok(area, "settings of "+s.Name, fmt.Sprintf("%d replicas, at most %s", s.Replicas, bytesText(s.MaxBytes)))
	if len(differs) > 0 {
		settings = Check{
			Warn, area, settings.Name, strings.Join(differs, "; "),
			"the log keeps what it has: give the gateways and this command the same settings, or change the log's (realtime log set)",
		}
	}
	return append(checks, settings, Filling(s), Copies(s))
}

// Letters judges the stream of dead letters.
func Letters(name string, exists bool) Check {
	const area = "log"
	if !exists {
		return Check{Fail, area, name, "there is none", "a running gateway creates it again within seconds; if none does, see its log: refused events are dropped meanwhile"}
	}
	return ok(area, name, "is there")
}

// Beside judges the settings of a stream or bucket beside the event stream: flaws names what
// is wrong, and what to do.
func Beside(name string, flaws error) Check {
	const area = "log"
	name = "settings of " + name
	if flaws != nil {
		return Check{Fail, area, name, oneLine(flaws.Error()), "do as it says; runbook: RealtimeStreamEdited"}
	}
	return ok(area, name, "as a gateway creates it")
}

// Sessions judges the bucket with the states of sessions, which can be recovered for a
// time; want is SOCKET_RECOVERY_TTL of this process, 0 when it recovers none.
func Sessions(s Stream, recovery, want time.Duration) Check {
	const area, name = "log", "sessions"
	found := fmt.Sprintf("recovered for %s after their connection was lost, %s used", recovery, bytesText(s.Bytes))
	if s.MaxBytes > 0 {
		found += fmt.Sprintf(" of %s (%d %%)", bytesText(s.MaxBytes), s.Bytes*100/s.MaxBytes)
	}
	switch {
	case !s.Exists && want > 0:
		return Check{Skip, area, name, "there are none yet: a gateway makes their bucket when it starts", ""}
	case !s.Exists:
		return Check{Skip, area, name, "SOCKET_RECOVERY_TTL is 0: none are recovered", ""}
	case want > 0 && recovery != want:
		return Check{
			Warn, area, name, fmt.Sprintf("%s; SOCKET_RECOVERY_TTL is %s", found, want),
			"the log keeps what it has: give the gateways and this command the same, or change the log's (realtime log set --recovery-ttl)",
		}
	case s.MaxBytes > 0 && s.Bytes*100 >= s.MaxBytes*90:
		return Check{Warn, area, name, found, "realtime log set --session-bytes with more: a full bucket drops the oldest states, whose clients start as new ones"}
	}
	return ok(area, name, found)
}

// Filling judges how full a stream that refuses is.
func Filling(s Stream) Check {
	const area = "log"
	name := "room in " + s.Name
	if s.MaxBytes == 0 {
		return Check{Warn, area, name, bytesText(s.Bytes) + ", without a bound", "set STREAM_MAX_BYTES below what the disk has"}
	}
	found := fmt.Sprintf("%s of %s (%d %%)", bytesText(s.Bytes), bytesText(s.MaxBytes), s.Bytes*100/s.MaxBytes)
	const more = "realtime log set --max-bytes with more, or --max-age: a full log refuses events"
	switch {
	case s.Bytes*100 >= s.MaxBytes*95:
		return Check{Fail, area, name, found, more}
	case s.Bytes*100 >= s.MaxBytes*80:
		return Check{Warn, area, name, found, more}
	}
	return ok(area, name, found)
}

// Copies judges the replicas of a stream.
func Copies(s Stream) Check {
	const area = "log"
	name := "replicas of " + s.Name
	switch {
	case !s.Leader:
		return Check{Fail, area, name, "no leader", "start the NATS servers that are away: more than half have to be there"}
	case s.Behind > 0:
		return Check{
			Warn, area, name, fmt.Sprintf("%d of %d are away or behind", s.Behind, s.Replicas),
			"see to these servers (nats stream report); until then one more loss may stop the log",
		}
	case s.Replicas == 1:
		return Check{Warn, area, name, "1", "a lost disk loses the log: back it up (realtime backup), or run three NATS servers with STREAM_REPLICAS=3"}
	}
	return ok(area, name, fmt.Sprintf("%d, all up to date", s.Replicas))
}

// Epoch judges how the epoch of the log began: lost says why it took the place of
// another one that had given out more, empty when it did not. What was lost recently
// is a warning.
func Epoch(epoch, lost string, at, now time.Time) Check {
	const area, name, recent = "log", "epoch", 24 * time.Hour
	if lost == "" || now.Sub(at) > recent {
		return ok(area, name, epoch)
	}
	return Check{
		Warn, area, name, fmt.Sprintf("%s began at %s: %s", epoch, at.UTC().Format(time.RFC3339), oneLine(lost)),
		"events that were acknowledged may be gone: producers that keep theirs publish them again; find out what took the log back (power, a snapshot, a disk)",
	}
}

// lookForDamage is what to do about records that cannot be read.
const lookForDamage = "back up what can be read elsewhere first (realtime replay, MongoDB has copies), then see to the disk, and restore the last backup that is whole; runbook: RealtimeLogDamaged"

// replaceCopy is what to do about records that one of several copies cannot read.
const replaceCopy = "the other copies are whole: stop that server, move its folder away and start it again, then it gets a new copy from them; see to its disk first"

// Read judges what could be read from a stream, all of it; of a replicated one, from the
// copy of a server.
func Read(stream, server string, read, deleted uint64, checksum string, damage error) Check {
	area, name := "log", everyRecord(stream, server)
	switch {
	case damage != nil && server != "":
		return Check{Fail, area, name, oneLine(damage.Error()), replaceCopy}
	case damage != nil:
		return Check{Fail, area, name, oneLine(damage.Error()), lookForDamage}
	}
	return ok(area, name, fmt.Sprintf("%d read, %d deleted, checksum %s", read, deleted, checksum))
}

// Unread is for a stream, or the copy of a server, that could not be read to its end.
func Unread(stream, server string, err error) Check {
	return Check{Fail, "log", everyRecord(stream, server), oneLine(err.Error()), "repeat it; if it fails again, see to the server of the log"}
}

func everyRecord(stream, server string) string {
	if server == "" {
		return "every record of " + stream
	}
	return "every record of " + stream + " on " + server
}

// Scrub is what the last scrub of a gateway found, of a replicated log in the copy of the
// server that lacks most.
type Scrub struct {
	// At is when it ended; zero when there was none yet.
	At time.Time
	// Late is 0, or how long ago the last one ended, or the log began, when that is too long.
	Late   time.Duration
	Server string
	Read   uint64
	Damage error
}

// Scrubbed judges the last scrub. With repaired, every record of every copy has been read
// since, so that its damage is no longer there.
func Scrubbed(s Scrub, repaired bool) Check {
	const area, name = "log", "last scrub"
	const late = "see the log lines of the gateways for why no scrub was completed: docs/ops/runbook.md#realtimescrublate"
	if s.At.IsZero() {
		if s.Late == 0 {
			return ok(area, name, "none yet")
		}
		return Check{Warn, area, name, fmt.Sprintf("none in the %s since this epoch began", s.Late.Round(time.Hour)), late}
	}
	at := s.At.UTC().Format(time.RFC3339)
	found := fmt.Sprintf("%s: %d records read", at, s.Read)
	if s.Damage != nil {
		found = at + ": " + oneLine(s.Damage.Error())
		if s.Server != "" {
			found += ", on server " + s.Server
		}
	}
	switch {
	case s.Damage != nil && repaired:
		found += "; repaired since: every record could be read now"
	case s.Damage != nil && s.Server != "":
		return Check{Fail, area, name, found, replaceCopy}
	case s.Damage != nil:
		return Check{Fail, area, name, found, lookForDamage}
	case s.Late > 0:
		return Check{Warn, area, name, found + fmt.Sprintf("; %s ago, one is due each day", s.Late.Round(time.Hour)), late}
	}
	return ok(area, name, found)
}

// Erasures judges the record of erasures: which jobs' are begun and not done.
func Erasures(unfinished []string) Check {
	const area, name = "log", "erasures"
	if len(unfinished) == 0 {
		return ok(area, name, "none waits to be finished")
	}
	return Check{
		Fail, area, name, fmt.Sprintf("%d begun and not done", len(unfinished)),
		"repeat realtime erase for each job that realtime audit list shows as begun only",
	}
}
