package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/letswriteabook/realtime/eventstore/internal/layout"
)

// reloadSubject is where reloads of gateways are noted, in the audit stream.
const reloadSubject = layout.AuditPrefix + "reload"

// maxReloads is how many notes of reloads [Trail.Reloads] reads.
const maxReloads = 1000

// Reload is the note of a gateway that has applied settings while it ran: their names, and
// none of their values.
type Reload struct {
	At time.Time `json:"at"`
	// Gateway is the name of the process.
	Gateway string   `json:"gateway"`
	Changed []string `json:"changed"`
	// Restart has the settings that had changed as well and take a restart.
	Restart []string `json:"restart,omitempty"`
}

// NoteReload adds a note.
func (t *Trail) NoteReload(ctx context.Context, reload Reload) error {
	_, err := t.Add(ctx, reloadSubject, reload)
	return err
}

// Reloads returns the newest thousand notes of reloads, oldest first.
func (t *Trail) Reloads(ctx context.Context) ([]Reload, error) {
	reloads := []Reload{}
	var bad error
	_, err := t.EachBefore(ctx, reloadSubject, 0, maxReloads, func(number uint64, note []byte) {
		var reload Reload
		if err := json.Unmarshal(note, &reload); err != nil {
			bad = errors.Join(bad, fmt.Errorf("note %d: %w", number, err))
			return
		}
		reloads = append(reloads, reload)
	})
	return reloads, errors.Join(err, bad)
}
