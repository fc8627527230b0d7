package doctor

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Settings judges the settings: err is what they were refused with, nil for valid
// ones, and warnings what is legal and seldom meant.
func Settings(err error, warnings []string) []Check {
	const area, name = "settings", "environment"
	if err != nil {
		var checks []Check
		for _, problem := range joined(err) {
			checks = append(checks, Check{Fail, area, name, oneLine(problem.Error()), "set it as it says; realtime config lists every setting"})
		}
		return checks
	}
	if len(warnings) == 0 {
		return []Check{ok(area, name, "valid")}
	}
	var checks []Check
	for _, warning := range warnings {
		checks = append(checks, Check{Warn, area, name, warning, "change one of the settings that it names, or keep both if that effect is wanted"})
	}
	return checks
}

// joined returns the errors that [errors.Join] has put together somewhere in err, each a
// check of its own; err itself if there are none. A text with line breaks stays one.
func joined(err error) []error {
	switch wrapped := err.(type) {
	case interface{ Unwrap() []error }:
		var texts []string
		parts := wrapped.Unwrap()
		for _, part := range parts {
			texts = append(texts, part.Error())
		}
		if err.Error() == strings.Join(texts, "\n") {
			return parts
		}
		for _, part := range parts {
			if found := joined(part); len(found) > 1 {
				return found
			}
		}
	case interface{ Unwrap() error }:
		if inner := wrapped.Unwrap(); inner != nil {
			if found := joined(inner); len(found) > 1 {
				return found
			}
		}
	}
	return []error{err}
}

// Absent is the line about a backend that is not configured.
func Absent(area, variable, effect string) Check {
	return Check{Skip, area, "reachable", variable + " is not set: " + effect, ""}
}

// Reached judges whether a server answered, and after what time. The error's text is
// shown: it must hold no password.
func Reached(area, variable string, took time.Duration, err error) Check {
	const slow = 250 * time.Millisecond
	switch {
	case err != nil:
		return Check{
			Fail, area, "reachable", oneLine(err.Error()),
			"see that it runs, that this machine may connect, and that " + variable + " names it",
		}
	case took > slow:
		return Check{Warn, area, "reachable", "answers after " + rounded(took), "see why it is slow: every event waits for it"}
	}
	return ok(area, "reachable", "answers after "+rounded(took))
}

// Refused is for a server that answers and takes no connection with the settings that it
// was offered: err says why, and what to set.
func Refused(area, variable string, err error) Check {
	return Check{Fail, area, "reachable", oneLine(err.Error()), "change " + variable + " as it says; the server runs and can be reached"}
}

// Exercised judges whether a server does what the service needs of it, by doing it:
// err is what failed, with what to do.
func Exercised(area, needed string, err error) Check {
	const name = "what is needed"
	if err != nil {
		return Check{Fail, area, name, oneLine(err.Error()), "see docs/ops/permissions.md for the least that the service needs"}
	}
	return ok(area, name, needed)
}

// Gateways judges whether the gateways that read events from Redis hand them on to the log:
// Redis has delivered a canary to so many, and so many have answered it.
func Gateways(area string, delivered, answered int, err error) Check {
	const name = "gateways"
	switch {
	case err != nil:
		return Check{Skip, area, name, "not asked: " + oneLine(err.Error()), ""}
	case delivered == 0:
		return Check{Skip, area, name, "none reads events from Redis", ""}
	case answered < delivered:
		return Check{
			Fail, area, name, fmt.Sprintf("events are not handed on: %d of %d gateways that read them from Redis do not bring them to the log", delivered-answered, delivered),
			"see the health of each: the part ingest says where it stands still",
		}
	}
	return ok(area, name, fmt.Sprintf("%d read events from Redis, and hand them on to the log", delivered))
}

// Consumers judges the consumers of the projections: paused are those that are paused for
// longer than an operation needs.
func Consumers(paused []string) Check {
	const area, name = "log", "consumers"
	if len(paused) > 0 {
		return Check{
			Fail, area, name, fmt.Sprintf("the consumer %q is paused", paused[0]),
			"MongoDB gets nothing until it goes on: realtime operations lists who has paused it; otherwise resume it with the tool that has",
		}
	}
	return ok(area, name, "none is paused for long")
}

