package projections

import "log/slog"

// driverLog takes the lines that the driver writes by itself, where the
// environment asks for them (MONGODB_LOG_ALL and others of the driver), in place of
// standard error. Documents are left out: they hold what clients may not see.
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
