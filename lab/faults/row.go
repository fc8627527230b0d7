package faults

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Row is one fault.
type Row struct {
	Number int
	// Variant distinguishes rows of one number; empty for the only or the first one.
	Variant string
	// Title describes the fault.
	Title string
	// Limit is the longest recovery that passes; 0 means that the row has no limit.
	Limit time.Duration
	// NeedsRoot marks a row that is skipped for ordinary users.
	NeedsRoot bool
	// InCI marks the rows of the short run.
	InCI bool
	// System is what the row needs.
	System System
	// Run causes the fault.
	Run func(ctx context.Context, t *Trial) error
	// Timeout bounds the trial, and SettleTimeout the time after its fault; 0 means the
	// default of the matrix.
	Timeout, SettleTimeout time.Duration
}

// Name returns the number with the variant, such as "08-node", or for a drill, which has no
// number, the variant.
func (r Row) Name() string {
	if r.Number == 0 {
		return r.Variant
	}
	if r.Variant == "" {
		return fmt.Sprintf("%02d", r.Number)
	}
	return fmt.Sprintf("%02d-%s", r.Number, r.Variant)
}

// System describes what runs in addition to the producer and the followers.
type System struct {
	// Nodes and Replicas are those of the lab; without nodes the gateway keeps the
	// log.
	Nodes, Replicas int
	// Sync is the lab's; empty means an interval, with which data survives the death of
	// processes.
	Sync string
	// Volatile puts the folder of each server of the log on a volume that can lose power.
	Volatile bool
	// Mongo adds the MongoDB-protocol server and checks its documents.
	Mongo bool
	// MongoProxy puts a proxy in front of it.
	MongoProxy bool
	// Gateways is their number, at least 1; 0 means 1.
	Gateways int
	// Sockets adds a Socket.IO client for each follower over Server-Sent Events. It does not
	// support a new epoch or a purge.
	Sockets bool
	// Roles are the roles of each gateway; if empty, every gateway has all roles.
	Roles []string
	// Env is added to the environment of each gateway.
	Env map[string]string
	// EventBytes is about the size of an event; 0 means 300.
	EventBytes int
	// Jobs is the number of jobs; 0 means 12. The first of them are followed.
	Jobs int
	// Worker publishes with the Node package web/publisher in place of the outbox
	// of this package.
	Worker bool
	// Outbox bounds what the producer keeps; 0 means 20,000 events.
	Outbox int
}

// skipError is the error of a row that cannot run here.
type skipError struct{ reason string }

func (e skipError) Error() string { return "skipped: " + e.reason }

// Skip returns the error with which a row reports that it cannot run, and why.
func Skip(format string, args ...any) error { return skipError{fmt.Sprintf(format, args...)} }

// asSkip returns the reason if err is a skip.
func asSkip(err error) (string, bool) {
	var skip skipError
	return skip.reason, errors.As(err, &skip)
}

// Rows returns every row in the order of its number.
func Rows() []Row {
	all := slices.Concat(gatewayRows(), natsRows(), redisRows(), mongoRows(), diskRows(), rebuildRows(), clientRows(), crowdRows(), eventRows(), clockRows(), repeatRows(), seamRows(), slowRows(), purgeRows(), halfOpenRows(), hostileRows(), tailRows(), restoreRows(), operationRows(), removedRows(), limitRows(), damageRows(), ownWriterRows(), powerRows())
	slices.SortStableFunc(all, func(a, b Row) int { return a.Number - b.Number })
	return all
}
