package natsserver

import (
	"fmt"
	"log/slog"
	"sync/atomic"
)

// serverLog hands the server's lines to slog, and keeps the first fatal one,
// which nats-server would otherwise end the process for.
type serverLog struct {
	logger *slog.Logger
	fatal  atomic.Pointer[string]
}

func (l *serverLog) Noticef(format string, v ...any) { l.logger.Debug(fmt.Sprintf(format, v...)) }
func (l *serverLog) Debugf(format string, v ...any)  { l.logger.Debug(fmt.Sprintf(format, v...)) }
func (l *serverLog) Tracef(format string, v ...any)  { l.logger.Debug(fmt.Sprintf(format, v...)) }
func (l *serverLog) Warnf(format string, v ...any)   { l.logger.Warn(fmt.Sprintf(format, v...)) }
func (l *serverLog) Errorf(format string, v ...any)  { l.logger.Error(fmt.Sprintf(format, v...)) }

func (l *serverLog) Fatalf(format string, v ...any) {
	line := fmt.Sprintf(format, v...)
	l.fatal.CompareAndSwap(nil, &line)
	l.logger.Error(line)
}

// failure returns the first fatal line, or nothing.
func (l *serverLog) failure() string {
	if line := l.fatal.Load(); line != nil {
		return *line
	}
	return ""
}