// Permissions judges whether the user of a server has what the service needs: err names
// what is missing.
func Permissions(area string, err error) Check {
	const name = "permissions"
	if err != nil {
		return Check{Fail, area, name, oneLine(err.Error()), "grant them: docs/ops/permissions.md has the least that the service needs"}
	}
	return ok(area, name, "all that are needed")
}

// Address judges whether the service could listen on an address: taken says that
// somebody does, as a gateway that runs.
func Address(variable, address string, taken bool, err error) Check {
	const area = "system"
	name := variable + " " + address
	switch {
	case taken:
		return Check{Skip, area, name, "taken, as by a gateway that runs", ""}
	case err != nil:
		return Check{Fail, area, name, oneLine(err.Error()), "set it to an address of this machine, and a port that this user may take"}
	}
	return ok(area, name, "free")
}

// Room judges whether the NATS server and account have room for a log that is yet to
// be created.
func Room(err error) Check {
	const area, name = "nats", "room for the log"
	if err != nil {
		return Check{Fail, area, name, oneLine(err.Error()), "lower STREAM_MAX_BYTES, or give the server and the account more"}
	}
	return ok(area, name, "there is")
}

// Synced judges when separate NATS servers write the log to disk: risk says what a loss of
// power can take, and err of which servers this is not known.
func Synced(risk string, err error) Check {
	const area, name = "nats", "sync to disk"
	switch {
	case risk != "":
		found := risk
		if err != nil {
			found += "; not known of others: " + oneLine(err.Error())
		}
		return Check{
			Warn, area, name, found,
			"set sync_interval: always in the jetstream block of each server, or keep the interval if one failure cannot reach all of them; " +
				"always costs half to nine tenths of the rate of single appends, and much less where gateways store batches (docs/ops/durability.md)",
		}
	case err != nil:
		return Check{Skip, area, name, "not known: " + oneLine(err.Error()), "set NATS_MONITORING_URL to the monitoring ports of the servers"}
	}
	return ok(area, name, "each write, as the servers say")
}

// The versions that are needed, and those that this service is tested with.
var versions = map[string]struct{ needed, tested string }{
	"nats":    {"2.11", "2.15"},
	"redis":   {"6.0", "7.0"},
	"mongodb": {"4.4", "7.0"},
}

// Version judges the version of a server.
func Version(area, version string) Check {
	known := versions[area]
	got, readable := parseVersion(version)
	needed, _ := parseVersion(known.needed)
	tested, _ := parseVersion(known.tested)
	switch {
	case !readable:
		return Check{Warn, area, "version", fmt.Sprintf("%.40q cannot be read", version), "it has to be " + known.needed + " or later"}
	case got < needed:
		return Check{Fail, area, "version", version, "bring it to " + known.needed + " or later; " + known.tested + " is what this is tested with"}
	case got < tested:
		return Check{Warn, area, "version", version, known.tested + " is what this is tested with"}
	}
	return ok(area, "version", version)
}

// parseVersion reads the first two numbers of a version, as one to compare.
func parseVersion(text string) (number int, readable bool) {
	parts := strings.SplitN(strings.TrimPrefix(text, "v"), ".", 3)
	if len(parts) < 2 {
		return 0, false
	}
	major, majorErr := strconv.Atoi(parts[0])
	minor, minorErr := strconv.Atoi(parts[1])
	return major*1000 + minor, majorErr == nil && minorErr == nil && major >= 0 && minor >= 0 && minor < 1000
}

