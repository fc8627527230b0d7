package doctor_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/letswriteabook/realtime/operations/doctor"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var good = doctor.Stream{
	Name: "NOVEL_EVENTS", Exists: true, Replicas: 3, Leader: true, MaxBytes: 1000, Bytes: 100, MaxAge: time.Hour,
	DuplicateWindow: time.Minute,
}

// with returns the good stream with a change.
func with(change func(*doctor.Stream)) doctor.Stream {
	changed := good
	change(&changed)
	return changed
}

func TestChecks(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	wanted := doctor.Wanted{Replicas: 3, MaxBytes: 1000, MaxAge: time.Hour, DuplicateWindow: time.Minute}
	for _, test := range []struct {
		name   string
		checks []doctor.Check
		want   string // the levels
		says   string // somewhere in what was found, or is to be done
	}{
		{"valid settings", doctor.Settings(nil, nil), "ok", "valid"},
		{"read models", []doctor.Check{doctor.Models("novel", true, 5, 5)}, "ok", "there are"},
		{"a log without events", []doctor.Check{doctor.Models("novel", false, 0, 0)}, "skip", "none"},
		{"a database whose name is mistyped", []doctor.Check{doctor.Models("novle", false, 5, 4)}, "fail", "MONGODB_URI"},
		{"a database that is new", []doctor.Check{doctor.Models("novel", false, 5, 0)}, "warn", "MONGODB_URI"},
		{"two wrong settings", doctor.Settings(errors.Join(errors.New("PORT is x"), errors.New("HOST is y")), nil), "fail fail", "HOST is y"},
		{"wrong settings below a sentinel", doctor.Settings(fmt.Errorf("%w: %w", errors.New("invalid"), errors.Join(errors.New("PORT is x"), errors.New("HOST is y"))), nil), "fail fail", "HOST is y"},
		{"a text of two lines", doctor.Settings(fmt.Errorf("%w: %w", errors.New("invalid"), errors.New("PORT is x\nwant a number")), nil), "fail", "invalid: PORT is x want a number"},
		{"a warning", doctor.Settings(nil, []string{"odd"}), "warn", "odd"},
		{"no Redis", []doctor.Check{doctor.Absent("redis", "REDIS_URL", "HTTP only")}, "skip", "REDIS_URL is not set"},
		{"out of reach", []doctor.Check{doctor.Reached("redis", "REDIS_URL", 0, errors.New("refused\nreally"))}, "fail", "refused really"},
		{"slow", []doctor.Check{doctor.Reached("redis", "REDIS_URL", time.Second, nil)}, "warn", "1s"},
		{"fast", []doctor.Check{doctor.Reached("redis", "REDIS_URL", time.Millisecond, nil)}, "ok", "1ms"},
		{"servers that sync each write", []doctor.Check{doctor.Synced("", nil)}, "ok", "each write"},
		{"servers that sync at an interval", []doctor.Check{doctor.Synced("n1 syncs every 2m0s", errors.New("n2: refused"))}, "warn", "sync_interval: always"},
		{"servers that do not say", []doctor.Check{doctor.Synced("", errors.New("refused\nby two"))}, "skip", "not known: refused by two"},
		{"an old server", []doctor.Check{doctor.Version("nats", "2.10.4")}, "fail", "2.11 or later"},
		{"an older server", []doctor.Check{doctor.Version("nats", "2.12.0")}, "warn", "2.15"},
		{"a new server", []doctor.Check{doctor.Version("nats", "v3.0.0-beta")}, "ok", "3.0"},
		{"a minor version of two digits", []doctor.Check{doctor.Version("nats", "2.100.0")}, "ok", ""},
		{"no version", []doctor.Check{doctor.Version("redis", "")}, "warn", "cannot be read"},
		{"a clock between", []doctor.Check{doctor.Clock("redis", now, now.Add(-time.Millisecond), now.Add(time.Millisecond))}, "ok", "2ms"},
		{"a clock behind", []doctor.Check{doctor.Clock("redis", now.Add(-5*time.Second), now, now)}, "warn", "5s off"},
		{"a clock ahead", []doctor.Check{doctor.Clock("redis", now.Add(time.Hour), now, now)}, "fail", "1h0m0s off"},
		{"a slow answer says nothing", []doctor.Check{doctor.Clock("redis", now, now.Add(-2*time.Second), now.Add(2*time.Second))}, "ok", "4s"},
		{"Redis drops early", []doctor.Check{doctor.Redis("8388608 1 60")}, "warn", "8.0 MiB"},
		{"Redis by default", []doctor.Check{doctor.Redis("33554432 8388608 60")}, "ok", "32.0 MiB"},
		{"Redis never drops", []doctor.Check{doctor.Redis("0 0 0")}, "ok", "without a bound"},
		{"Redis does not tell", []doctor.Check{doctor.Redis(""), doctor.Redis("x y z")}, "skip skip", ""},
		{"FerretDB", []doctor.Check{doctor.MongoDB("", true)}, "warn", "FerretDB"},
		{"a lone MongoDB", []doctor.Check{doctor.MongoDB("", false)}, "warn", "single"},
		{"a replica set", []doctor.Check{doctor.MongoDB("rs0", false)}, "ok", "rs0"},
		{"all stored in full", []doctor.Check{doctor.Omitted(0, "", nil)}, "ok", "all"},
		{"some not stored in full", []doctor.Check{doctor.Omitted(3, `job "a", sequence 7`, nil)}, "warn", `all but 3; one of them: job "a", sequence 7`},
		{"no answer about them", []doctor.Check{doctor.Omitted(0, "", errors.New("away"))}, "skip", "away"},
		{"no stream", doctor.Events(doctor.Stream{Name: "NOVEL_EVENTS"}, wanted), "warn", "there is none"},
		{"the stream as it should be", doctor.Events(good, wanted), "ok ok ok ok", "3, all up to date"},
		{"a stream that forgets", doctor.Events(with(func(s *doctor.Stream) {
			s.Flaws = []string{"it drops its oldest events when it is full", "it is kept in memory"}
		}), wanted), "fail ok ok ok", "drops its oldest"},
		{"other settings", doctor.Events(with(func(s *doctor.Stream) { s.MaxAge = 0 }), wanted), "ok warn ok ok", "STREAM_MAX_AGE is 1h0m0s, the stream has 0s"},
		{"filling", []doctor.Check{doctor.Filling(with(func(s *doctor.Stream) { s.Bytes = 800 }))}, "warn", "(80 %)"},
		{"full", []doctor.Check{doctor.Filling(with(func(s *doctor.Stream) { s.Bytes = 950 }))}, "fail", "refuses events"},
		{"without a bound", []doctor.Check{doctor.Filling(with(func(s *doctor.Stream) { s.MaxBytes = 0 }))}, "warn", "STREAM_MAX_BYTES"},
		{"a server away", []doctor.Check{doctor.Copies(with(func(s *doctor.Stream) { s.Behind = 1 }))}, "warn", "1 of 3"},
		{"no leader", []doctor.Check{doctor.Copies(with(func(s *doctor.Stream) { s.Leader = false }))}, "fail", "no leader"},
		{"one copy", []doctor.Check{doctor.Copies(with(func(s *doctor.Stream) { s.Replicas = 1 }))}, "warn", "realtime backup"},
		{"edited", doctor.Events(with(func(s *doctor.Stream) { s.Flaws = []string{"it is sealed"} }), wanted), "fail ok ok ok", "it is sealed"},
		{"refused", []doctor.Check{doctor.Refused("redis", "REDIS_URL", errors.New("another password"))}, "fail", "change REDIS_URL"},
		{"does what is needed", []doctor.Check{doctor.Exercised("redis", "all", nil)}, "ok", "all"},
		{"does not", []doctor.Check{doctor.Exercised("redis", "all", errors.New("a replica"))}, "fail", "a replica"},
		{"an address", []doctor.Check{doctor.Address("PORT", ":1", false, nil)}, "ok", ""},
		{"an address in use", []doctor.Check{doctor.Address("PORT", ":1", true, nil)}, "skip", "a gateway"},
		{"another's address", []doctor.Check{doctor.Address("PORT", ":1", false, errors.New("cannot assign"))}, "fail", "cannot assign"},
		{"room for the log", []doctor.Check{doctor.Room(nil)}, "ok", ""},
		{"no room for the log", []doctor.Check{doctor.Room(errors.New("too large"))}, "fail", "too large"},
		{"dead letters", []doctor.Check{doctor.Letters("l", true)}, "ok", ""},
		{"no dead letters", []doctor.Check{doctor.Letters("l", false)}, "fail", "there is none"},
		{"an epoch", []doctor.Check{doctor.Epoch("e", "", now, now)}, "ok", "e"},
		{"a lost tail", []doctor.Check{doctor.Epoch("e", "the log ends at 3", now, now)}, "warn", "the log ends at 3"},
		{"a tail lost long ago", []doctor.Check{doctor.Epoch("e", "the log ends at 3", now.Add(-48*time.Hour), now)}, "ok", ""},
		{"sessions", []doctor.Check{doctor.Sessions(doctor.Stream{Exists: true, MaxBytes: 1000, Bytes: 100}, time.Minute, time.Minute)}, "ok", "recovered for 1m0s"},
		{"sessions of another length", []doctor.Check{doctor.Sessions(doctor.Stream{Exists: true}, time.Minute, time.Hour)}, "warn", "--recovery-ttl"},
		{"many sessions", []doctor.Check{doctor.Sessions(doctor.Stream{Exists: true, MaxBytes: 1000, Bytes: 950}, time.Minute, time.Minute)}, "warn", "--session-bytes"},
		{"no sessions", []doctor.Check{doctor.Sessions(doctor.Stream{}, 0, time.Minute), doctor.Sessions(doctor.Stream{}, 0, 0)}, "skip skip", "none yet"},
		{"a bucket", []doctor.Check{doctor.Beside("KV_X", nil)}, "ok", ""},
		{"an edited bucket", []doctor.Check{doctor.Beside("KV_X", errors.New("it is sealed"))}, "fail", "it is sealed"},
		{"a scrub", []doctor.Check{doctor.Scrubbed(doctor.Scrub{At: now, Read: 7}, false)}, "ok", "7 records read"},
		{"no scrub yet", []doctor.Check{doctor.Scrubbed(doctor.Scrub{}, false)}, "ok", "none yet"},
		{"no scrub for days", []doctor.Check{doctor.Scrubbed(doctor.Scrub{Late: 80 * time.Hour}, false)}, "warn", "none in the 80h"},
		{"an old scrub", []doctor.Check{doctor.Scrubbed(doctor.Scrub{At: now, Read: 7, Late: 80 * time.Hour}, false)}, "warn", "80h0m0s ago"},
		{"a scrub that found damage", []doctor.Check{doctor.Scrubbed(doctor.Scrub{At: now, Damage: errors.New("1 missing")}, false)}, "fail", "restore the last backup"},
		{"a damaged copy of several", []doctor.Check{doctor.Scrubbed(doctor.Scrub{At: now, Server: "n1", Damage: errors.New("1 missing")}, false)}, "fail", "on server n1"},
		{"a damaged copy that was replaced", []doctor.Check{doctor.Scrubbed(doctor.Scrub{At: now, Server: "n1", Damage: errors.New("1 missing")}, true)}, "ok", "repaired since"},
		{"no erasure waits", []doctor.Check{doctor.Erasures(nil)}, "ok", ""},
		{"an erasure waits", []doctor.Check{doctor.Erasures([]string{"job"})}, "fail", "repeat realtime erase"},
		{"room", []doctor.Check{doctor.Disk("data", 50<<30, 100<<30, 10<<30, 0)}, "ok", "50.0 GiB of 100.0 GiB"},
		{"less room than the log may take", []doctor.Check{doctor.Disk("data", 5<<30, 100<<30, 10<<30, 1<<30)}, "warn", "may grow by 9.0 GiB"},
		{"the log has grown already", []doctor.Check{doctor.Disk("data", 5<<30, 100<<30, 10<<30, 11<<30)}, "ok", ""},
		{"hardly any room", []doctor.Check{doctor.Disk("data", 1<<20, 100<<30, 10<<30, 0)}, "fail", "make room"},
		{"a folder", []doctor.Check{doctor.Folder("data", true, false, nil)}, "ok", ""},
		{"a folder in use", []doctor.Check{doctor.Folder("data", true, true, nil)}, "skip", "NATS_LISTEN"},
		{"no folder", []doctor.Check{doctor.Folder("data", false, false, nil)}, "skip", ""},
		{"a foreign folder", []doctor.Check{doctor.Folder("data", true, false, errors.New("permission denied"))}, "fail", "permission denied"},
		{"enough files", []doctor.Check{doctor.Files(20_000, 10_000)}, "ok", ""},
		{"too few files", []doctor.Check{doctor.Files(1024, 1000)}, "fail", "to 1512 or more"},
		{"few files and no limit", []doctor.Check{doctor.Files(1024, 0)}, "warn", "SOCKET_MAX_CONNECTIONS"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var levels []string
			said := false
			for _, check := range test.checks {
				levels = append(levels, string(check.Level))
				said = said || strings.Contains(check.Found+" "+check.Do, test.says)
				if check.Area == "" || check.Name == "" || check.Found == "" || strings.Contains(check.Found, "\n") {
					t.Errorf("not a line: %+v", check)
				}
				if bad := check.Level == doctor.Fail || check.Level == doctor.Warn; check.Level != doctor.Skip && bad != (check.Do != "") {
					t.Errorf("what to do: %+v", check)
				}
			}
			if got := strings.Join(levels, " "); got != test.want || !said {
				t.Errorf("got %s, want %s that say %q: %+v", got, test.want, test.says, test.checks)
			}
		})
	}
}

func TestReport(t *testing.T) {
	t.Parallel()
	var report doctor.Report
	report.Add(doctor.Settings(nil, nil)...)
	report.Add(doctor.Settings(errors.New("wrong"), nil)...)
	report.Add(doctor.MongoDB("", true), doctor.Redis(""))
	if report.OK != 1 || report.Fail != 1 || report.Warn != 1 || report.Skip != 1 || len(report.Checks) != 4 {
		t.Errorf("%+v", report)
	}
}
