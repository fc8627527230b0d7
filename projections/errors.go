package projections

import (
	"context"
	"errors"
	"slices"

	"go.mongodb.org/mongo-driver/v2/mongo"
)

var (
	// ErrUnavailable is returned by reads that MongoDB did not answer, or answered with an
	// error. The log has the same records; a later retry helps.
	ErrUnavailable = errors.New("MongoDB is not available")

	// ErrIncomplete is returned by reads of a range in which a document does not
	// hold its event: MongoDB refused it in every form, or another program has
	// changed it. A retry does not help; the log has the event.
	ErrIncomplete = errors.New("the history in MongoDB is incomplete")

	// ErrLog is returned by [Store.FindLegacy] of a store that reads beside the log, when
	// the log does not answer: a document of an older writer cannot be distinguished from one of
	// an event that the log alone has. It says nothing about MongoDB. A later retry helps.
	ErrLog = errors.New("the log does not answer")

	// ErrNoProjection is returned by [Store.Model] for a name that no projection has. A retry
	// does not help.
	ErrNoProjection = errors.New("no such projection")

	// ErrSwapUnfinished is returned when a swap of the projection was interrupted or failed.
	// Another swap completes it.
	ErrSwapUnfinished = errors.New("a swap is not finished")

	// ErrNoShadow is returned by [Model.Exchange] when nothing was rebuilt. A retry
	// helps after a rebuild.
	ErrNoShadow = errors.New("there is no shadow")

	// ErrLost stops the history projection: its collection was dropped or emptied. Readers
	// use the log meanwhile. The projection continues once a rebuild was swapped in.
	ErrLost = errors.New("the collection of history was dropped or emptied: re-create it with realtime projections rebuild history --swap")

	// ErrInvalidURI is returned by [Connect] for a connection string that the
	// driver does not take. A retry does not help.
	ErrInvalidURI = errors.New("invalid MongoDB URI")
)

// serverStateCodes are errors about the state of the server and not about the document:
// the same write may succeed later. Source: MongoDB's error_codes.yml.
var serverStateCodes = []int{
	6, 7, 89, 9001, // host unreachable, host not found, network timeout, socket
	13, 18, // unauthorised, authentication failed
	24, 50, 112, 262, // lock timeout, time limit, write conflict, time limit
	64, 79, 100, // write concern not met, unknown, unsatisfiable
	91, 11600, 11602, // shutting down, interrupted
	133, 134, 189, 10058, 10107, 13435, 13436, // no primary, stepping down, recovering
	8000, 14031, // hosted service's limits, out of disk space
}

// isOutage reports whether the cause of err is the state of MongoDB, and not the documents
// of the command: MongoDB did not answer, or cannot execute commands for the moment.
func isOutage(err error) bool {
	if mongo.IsNetworkError(err) || mongo.IsTimeout(err) ||
		errors.Is(err, context.Canceled) || errors.Is(err, mongo.ErrClientDisconnected) {
		return true
	}
	var server mongo.ServerError
	if !errors.As(err, &server) {
		return false
	}
	if server.HasErrorLabel("RetryableWriteError") || server.HasErrorLabel("TransientTransactionError") {
		return true
	}
	if bulk := (mongo.BulkWriteException{}); errors.As(err, &bulk) && bulk.WriteConcernError != nil {
		return true
	}
	if one := (mongo.WriteException{}); errors.As(err, &one) && one.WriteConcernError != nil {
		return true
	}
	return slices.ContainsFunc(serverStateCodes, server.HasErrorCode)
}

// codeOf returns MongoDB's code for err, or zero when it has none. It is logged in place of
// the message, which may quote the document.
func codeOf(err error) int {
	var server mongo.ServerError
	if errors.As(err, &server) {
		if codes := server.ErrorCodes(); len(codes) > 0 {
			return codes[0]
		}
	}
	return 0
}