// Clock judges the difference between the clock of a server, as it was read between
// two moments, and the one here.
func Clock(area string, server, asked, answered time.Time) Check {
	const seldom, broken = time.Second, 30 * time.Second
	// It was read at some time in between: what remains is certain.
	var off time.Duration
	switch {
	case server.Before(asked):
		off = asked.Sub(server)
	case server.After(answered):
		off = server.Sub(answered)
	}
	found := "as here, give or take " + rounded(answered.Sub(asked))
	if off > 0 {
		found = "at least " + rounded(off) + " off the clock here"
	}
	const synchronise = "synchronise both clocks (chrony, systemd-timesyncd)"
	switch {
	case off > broken:
		return Check{Fail, area, "clock", found, synchronise + "; tokens expire, and STREAM_MAX_AGE counts, by the wrong one"}
	case off > seldom:
		return Check{Warn, area, "clock", found, synchronise}
	}
	return ok(area, "clock", found)
}

// rounded shows a length of time in the precision that counts.
func rounded(length time.Duration) string {
	switch {
	case length >= time.Second:
		return length.Round(100 * time.Millisecond).String()
	case length >= time.Millisecond:
		return length.Round(100 * time.Microsecond).String()
	}
	return length.Round(time.Microsecond).String()
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// Redis judges what a Redis server says of itself: the bound at which it drops a
// subscriber that does not keep up, as "hard soft seconds" in bytes, empty where it
// does not say.
func Redis(pubsubLimit string) Check {
	const area, name, enough = "redis", "output buffer of subscribers", 32 << 20
	fields := strings.Fields(pubsubLimit)
	if len(fields) == 0 {
		return Check{Skip, area, name, "the server does not report it", ""}
	}
	hard, err := strconv.ParseInt(fields[0], 10, 64)
	switch {
	case err != nil:
		return Check{Skip, area, name, fmt.Sprintf("%.40q cannot be read", pubsubLimit), ""}
	case hard > 0 && hard < enough:
		return Check{
			Warn, area, name, bytesText(uint64(hard)),
			"client-output-buffer-limit pubsub 32mb 8mb 60 or more: a gateway that pauses longer is cut off, and events without receipts are lost",
		}
	case hard == 0:
		return ok(area, name, "without a bound")
	}
	return ok(area, name, bytesText(uint64(hard)))
}

// Omitted judges how many records the read models do not have in full, because MongoDB
// refused them or a projection panicked over them. first describes one of them.
func Omitted(count int, first string, err error) Check {
	const area, name = "mongodb", "records stored in full"
	switch {
	case err != nil:
		return Check{Skip, area, name, oneLine(err.Error()), ""}
	case count > 0:
		return Check{
			Warn, area, name, fmt.Sprintf("all but %d; one of them: %s", count, first),
			"nothing is lost: the log has them, and readers get them from there. The gateway's log says why; once that is mended, run realtime projections rebuild history --swap, or job-heads",
		}
	}
	return ok(area, name, "all")
}

// Models judges whether a database has the read models of a log: head is the newest
// sequence of the log, and projected the newest one that was written to MongoDB, wherever
// that was.
func Models(database string, present bool, head, projected uint64) Check {
	const area = "mongodb"
	name := "read models in " + database
	found := fmt.Sprintf("none, and the log has events up to sequence %d", head)
	switch {
	case present:
		return ok(area, name, "there are")
	case head == 0:
		return Check{Skip, area, name, "none, as the log has no events", ""}
	case projected > 0:
		return Check{
			Fail, area, name, fmt.Sprintf("%s, of which a gateway has written those up to %d to another database", found, projected),
			"correct the name of the database in MONGODB_URI; if the collections were dropped, run realtime projections rebuild --swap",
		}
	}
	return Check{Warn, area, name, found, "check the name of the database in MONGODB_URI; if it is right, a gateway with the role project writes them"}
}

// MongoDB judges what kind of server answers: the name of its replica set, empty for
// one that stands alone, and whether it is FerretDB.
func MongoDB(replicaSet string, ferret bool) Check {
	const area, name = "mongodb", "kind"
	switch {
	case ferret:
		return Check{Warn, area, name, "FerretDB", "it scans collections: use it for development, MongoDB in production"}
	case replicaSet == "":
		return Check{
			Warn, area, name, "a single server",
			"run a replica set: the read models can be rebuilt (realtime projections rebuild), what the workers keep there cannot",
		}
	}
	return ok(area, name, "replica set "+replicaSet)
}
