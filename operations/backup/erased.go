package backup

import (
	"fmt"
	"io"
	"path/filepath"
	"slices"

	"github.com/letswriteabook/realtime/eventstore/audit"
	"github.com/letswriteabook/realtime/internal/wholefile"
)

// Notes are the notes on erased jobs in the manifests of backups.
type Notes struct{}

// Noted reports whether the manifest of the folder says that the job was erased. It
// returns [ErrNoBackup] for a folder without one.
func (Notes) Noted(dir, jobID string) (bool, error) {
	manifest, err := Load(dir)
	return slices.ContainsFunc(manifest.Erased, func(e Erased) bool { return e.JobID == jobID }), err
}

// Note writes into the manifest of the folder that the job was erased. A repeat
// changes nothing.
func (Notes) Note(dir string, erasure audit.Erasure) error {
	manifest, err := Load(dir)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(manifest.Erased, func(e Erased) bool { return e.ID == erasure.ID }) {
		return nil
	}
	manifest.Erased = append(manifest.Erased, Erased{
		ID: erasure.ID, JobID: erasure.JobID, At: erasure.At, By: erasure.By, Reason: erasure.Reason,
	})
	if err := wholefile.Write(filepath.Join(dir, manifestFile), 0o600, func(w io.Writer) error { return writeJSON(w, manifest) }); err != nil {
		return fmt.Errorf("note an erasure in the manifest of %s: %w", dir, err)
	}
	return nil
}
