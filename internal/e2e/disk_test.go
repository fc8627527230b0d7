package e2e_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

var errNotWritten = errors.New("its session is not on disk")

// onDisk waits until the gateway's files have the visitor's session with all its
// jobs. A server that is killed takes along what was saved in its last moments,
// which is for those to expect who kill it right away.
func (g *gateway) onDisk(v *visitor) {
	g.t.Helper()
	eventually(g.t, "the session is written", func() error {
		blocks, err := filepath.Glob(filepath.Join(g.env["DATA_DIR"], "jetstream", "*", "streams", "KV_NOVEL_SESSIONS", "msgs", "*.blk"))
		if err != nil {
			return err
		}
		for _, block := range blocks {
			content, err := os.ReadFile(block)
			if err != nil {
				return err
			}
			at := bytes.LastIndex(content, fmt.Appendf(nil, `{"sid":%q`, v.id))
			if at >= 0 && v.namedIn(content[at:]) {
				return nil
			}
		}
		return errNotWritten
	})
}

// namedIn reports whether a text has all jobs that the visitor follows.
func (v *visitor) namedIn(content []byte) bool {
	for _, j := range v.journals {
		if !bytes.Contains(content, fmt.Appendf(nil, `"jobId":%q`, j.jobID)) {
			return false
		}
	}
	return true
}
