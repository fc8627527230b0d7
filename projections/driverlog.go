package projections

import "log/slog"

// driverLog receives the log lines of the driver, which it writes when variables such as
// MONGODB_LOG_ALL are set, in place of standard error. It leaves out documents, because
// logs must not hold payloads.
type driverLog struct{ logger *slog.Logger }

// Info implements [go.mongodb.org/mongo-driver/v2/mongo/options.LogSink].
func (l driverLog) Info(_ int, message string, keysAndValues ...any) {
	l.logger.Debug("mongodb driver", append([]any{"said", message}, withoutDocuments(keysAndValues)...)...)
}

// Error implements [go.mongodb.org/mongo-driver/v2/mongo/options.LogSink].
func (l driverLog) Error(err error, message string, keysAndValues ...any) {
	l.logger.Debug("mongodb driver", append([]any{"said", message, "error", err}, withoutDocuments(keysAndValues)...)...)
}

// withoutDocuments returns the pairs that hold no document.
func withoutDocuments(keysAndValues []any) (kept []any) {
	for i := 0; i+1 < len(keysAndValues); i += 2 {
		switch keysAndValues[i] {
		case "command", "reply", "message": // message repeats what was said
		default:
			kept = append(kept, keysAndValues[i], keysAndValues[i+1])
		}
	}
	return kept
}
