package faults_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/letswriteabook/realtime/lab/faults"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Every row has what the report needs, and a name of its own.
func TestRows(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, row := range faults.Rows() {
		if seen[row.Name()] || row.Number < 1 || row.Title == "" || row.Run == nil {
			t.Errorf("row %s %q is not whole, or twice there", row.Name(), row.Title)
		}
		seen[row.Name()] = true
	}
}
