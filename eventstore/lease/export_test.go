package lease

import (
	"context"
	"time"
)

// SetHolder pretends that another process holds an operation.
func SetHolder(h *Held, change func(*Operation)) error {
	return h.write(context.Background(), func(o *Operation) bool {
		change(o)
		return true
	})
}

// SetWork changes what the record has of work, as another process would.
func SetWork(h *HeldWork, change func(*Work)) error {
	return h.write(context.Background(), func(w *Work, _ time.Time) { change(w) })
}

// The bounds of the record.
const (
	MaxWorks   = maxWorks
	MaxRunning = maxRunning
)

// OwnPlace is where the ids of processes are valid that this process sees.
var OwnPlace = ownPlace
